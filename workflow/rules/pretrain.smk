rule pretrain:
    output:
        encoder=ENCODER,
        model="results/pretrain/model.safetensors",
        loss="results/pretrain/loss.csv",
        run="results/pretrain/run.json",
    log:
        "logs/pretrain.log",
    threads: CONFIG.pretrain.n_threads
    resources:
        gpu=GPU,
        mem_mb=16000,
        runtime="24h",
    params:
        *reads("pretrain"),
        code=CODE["pretrain"],
    shell:
        "audiopg pretrain --resume resume/pretrain --curves logs/pretrain --encoder {output.encoder:q}"
        " --model {output.model:q} --loss {output.loss:q} --card {output.run:q} 2>&1 | tee -i {log:q} >&2"
