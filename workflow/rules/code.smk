rule code:
    output:
        "results/code.json",
    log:
        "logs/code.log",
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        code=canonical(CODE),
        parameters=canonical(CONFIG.model_dump(exclude={"data"})),
    shell:
        "audiopg code --out {output:q} 2>&1 | tee -i {log:q} >&2"
