rule prepare:
    input:
        "results/tasks/{task}/source.json",
    output:
        manifest=MANIFEST,
        card=CARD,
        run="results/tasks/{task}/prepare-run.json",
    log:
        "logs/prepare/{task}.log",
    resources:
        mem_mb=2000,
        runtime="4h",
    params:
        *reads("prepare"),
        code=CODE["prepare"],
        recordings=lambda wc: CODE["recordings"][wc.task],
    shell:
        "audiopg prepare --task {wildcards.task:q} --source {input:q} --manifest {output.manifest:q} --card {output.card:q}"
        " 2>&1 | tee -i {log:q} >&2"
