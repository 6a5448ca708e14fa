rule aggregate:
    input:
        card=CARD,
        probe="results/probe/{task}/scores.json",
        probe_run="results/probe/{task}/run.json",
        folds=lambda wc: expand(
            f"{FOLD}/metrics.json", task=wc.task, init=INITS, fold=FOLDS[wc.task]
        ),
        parts=lambda wc: expand(
            f"{FOLD}/{{file}}",
            task=wc.task,
            init=INITS,
            fold=FOLDS[wc.task],
            file=[
                "predictions.csv",
                "classes.csv",
                "loss.csv",
                "search.csv",
                "run.json",
            ],
        ),
    output:
        metrics="results/metrics/{task}.json",
        run=f"{SUMMARY}/run.json",
        tables=expand(
            f"{SUMMARY}/{{init}}_{{table}}.csv",
            init=INITS,
            table=TABLES,
            allow_missing=True,
        ),
        confusion=report(
            f"{SUMMARY}/confusion.png",
            category="Task {task}",
            caption="../report/confusion.rst",
        ),
        classes=report(
            f"{SUMMARY}/classes.png",
            category="Task {task}",
            caption="../report/classes.rst",
        ),
        loss=report(
            f"{SUMMARY}/loss.png",
            category="Task {task}",
            caption="../report/loss.rst",
        ),
    log:
        "logs/aggregate/{task}.log",
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        *reads("aggregate"),
        code=CODE["aggregate"],
    shell:
        'audiopg aggregate --card {input.card:q} --probe {input.probe:q} --out {output.metrics:q} --out-dir "$(dirname {output.run:q})" {input.folds:q}'
        " 2>&1 | tee -i {log:q} >&2"
