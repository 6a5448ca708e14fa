LATENT_TABLES = [
    "decodability",
    "best_probes",
    "angles",
    "interventions",
    "units",
    "embedding",
    "filters",
    "filter_spectrum",
    "attention",
    "reconstructions",
]
LATENT_PICTURES = [
    "decodability",
    "angles",
    "interventions",
    "embedding",
    "filters",
    "attention",
    "reconstructions",
]

# of one layer and pooling in float64
LAYER_MB = CONFIG.latent.n_clips * 2 * CONFIG.encoder.shape.width * 8 // 2**20


rule latent:
    input:
        encoder=ENCODER,
        model="results/pretrain/model.safetensors",
    output:
        metrics="results/latent/metrics.json",
        claims=report(
            "results/latent/claims.md",
            category="Latent space",
            caption="../report/claims.rst",
        ),
        tables=expand("results/latent/{table}.csv", table=LATENT_TABLES),
        decodability=report(
            "results/latent/decodability.png",
            category="Latent space",
            caption="../report/decodability.rst",
        ),
        angles=report(
            "results/latent/angles.png",
            category="Latent space",
            caption="../report/angles.rst",
        ),
        interventions=report(
            "results/latent/interventions.png",
            category="Latent space",
            caption="../report/interventions.rst",
        ),
        embedding=report(
            "results/latent/embedding.png",
            category="Latent space",
            caption="../report/embedding.rst",
        ),
        filters=report(
            "results/latent/filters.png",
            category="Latent space",
            caption="../report/filters.rst",
        ),
        attention=report(
            "results/latent/attention.png",
            category="Latent space",
            caption="../report/attention.rst",
        ),
        reconstructions=report(
            "results/latent/reconstructions.png",
            category="Latent space",
            caption="../report/reconstructions.rst",
        ),
        dark=expand("results/latent/{picture}-dark.png", picture=LATENT_PICTURES),
        run="results/latent/run.json",
    log:
        "logs/latent.log",
    threads: CONFIG.latent.n_threads
    resources:
        gpu=GPU,
        # measured by benchmarks/latent.py
        mem_mb=lambda wc, threads: 2000 + threads * 10 * LAYER_MB,
        runtime="2h",
    params:
        *reads("latent"),
        code=CODE["latent"],
    shell:
        'audiopg latent --encoder {input.encoder:q} --model {input.model:q} --out-dir "$(dirname {output.metrics:q})"'
        " 2>&1 | tee -i {log:q} >&2"
