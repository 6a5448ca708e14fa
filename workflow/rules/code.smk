rule code:
    output:
        "results/code.json",
    log:
        "logs/code.log",
    params:
        code=[f"{stage} {digest}" for stage, digest in CODE.items()],
    shell:
        "audiopg code --out {output} 2>&1 | tee -i {log} >&2"
