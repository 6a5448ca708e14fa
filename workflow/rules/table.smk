rule table:
    input:
        cards=expand(CARD, task=CONFIG.tasks),
        metrics=expand("results/metrics/{task}.json", task=CONFIG.tasks),
        latent="results/latent/metrics.json",
        loss="results/pretrain/loss.csv",
        runs=RUNS,
    output:
        csv=report("results/table.csv", category="Results"),
        md=report("results/table.md", category="Results", caption="../report/table.rst"),
        loss=report(
            "results/pretraining.png",
            category="Pre-training",
            caption="../report/pretraining.rst",
        ),
        run=report("results/run.json", category="Results", caption="../report/run.rst"),
    log:
        "logs/table.log",
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        *reads("table"),
        code=CODE["table"],
        runs=lambda wc, input: [f"--run={path}" for path in input.runs],
    shell:
        'audiopg table --latent {input.latent:q} --loss {input.loss:q} --metrics "$(dirname {input.metrics[0]:q})"'
        ' --out-dir "$(dirname {output.md:q})" {params.runs:q} {input.cards:q}'
        " 2>&1 | tee -i {log:q} >&2"
