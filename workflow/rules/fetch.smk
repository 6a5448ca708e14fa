rule fetch:
    output:
        source="results/tasks/{task}/source.json",
        run="results/tasks/{task}/fetch-run.json",
    log:
        "logs/fetch/{task}.log",
    localrule: True  # where the network is
    resources:
        net=1,
        mem_mb=2000,
    params:
        *reads("fetch"),
        code=CODE["fetch"],
        recordings=lambda wc: CODE["recordings"][wc.task],
    shell:
        "audiopg fetch {wildcards.task:q} --out {output.source:q} 2>&1 | tee -i {log:q} >&2"
