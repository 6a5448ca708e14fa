"""The stages of the workflow: explicit inputs and outputs, handed to the module that the table of stages names."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiopg.cli.options import PARAMS, Card, Decoded, Encoder, Manifest, Params, Task, check_out, read_params
from audiopg.errors import AudiopgError
from audiopg.provenance.stages import load


class Init(StrEnum):
    """Where a classifier's encoder comes from."""

    pretrained = "pretrained"
    scratch = "scratch"


class Format(StrEnum):
    """How rendered clips lie on the disk."""

    folder = "folder"
    audiofolder = "audiofolder"
    webdataset = "webdataset"


def fetch(
    tasks: Annotated[list[str] | None, typer.Argument(help="Names of tasks; all of params.yaml if none.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Verify the files that are there, and repair them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be fetched; uses no network.")] = False,
    out: Annotated[Path | None, typer.Option(help="Record of one task's source to write (JSON).")] = None,
    params: Params = PARAMS,
) -> None:
    """Fetch the recordings of tasks to this machine."""
    from audiopg.fetch import store
    from audiopg.fetch.plan import plan
    from audiopg.tasks.registry import TASKS, find

    config = read_params(params)
    found = [TASKS[name] if name in TASKS else find(name, config.task(name)) for name in tasks or config.tasks]
    if out is not None and len(found) != 1:
        msg = "--out records the source of one task; name it"
        raise AudiopgError(msg)
    check_out(out, ".json")
    if dry_run:
        typer.echo(plan(found, config.features))
        return
    for task in found:
        (store.check if check else store.fetch)(task)
        if out is not None:
            load("fetch").run(config, task.card.name, out)


def prepare(
    task: Task,
    source: Annotated[Path, typer.Option(help="Record of the task's source (JSON).")],
    manifest: Annotated[Path, typer.Option(help="Manifest to write (CSV).")],
    card: Annotated[Path, typer.Option(help="Card of the task to write (JSON).")],
    params: Params = PARAMS,
) -> None:
    """List a task's recordings, check them against what was published and write their manifest."""
    check_out(manifest, ".csv")
    check_out(card, ".json")
    config = read_params(params)
    load("prepare").run(config, task, source, manifest, card)


def decode(
    task: Task,
    manifest: Manifest,
    out_dir: Annotated[Path, typer.Option(help="Folder for the spectrograms.")],
    card: Annotated[Path, typer.Option(help="Run card to write (JSON).")],
    threads: Annotated[int, typer.Option(min=1, help="Recordings to read at a time; changes no number.")] = 1,
    params: Params = PARAMS,
) -> None:
    """Decode the recordings of a task into log-mel spectrograms, once for all folds and probes."""
    config = read_params(params)
    load("decode").run(config, task, manifest, out_dir, card, threads)


def pretrain(
    resume: Annotated[Path, typer.Option(help="Folder for the state during the run.")],
    curves: Annotated[Path, typer.Option(help="Folder for curves that grow during the run.")],
    encoder: Annotated[Path, typer.Option(help="Weights to write (safetensors).")],
    model: Annotated[Path, typer.Option(help="Encoder, decoder and heads to write (safetensors).")],
    loss: Annotated[Path, typer.Option(help="Loss per step to write (CSV).")],
    card: Annotated[Path, typer.Option(help="Run card to write (JSON).")],
    params: Params = PARAMS,
) -> None:
    """Train an encoder on synthetic sound."""
    stage = load("pretrain")
    stage.run(read_params(params), resume, curves, stage.Outputs(encoder, model, loss, card))


def finetune(  # noqa: PLR0913, PLR0917  (the options)
    task: Task,
    fold: Annotated[int, typer.Option(help="Held-out fold, from 1.")],
    init: Annotated[Init, typer.Option(help="Where the encoder's weights come from.")],
    manifest: Manifest,
    card: Card,
    decoded: Decoded,
    resume: Annotated[Path, typer.Option(help="Folder for the state during the run.")],
    out_dir: Annotated[Path, typer.Option(help="Folder for metrics, predictions, losses, weights and card.")],
    encoder: Annotated[Path | None, typer.Option(help="Pre-trained encoder; only with --init pretrained.")] = None,
    params: Params = PARAMS,
) -> None:
    """Fine-tune a classifier on one fold of a task."""
    if (init is Init.pretrained) != (encoder is not None):
        msg = "--encoder is needed with --init pretrained, and allowed only there"
        raise AudiopgError(msg)
    config = read_params(params)
    load("finetune").run(config, task, fold, init.value, manifest, card, decoded, encoder, resume=resume, out=out_dir)


def probe(
    task: Task,
    manifest: Manifest,
    card: Card,
    decoded: Decoded,
    encoder: Encoder,
    out_dir: Annotated[Path, typer.Option(help="Folder for scores and card.")],
    params: Params = PARAMS,
) -> None:
    """Probe the frozen encoder and its controls on all folds of a task."""
    config = read_params(params)
    load("probe").run(config, task, manifest, card, decoded, encoder, out_dir)


def aggregate(
    folds: Annotated[list[Path], typer.Argument(help="metrics.json of each fine-tuned fold, next to its other files.")],
    card: Card,
    probe: Annotated[Path, typer.Option(help="Scores of the probe stage (JSON).")],
    out: Annotated[Path, typer.Option(help="Averages to write (JSON).")],
    out_dir: Annotated[Path, typer.Option(help="Folder for tables and pictures of all folds.")],
    params: Params = PARAMS,
) -> None:
    """Average the folds of a task, and collect the figures of its classes."""
    config = read_params(params)
    load("aggregate").run(config, card, folds, probe, out, out_dir)


def latent(
    encoder: Encoder,
    model: Annotated[Path, typer.Option(help="Model of the pre-training, for its decoder (safetensors).")],
    out_dir: Annotated[Path, typer.Option(help="Folder for claims, metrics, tables, figures and card.")],
    params: Params = PARAMS,
) -> None:
    """Analyse what the encoder's latent space knows about the physics of sound."""
    config = read_params(params)
    load("latent").run(config, encoder, model, out_dir)


def table(
    cards: Annotated[list[Path], typer.Argument(help="Card of each task (JSON).")],
    metrics: Annotated[Path, typer.Option(help="Folder with the averages, <task>.json.")],
    latent: Annotated[Path, typer.Option(help="Metrics of the latent analysis (JSON).")],
    loss: Annotated[Path, typer.Option(help="Loss per step of pre-training (CSV).")],
    run: Annotated[list[Path], typer.Option(help="Run card of a result behind the table; may be repeated.")],
    out_dir: Annotated[Path, typer.Option(help="Folder for the table, the picture of the loss and the run card.")],
    params: Params = PARAMS,
) -> None:
    """Write the results table, if its inputs were made by the present parameters and code."""
    config = read_params(params)
    load("table").run(config, cards, metrics, latent, loss, run, out_dir)


def render(  # noqa: PLR0913, PLR0917  (the options)
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    index: Annotated[str, typer.Option(help="Number of a clip, or a range such as 0:16.")] = "0:16",
    sheet: Annotated[Path | None, typer.Option(help="Picture of the spectrograms to write (PNG).")] = None,
    preset: Annotated[str | None, typer.Option(help="paper or world, at the paper's sizes; else params.yaml.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the corpus; else the seed of the parameters.")
    ] = None,
    twins: Annotated[bool, typer.Option("--twins", help="Two clips of each identity, one after the other.")] = False,
    form: Annotated[
        Format, typer.Option("--format", help="Plain folder with tables; or for the packages datasets, webdataset.")
    ] = Format.folder,
    clips_per_shard: Annotated[int | None, typer.Option(min=1, help="Only for --format webdataset; else 1000.")] = None,
    params: Params = PARAMS,
) -> None:
    """Render clips of the synthetic corpus: FLAC files, their physics, a sheet of spectrograms."""
    from audiopg.data.shards import CLIPS_PER_SHARD

    indices = _indices(index)
    if clips_per_shard is not None and form is not Format.webdataset:
        msg = f"--clips-per-shard: allowed only with --format webdataset, found --format {form}"
        raise AudiopgError(msg)
    if preset is None:
        config = read_params(params)
    else:
        from audiopg.config.profile import load as load_profile

        config = load_profile("paper", preset)
    seed = config.seed if seed is None else seed
    synth = config.synth.with_identities(2) if twins else config.synth
    per_shard = clips_per_shard or CLIPS_PER_SHARD
    load("render").run(synth, config.features, seed, indices, out, sheet, form.value, per_shard)


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


def gallery(
    out_dir: Annotated[Path, typer.Option(help="Folder for gallery.html and its run card.")],
    params: Params = PARAMS,
) -> None:
    """Write a page to hear and see: each source by itself, several together, their physics in words."""
    config = read_params(params)
    load("gallery").run(config.synth, config.features, config.seed, out_dir)


def checksums(
    folder: Annotated[Path, typer.Argument(help="Folder with shards and their run cards.")],
    clips: Annotated[int, typer.Option(min=1, help="Number of clips that the corpus has.")],
) -> None:
    """Write SHA256SUMS for the shards of a corpus, which must be complete and made alike."""
    from audiopg.data import shards

    shards.run(folder, clips)


def code(out: Annotated[Path, typer.Option(help="JSON file to write.")], params: Params = PARAMS) -> None:
    """Write a digest of the code behind each stage, and of the lists of your own recordings."""
    from audiopg import storage
    from audiopg.provenance import dvc_sync

    check_out(out, ".json")
    storage.write_json(out, dvc_sync.watched(read_params(params)))
