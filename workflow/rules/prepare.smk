rule prepare:
    output:
        "results/tasks/{task}/manifest.csv",
    log:
        "logs/prepare/{task}.log",
    resources:
        net=1,
        mem_mb=2000,
    params:
        *reads("prepare"),
        code=CODE["prepare"],
    shell:
        "audiopg prepare --task {wildcards.task} --out {output} 2>&1 | tee -i {log} >&2"
