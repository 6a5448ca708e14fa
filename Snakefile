# The one graph, from params.yaml to the results table. A rule calls one `audiopg` command.
# Its params are the parameters that it reads and the digest of its code, so that Snakemake
# runs it again when one of them changes.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

from audiopg import gpus
from audiopg.config import params
from audiopg.errors import AudiopgError
from audiopg.provenance import dvc_sync, watchdog
from audiopg.provenance.stages import STAGES
from audiopg.provenance.stages import reads as slices_of
from audiopg.storage import canonical
from audiopg.tasks import registry

min_version("9.0")


report: "workflow/report/workflow.rst"


# the environment's own programs first, also where it is not activated
BIN = os.path.dirname(sys.executable)
os.environ["PATH"] = BIN + os.pathsep + os.environ["PATH"]
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


# a cluster signals a job's shell and `tee` as well; they wait for the command, which handles it
shell.prefix("trap '' TERM; set -euo pipefail; ")


def refuse(error):
    """End the run as every command ends that meets what it cannot do."""
    sys.stderr.write(f"audiopg: {error}\n")
    sys.exit(2)


try:
    CONFIG = params.load(Path("params.yaml"))
    CARDS = {
        name: registry.find(name, section).card
        for name, section in CONFIG.tasks.items()
    }
    CODE = dvc_sync.watched(CONFIG)
    if (
        workflow.is_main_process
    ):  # on a cluster, jobs read this file in the middle of a run
        watchdog.follow()
        dvc_sync.guard()
    watchdog.lead()
except AudiopgError as error:
    refuse(error)

FOLDS = {name: range(1, card.n_folds + 1) for name, card in CARDS.items()}
INITS = ["pretrained", "scratch"]
# the profile lets one job at a time have the GPU; on the CPU, folds run in parallel
GPUS = {"cpu": 0, "cuda": 1, "auto": int(gpus.present())}
GPU = GPUS[CONFIG.compute.device]
ENCODER = "results/pretrain/encoder.safetensors"
MANIFEST = "results/tasks/{task}/manifest.csv"
CARD = "results/tasks/{task}/card.json"
DECODED = {
    name: f"results/decoded/{{task}}/{file}"
    for name, file in {"frames": "frames.f16", "starts": "starts.npy"}.items()
}
FOLD = "results/finetune/{task}/{init}/fold{fold}"
SUMMARY = "results/summary/{task}"
TABLES = ["confusion", "classes", "loss", "search"]
# the run cards of all results behind the table
RUNS = [
    "results/pretrain/run.json",
    "results/latent/run.json",
    *expand(
        "results/tasks/{task}/{stage}-run.json",
        task=CONFIG.tasks,
        stage=["fetch", "prepare", "decode"],
    ),
    *expand("results/probe/{task}/run.json", task=CONFIG.tasks),
    *expand(f"{SUMMARY}/run.json", task=CONFIG.tasks),
    *[
        f"{FOLD}/run.json".format(task=task, init=init, fold=fold)
        for task, folds in FOLDS.items()
        for init in INITS
        for fold in folds
    ],
]


def reads(stage):
    """List what a stage reads as one param per name: a rerun's reason shows which changed."""

    def read(number):
        def value(wildcards):
            slices = slices_of(CONFIG, stage, wildcards.get("task", ""))
            return canonical(list(slices.items())[number])

        return value

    return [read(number) for number in range(len(STAGES[stage].reads))]


wildcard_constraints:
    task="|".join(CONFIG.tasks),
    init="|".join(INITS),
    fold=r"\d+",


include: "workflow/rules/code.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/decode.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/latent.smk"
include: "workflow/rules/table.smk"
include: "workflow/rules/render.smk"
include: "workflow/rules/gallery.smk"


onstart:
    from audiopg.cli import preflight  # which loads torch

    try:
        preflight.check(CONFIG, computes_here=workflow.local_exec)
    except AudiopgError as error:
        refuse(error)
    dvc_sync.begin()


onsuccess:
    dvc_sync.end()


rule all:
    default_target: True
    input:
        "results/code.json",
        "results/table.md",
        "results/sound/sheet.png",
        report(
            "params.yaml", category="Parameters", caption="workflow/report/params.rst"
        ),
        # files that are not in git: a fresh clone has everything else
        ENCODER,
        "results/sound/clips/run.json",
        "results/sound/gallery/gallery.html",
        [
            expand(f"{FOLD}/metrics.json", task=task, init=INITS, fold=folds)
            for task, folds in FOLDS.items()
        ],
