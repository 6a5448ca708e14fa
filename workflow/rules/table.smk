rule table:
    input:
        cards=expand(CARD, task=CONFIG.tasks),
        metrics=expand("results/metrics/{task}.json", task=CONFIG.tasks),
        latent="results/latent/metrics.json",
    output:
        csv="results/table.csv",
        md=report("results/table.md", category="Results"),
    log:
        "logs/table.log",
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        *reads("table"),
        code=CODE["table"],
    shell:
        "audiopg table --latent {input.latent} --metrics $(dirname {input.metrics[0]})"
        " --out-dir $(dirname {output.md}) {input.cards}"
        " 2>&1 | tee -i {log} >&2"
