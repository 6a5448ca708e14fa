rule decode:
    input:
        manifest=MANIFEST,
    output:
        **DECODED,
        run="results/tasks/{task}/decode-run.json",
    log:
        "logs/decode/{task}.log",
    threads: CONFIG.pretrain.n_threads  # as many as a machine has to have anyway
    resources:
        mem_mb=4000,
        runtime="12h",
    params:
        *reads("decode"),
        code=CODE["decode"],
    shell:
        "audiopg decode --task {wildcards.task:q} --manifest {input.manifest:q} --threads {threads}"
        ' --out-dir "$(dirname {output.frames:q})" --card {output.run:q} 2>&1 | tee -i {log:q} >&2'
