rule latent:
    input:
        ENCODER,
    output:
        metrics="results/latent/metrics.json",
        r2="results/latent/r2_per_layer.csv",
        r2_figure=report(
            "results/latent/r2_per_layer.png",
            category="Latent space",
            caption="../report/r2.rst",
        ),
        embedding=report(
            "results/latent/embedding.png",
            category="Latent space",
            caption="../report/embedding.rst",
        ),
        run="results/latent/run.json",
    log:
        "logs/latent.log",
    threads: CONFIG.latent.n_threads
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime="2h",
    params:
        *reads("latent"),
        code=CODE["latent"],
    shell:
        "audiopg latent --encoder {input} --out-dir $(dirname {output.metrics}) 2>&1 | tee -i {log} >&2"
