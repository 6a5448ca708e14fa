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
    params:
        code=CODE["graph"],
    shell:
        "audiopg graph --out {output.picture} --dot {output.dot} 2>&1 | tee -i {log} >&2"
