rule table:
    input:
        cards=expand(CARD, task=CONFIG.tasks),
        metrics=expand("results/metrics/{task}.json", task=CONFIG.tasks),
        latent="results/latent/metrics.json",
    output:
        csv=report("results/table.csv", category="Results"),
        md=report("results/table.md", category="Results", caption="../report/table.rst"),
    log:
        "logs/table.log",
    params:
        *reads("table"),
        code=CODE["table"],
    shell:
        "audiopg table --latent {input.latent} --metrics $(dirname {input.metrics[0]})"
        " --out-dir $(dirname {output.md}) {input.cards}"
        " 2>&1 | tee -i {log} >&2"
