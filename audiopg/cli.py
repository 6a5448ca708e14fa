"""The command line: one subcommand per stage, with explicit inputs and outputs."""

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiopg import lifeline
from audiopg.errors import AudiopgError

if TYPE_CHECKING:
    from audiopg.config import Config

app = typer.Typer(
    help="Learn to hear from procedural sound; evaluate on real recordings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Measure speed on this machine.", no_args_is_help=True)
app.add_typer(bench, name="bench")

INTERRUPTED = 130
PARAMS = Path("params.yaml")
PROFILES = Path("workflow/params")

Params = Annotated[Path, typer.Option(help="Parameter file.")]
Task = Annotated[str, typer.Option(help="Name of the task.")]
Manifest = Annotated[Path, typer.Option(help="The task's manifest (CSV).")]
Card = Annotated[Path, typer.Option(help="The task's card (JSON).")]
Encoder = Annotated[Path, typer.Option(help="Weights of the pre-trained encoder (safetensors).")]


class Init(StrEnum):
    """Where a classifier's encoder comes from."""

    pretrained = "pretrained"
    scratch = "scratch"


def _config(path: Path) -> "Config":
    from audiopg import params

    config = params.load(path)
    if config.data.mirror:  # no number depends on it, so it goes beside the stages, as AUDIOPG_DATA does
        os.environ.setdefault("AUDIOPG_MIRROR", config.data.mirror)
    return config


@app.command()
def profile(
    name: Annotated[str, typer.Argument(help="quick, small, paper or test.")],
    preset: Annotated[str, typer.Option(help="What the corpus sounds like: paper or world.")] = "paper",
    out: Annotated[Path, typer.Option(help="File to write.")] = PARAMS,
) -> None:
    """Write params.yaml: paper.yaml with the overlays of a preset and of the profile laid over it."""
    from audiopg import profiles, storage

    storage.write_text(out, profiles.profile(name, PROFILES, preset))


@app.command()
def render(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    index: Annotated[str, typer.Option(help="Number of a clip, or a range as 0:16.")] = "0:16",
    sheet: Annotated[Path | None, typer.Option(help="Picture of the spectrograms; else sheet.png in there.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper or world, at the paper's sizes; else params.yaml.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Names the corpus; that of the parameters if not given.")
    ] = None,
    params: Params = PARAMS,
) -> None:
    """Render clips of the synthetic corpus: FLAC files, tables of their physics, a sheet of spectrograms."""
    indices = _indices(index)
    if preset is None:
        config = _config(params)
    else:
        from audiopg import profiles

        config = profiles.preset(preset, PROFILES)
    from audiopg.data import render as stage

    seed = config.seed if seed is None else seed
    stage.run(config.synth, config.features, seed, indices, out, sheet or out / "sheet.png")


def _indices(text: str) -> range:
    """Read ``7`` or ``0:16``."""
    first, colon, last = text.partition(":")
    if not first.isdecimal() or not (last.isdecimal() if colon else not last):
        msg = f"--index: a number or a range such as 0:16 is needed, found '{text}'"
        raise AudiopgError(msg)
    indices = range(int(first), int(last) if colon else int(first) + 1)
    if indices.stop > 1 << 62:
        msg = f"--index: clips are numbered up to 2^62, found '{text}'"
        raise AudiopgError(msg)
    if not indices:
        msg = f"--index: {text} holds no clip"
        raise AudiopgError(msg)
    return indices


@app.command()
def code(out: Annotated[Path, typer.Option(help="JSON file to write.")], params: Params = PARAMS) -> None:
    """Write a digest of the code behind each stage, and of the lists of your own recordings."""
    from audiopg import ledger, storage

    storage.write_json(out, ledger.watched(_config(params)))


@app.command()
def fetch(
    tasks: Annotated[list[str] | None, typer.Argument(help="Names of tasks; all of params.yaml if none.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Verify what lies there, and mend it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be fetched; uses no network.")] = False,
    out: Annotated[Path | None, typer.Option(help="Record of one task's source to write (JSON).")] = None,
    params: Params = PARAMS,
) -> None:
    """Bring the recordings of tasks to this machine."""
    from audiopg.data import fetch as stage
    from audiopg.data.plan import plan
    from audiopg.tasks import TASKS, find, own

    config = _config(params)
    found = [TASKS[name] if name in TASKS else find(name, config.task(name)) for name in tasks or config.tasks]
    if out is not None and len(found) != 1:
        msg = "--out records the source of one task; name it"
        raise AudiopgError(msg)
    if dry_run:
        typer.echo(plan(found, config.features))
        return
    for task in found:
        (stage.check if check else stage.fetch)(task)
        if out is not None:
            stage.record(task, own.digest(config.task(task.card.name)), out)


@app.command("list")
def list_folder(
    folder: Annotated[Path, typer.Argument(help="Folder of recordings, one subfolder per class.")],
    out: Annotated[Path, typer.Option(help="List to write (CSV); see docs/recordings.md.")],
) -> None:
    """List your own recordings, labelled by the folders that they lie in."""
    from audiopg import storage
    from audiopg.tasks import own

    storage.write_text(out, own.scan(folder))


@app.command()
def prepare(
    task: Task,
    source: Annotated[Path, typer.Option(help="Record of the task's source (JSON).")],
    manifest: Annotated[Path, typer.Option(help="Manifest to write (CSV).")],
    card: Annotated[Path, typer.Option(help="Card of the task to write (JSON).")],
    params: Params = PARAMS,
) -> None:
    """List a task's recordings, check them against what was published and write their manifest."""
    config = _config(params)
    from audiopg.data import prepare as stage

    stage.run(config, task, source, manifest, card)


@app.command()
def pretrain(
    resume: Annotated[Path, typer.Option(help="Folder that keeps the state while the run lasts.")],
    live: Annotated[Path, typer.Option(help="Folder for curves that grow while it lasts.")],
    encoder: Annotated[Path, typer.Option(help="Weights to write (safetensors).")],
    state: Annotated[Path, typer.Option(help="Full final state to write (safetensors).")],
    loss: Annotated[Path, typer.Option(help="Loss per step to write (CSV).")],
    card: Annotated[Path, typer.Option(help="Run card to write (JSON).")],
    params: Params = PARAMS,
) -> None:
    """Train a masked autoencoder on synthetic sound."""
    config = _config(params)
    from audiopg.train import pretrain as stage

    stage.run(config, resume, live, stage.Outputs(encoder, state, loss, card))


@app.command()
def finetune(  # noqa: PLR0913, PLR0917  (the options)
    task: Task,
    fold: Annotated[int, typer.Option(help="Held-out fold, from 1.")],
    init: Annotated[Init, typer.Option(help="Where the encoder's weights come from.")],
    manifest: Manifest,
    card: Card,
    resume: Annotated[Path, typer.Option(help="Folder that keeps the state while the run lasts.")],
    out_dir: Annotated[Path, typer.Option(help="Folder for metrics, predictions, losses, weights and card.")],
    encoder: Annotated[Path | None, typer.Option(help="Pre-trained encoder; not from scratch.")] = None,
    params: Params = PARAMS,
) -> None:
    """Fine-tune a classifier on one fold of a task."""
    if (init is Init.pretrained) != (encoder is not None):
        msg = "--encoder goes with --init pretrained, and only with it"
        raise AudiopgError(msg)
    config = _config(params)
    from audiopg.train import finetune as stage

    start: Literal["pretrained", "scratch"] = init.value
    stage.run(config, task, fold, start, manifest, card, encoder, resume=resume, out=out_dir)


@app.command()
def probe(
    task: Task,
    manifest: Manifest,
    card: Card,
    encoder: Encoder,
    out_dir: Annotated[Path, typer.Option(help="Folder for scores and card.")],
    params: Params = PARAMS,
) -> None:
    """Probe the frozen encoder and its controls on all folds of a task."""
    config = _config(params)
    from audiopg.evaluate import probes as stage

    stage.run(config, task, manifest, card, encoder, out_dir)


@app.command()
def embed(
    files: Annotated[list[Path], typer.Argument(help="Recordings, and folders of them.")],
    checkpoint: Annotated[Path, typer.Option(help="Weights of the pre-trained encoder, run.json beside them.")],
    out: Annotated[Path, typer.Option(help="Table to write (.parquet or .csv).")],
    timestamps: Annotated[bool, typer.Option("--timestamps", help="A row every 40 ms or so, not one a file.")] = False,
) -> None:
    """Embed recordings of any length with the pre-trained encoder."""
    from audiopg import embed as stage

    stage.run(files, checkpoint, out, timestamps=timestamps)


@app.command()
def aggregate(
    folds: Annotated[list[Path], typer.Argument(help="metrics.json of each fine-tuned fold, beside its other files.")],
    card: Card,
    probe: Annotated[Path, typer.Option(help="Scores of the probe stage (JSON).")],
    out: Annotated[Path, typer.Option(help="Averages to write (JSON).")],
    out_dir: Annotated[Path, typer.Option(help="Folder for tables and pictures of all folds.")],
    params: Params = PARAMS,
) -> None:
    """Average the folds of a task, and gather what they tell of its classes."""
    config = _config(params)
    from audiopg.evaluate import aggregate as stage

    stage.run(config, card, folds, probe, out, out_dir)


@app.command()
def latent(
    encoder: Encoder,
    state: Annotated[Path, typer.Option(help="State of the pre-training: its decoder reconstructs (safetensors).")],
    out_dir: Annotated[Path, typer.Option(help="Folder for claims, metrics, tables, figures and card.")],
    params: Params = PARAMS,
) -> None:
    """Ask the encoder's latent space about the physics of sound."""
    config = _config(params)
    from audiopg.analysis import latent as stage

    stage.run(config, encoder, state, out_dir)


@app.command()
def table(
    cards: Annotated[list[Path], typer.Argument(help="Card of each task (JSON).")],
    metrics: Annotated[Path, typer.Option(help="Folder with the averages, <task>.json.")],
    latent: Annotated[Path, typer.Option(help="Metrics of the latent analysis (JSON).")],
    loss: Annotated[Path, typer.Option(help="Loss per step of pre-training (CSV).")],
    run: Annotated[list[Path], typer.Option(help="Run card of a result that the table rests on; any number.")],
    out_dir: Annotated[Path, typer.Option(help="Folder for the table, the picture of the loss and the run card.")],
    params: Params = PARAMS,
) -> None:
    """Write the results table, if what it rests on was made by the present parameters and code."""
    config = _config(params)
    from audiopg import report as stage

    stage.run(config, cards, metrics, latent, loss, run, out_dir)


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="Results of runs that differ in their seed.")],
    along: Annotated[str | None, typer.Option(help="Parameter that may differ too, such as pretrain.n_steps.")] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write (CSV).")] = None,
    markdown: Annotated[Path | None, typer.Option(help="The printed table to write (Markdown).")] = None,
    picture: Annotated[Path | None, typer.Option(help="Curves over that parameter to write (PNG).")] = None,
) -> None:
    """Pool runs that differ in their seed: figures over folds and seeds, and tests of their differences."""
    from audiopg import compare as stage

    typer.echo(stage.run(folders, out, markdown, along, picture), nl=False)


@app.command()
def verify(
    files: Annotated[list[Path] | None, typer.Argument(help="Results to trace down to the recordings.")] = None,
    params: Params = PARAMS,
) -> None:
    """Hold all results against their run cards, the parameters and the code, and say what each number was made from."""
    from audiopg import verification

    config = _config(params)
    for line in verification.verify(config, files or []):
        typer.echo(line)


@app.command()
def graph(
    out: Annotated[Path, typer.Option(help="Picture to write (SVG).")],
    dot: Annotated[Path, typer.Option(help="The same for Graphviz to write (DOT).")],
) -> None:
    """Draw the rules of the Snakefile, and which reads what another makes."""
    from audiopg import graph as stage

    stage.run(out, dot)


@app.command()
def cost(
    profile: Annotated[str | None, typer.Option(help="quick, small, paper or test; else params.yaml.")] = None,
    flops: Annotated[float, typer.Option(help="Peak FLOP/s in training; an A100's in bfloat16.")] = 312e12,
    utilisation: Annotated[float, typer.Option(help="Share of the peak that is sustained.")] = 0.3,
    float32_flops: Annotated[
        float | None, typer.Option(help="Peak FLOP/s in float32, in which evaluation runs; else --flops / 8.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    params: Params = PARAMS,
) -> None:
    """Tell what each stage will take, before it runs: parameters, FLOPs, memory, data rate, time."""
    import json

    from audiopg import cost as stage

    config = _config(params) if profile is None else stage.of_profile(profile, PROFILES)
    name, speed = profile or params.as_posix(), stage.Speed(flops, utilisation, float32_flops)
    if as_json:
        typer.echo(json.dumps(stage.estimate(config, name, speed), indent=2))
    else:
        typer.echo(stage.table(config, name, speed))


@app.command()
def export(
    encoder: Encoder,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    results: Annotated[Path, typer.Option(help="Folder with the results table and its run card.")] = Path("results"),
) -> None:
    """Write the encoder as a folder for a model hub: weights, configuration, model card."""
    from audiopg import export as stage

    stage.run(encoder, results, out)


@app.command()
def track() -> None:
    """Record what Snakemake made in dvc.lock."""
    from audiopg import ledger

    ledger.track()


@app.command()
def sync() -> None:
    """Check out what dvc.lock describes and tell Snakemake about it."""
    from audiopg import ledger

    ledger.sync()


@bench.command("synth")
def bench_synth(
    preset: Annotated[str, typer.Option(help="What the corpus sounds like: paper or world.")] = "paper",
    clip_s: Annotated[float, typer.Option(help="Length of a clip in s, up to 3600.")] = 10.24,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips per call.")] = 32,
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure each number of threads.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure synthesis and log-mel spectrograms, on one thread and on all cores."""
    import json

    from audiopg import bench as stage

    result = stage.run(preset, PROFILES, clip_s, batch_size, seconds)
    typer.echo(json.dumps(result, indent=2) if as_json else stage.table(result))


def main() -> None:
    """Run the command line; an expected failure is one line and exit code 2, Ctrl-C or SIGTERM one line and 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's way to stop a job leaves no half files
    lifeline.follow()
    try:
        app()
    except AudiopgError as error:
        sys.stderr.write(f"audiopg: {error}\n")
        sys.exit(2)
    except OSError as error:
        sys.stderr.write(f"audiopg: {error.filename or 'input or output'}: {error.strerror or error}\n")
        sys.exit(2)
    except SystemExit as stop:  # typer turns Ctrl-C into the shell's code for it, without a word
        if stop.code == INTERRUPTED:
            sys.stderr.write("audiopg: interrupted; run `snakemake` again to continue\n")
        raise
