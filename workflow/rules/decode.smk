rule decode:
    input:
        manifest=MANIFEST,
    output:
        **DECODED,
        run="results/tasks/{task}/decode-run.json",
    log:
        "logs/decode/{task}.log",
    # beside a pre-training with 4 and a download with 1, on 8 cores
    threads: min(3, CONFIG.pretrain.n_threads)
    resources:
        mem_mb=4000,
        runtime="12h",
    params:
        *reads("decode"),
        code=CODE["decode"],
    shell:
        "audiopg decode --task {wildcards.task:q} --manifest {input.manifest:q} --threads {threads}"
        ' --out-dir "$(dirname {output.frames:q})" --card {output.run:q} 2>&1 | tee -i {log:q} >&2'
