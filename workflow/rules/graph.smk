rule graph:
    output:
        picture=report(
            "results/graph.svg",
            category="Rules",
            caption="../report/graph.rst",
        ),
        dot="results/graph.dot",
    log:
        "logs/graph.log",
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        code=CODE["graph"],
    shell:
        "audiopg graph --out {output.picture} --dot {output.dot} 2>&1 | tee -i {log} >&2"
