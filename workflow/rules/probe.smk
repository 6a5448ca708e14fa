rule probe:
    input:
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
        mem_mb=8000,
        runtime="6h",
    params:
        *reads("probe"),
        code=CODE["probe"],
    shell:
        "audiopg probe --task {wildcards.task} --manifest {input.manifest} --card {input.card}"
        " --encoder {input.encoder} --out-dir $(dirname {output.scores}) 2>&1 | tee -i {log} >&2"
