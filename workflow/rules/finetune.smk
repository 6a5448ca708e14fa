rule finetune:
    input:
        **DECODED,
        manifest=MANIFEST,
        card=CARD,
        encoder=lambda wc: ENCODER if wc.init == "pretrained" else [],
    output:
        metrics=f"{FOLD}/metrics.json",
        predictions=f"{FOLD}/predictions.csv",
        classes=f"{FOLD}/classes.csv",
        loss=f"{FOLD}/loss.csv",
        search=f"{FOLD}/search.csv",
        run=f"{FOLD}/run.json",
    log:
        "logs/finetune/{task}/{init}/fold{fold}.log",
    threads: lambda wc: CONFIG.recipe(wc.task).n_threads
    resources:
        gpu=GPU,
        # what it reads is mapped: its pages count where it runs on a cluster
        mem_mb=lambda wc, input: 8000 + int(input.size_mb),
        runtime="12h",
    params:
        *reads("finetune"),
        code=CODE["finetune"],
        encoder=lambda wc, input: (
            [f"--encoder={input.encoder}"] if input.encoder else []
        ),
    shell:
        "audiopg finetune --task {wildcards.task:q} --fold {wildcards.fold:q} --init {wildcards.init:q}"
        ' --manifest {input.manifest:q} --card {input.card:q} --decoded "$(dirname {input.frames:q})" {params.encoder:q}'
        " --resume resume/finetune/{wildcards.task:q}/{wildcards.init:q}/fold{wildcards.fold:q}"
        ' --out-dir "$(dirname {output.metrics:q})"'
        " 2>&1 | tee -i {log:q} >&2"


# All folds of a task under one name, for dvc.yaml, which does not know how many there are.
for task, folds in FOLDS.items():
    for init in INITS:

        rule:
            name:
                f"folds_{init}_{task}"
            input:
                expand(f"{FOLD}/metrics.json", task=task, init=init, fold=folds),
