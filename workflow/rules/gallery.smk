GALLERY = "results/sound/gallery"


rule gallery:
    output:
        page=report(
            f"{GALLERY}/gallery.html",
            category="Sound",
            caption="../report/gallery.rst",
        ),
        run=f"{GALLERY}/run.json",
    log:
        "logs/gallery.log",
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        *reads("gallery"),
        code=CODE["gallery"],
    shell:
        'audiopg gallery --out-dir "$(dirname {output.page:q})" 2>&1 | tee -i {log:q} >&2'
