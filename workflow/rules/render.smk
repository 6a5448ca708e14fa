CLIPS = 16
SOUND = "results/sound/clips"


rule render:
    output:
        sheet=report(
            "results/sound/sheet.png",
            category="Sound",
            caption="../report/sheet.rst",
        ),
        clips=expand(f"{SOUND}/{{clip:06d}}.flac", clip=range(CLIPS)),
        tables=expand(f"{SOUND}/{{name}}.csv", name=["clips", "voices", "events"]),
        run=f"{SOUND}/run.json",
    log:
        "logs/render.log",
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        *reads("render"),
        code=CODE["render"],
        n_clips=CLIPS,
    shell:
        'audiopg render --index 0:{params.n_clips:q} --out "$(dirname {output.run:q})" --sheet {output.sheet:q}'
        " 2>&1 | tee -i {log:q} >&2"
