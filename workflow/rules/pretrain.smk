rule pretrain:
    output:
        encoder=ENCODER,
        state="results/pretrain/state.safetensors",
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
        " --state {output.state:q} --loss {output.loss:q} --card {output.run:q} 2>&1 | tee -i {log:q} >&2"
