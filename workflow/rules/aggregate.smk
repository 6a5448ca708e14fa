rule aggregate:
    input:
        card=CARD,
        probe="results/probe/{task}/scores.json",
        folds=lambda wc: expand(
            f"{FOLD}/metrics.json", task=wc.task, init=INITS, fold=FOLDS[wc.task]
        ),
    output:
        "results/metrics/{task}.json",
    log:
        "logs/aggregate/{task}.log",
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        *reads("aggregate"),
        code=CODE["aggregate"],
    shell:
        "audiopg aggregate --card {input.card} --probe {input.probe} --out {output} {input.folds}"
        " 2>&1 | tee -i {log} >&2"
