def probe_mb(wildcards, input):
    """One layer with its bands side by side, some times over in float64, and its products; what it reads is mapped."""
    n_clips = CARDS[wildcards.task].n_clips
    n_bands = CONFIG.features.n_mels // CONFIG.encoder.patch_mels
    n_features = 5 * n_bands * CONFIG.encoder.shape.width
    products = 4 * min(n_clips, n_features) ** 2
    arrays = 8 * (5 * n_clips * n_features + products) // 2**20
    return 4000 + arrays + int(input.size_mb)


rule probe:
    input:
        **DECODED,
        manifest=MANIFEST,
        card=CARD,
        encoder=ENCODER,
    output:
        scores="results/probe/{task}/scores.json",
        choices="results/probe/{task}/choices.csv",
        run="results/probe/{task}/run.json",
    log:
        "logs/probe/{task}.log",
    threads: CONFIG.probe.n_threads
    resources:
        gpu=GPU,
        mem_mb=probe_mb,
        runtime="24h",
    params:
        *reads("probe"),
        code=CODE["probe"],
    shell:
        'audiopg probe --task {wildcards.task:q} --manifest {input.manifest:q} --card {input.card:q} --decoded "$(dirname {input.frames:q})"'
        ' --encoder {input.encoder:q} --out-dir "$(dirname {output.scores:q})" 2>&1 | tee -i {log:q} >&2'
