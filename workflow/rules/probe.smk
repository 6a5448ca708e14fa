rule probe:
    input:
        manifest="results/tasks/{task}/manifest.csv",
        encoder=ENCODER,
    output:
        "results/probe/{task}.json",
    log:
        "logs/probe/{task}.log",
    threads: CONFIG.probe.n_threads
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        *reads("probe"),
        code=CODE["probe"],
    shell:
        "audiopg probe --task {wildcards.task} --manifest {input.manifest} --encoder {input.encoder}"
        " --out {output} 2>&1 | tee -i {log} >&2"
