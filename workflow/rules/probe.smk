def probe_mb(wildcards):
    """Embeddings of all layers in float32, and a layer of them some times over in float64."""
    shape = CONFIG.encoder.shape
    per_clip = 2 * shape.width * ((shape.depth + 2) * 4 + 6 * 8)
    return 4000 + CARDS[wildcards.task].n_clips * per_clip // 2**20


rule probe:
    input:
        **DECODED,
        manifest=MANIFEST,
        card=CARD,
        encoder=ENCODER,
    output:
        scores="results/probe/{task}/scores.json",
        run="results/probe/{task}/run.json",
    log:
        "logs/probe/{task}.log",
    threads: CONFIG.probe.n_threads
    resources:
        gpu=GPU,
        mem_mb=probe_mb,
        runtime="6h",
    params:
        *reads("probe"),
        code=CODE["probe"],
    shell:
        'audiopg probe --task {wildcards.task:q} --manifest {input.manifest:q} --card {input.card:q} --decoded "$(dirname {input.frames:q})"'
        ' --encoder {input.encoder:q} --out-dir "$(dirname {output.scores:q})" 2>&1 | tee -i {log:q} >&2'
