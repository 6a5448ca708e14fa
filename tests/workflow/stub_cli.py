"""Stand-in for ``audiopg/cli.py``: writes what each command must write, from nothing but what the stage may read.

``STUB_PAUSE`` is how many seconds pass before each file, ``STUB_LOG`` where calls are listed instead of ``calls.log``.
"""

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path

from audiopg import ledger, params, storage
from audiopg.errors import AudiopgError

FOLD = ("metrics.json", "predictions.csv", "loss.csv", "classifier.safetensors", "card.json")
LATENT = ("metrics.json", "r2_per_layer.csv", "r2_per_layer.png", "embedding.png", "card.json")
PROBE = ("scores.json", "card.json")
TABLE = ("table.csv", "table.md")
FOLDERS = {"finetune": FOLD, "probe": PROBE, "latent": LATENT, "table": TABLE}


def main() -> None:
    """Run one command; the log of all calls is in ``calls.log``."""
    if "AUDIOPG_RUN" in os.environ:
        ledger.follow()
    try:
        command(sys.argv[1], sys.argv[2:])
    except AudiopgError as error:
        sys.exit(f"audiopg: {error}")


def command(stage: str, arguments: list[str]) -> None:
    """Write every output of ``stage``: the digest of its name, its parameters and its input files."""
    if stage == os.environ.get("STUB_FAILS"):
        msg = f"{stage} fails on demand"
        raise AudiopgError(msg)
    if stage in {"track", "sync"}:
        getattr(ledger, stage)()
        return
    config = params.load(Path("params.yaml"))
    given = parse(arguments)
    if stage == "code":
        storage.write_json(Path(given.out), ledger.watched(config))
        return
    if stage == "finetune" and bool(given.encoder) != (given.init == "pretrained"):
        sys.exit("--encoder goes with --init pretrained")
    made, read = files(stage, given)
    parts = [stage, given.task, given.fold, given.init, params.canonical(params.reads(config, stage, given.task))]
    content = hashlib.sha256("\n".join(parts + [path.read_text() for path in read]).encode()).hexdigest()
    with Path(os.environ.get("STUB_LOG", "calls.log")).open("a") as log:
        log.write(f"{stage} {given.task} {given.init}{given.fold}".strip() + "\n")
    sys.stderr.write(f"{stage}: working\n")
    for path in made:
        time.sleep(float(os.environ.get("STUB_PAUSE", "0")))
        storage.write_text(path, text(path, content))


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the options of any command."""
    parser = argparse.ArgumentParser()
    for option in ("task", "out", "out-dir", "resume", "state", "loss", "fold", "init"):
        parser.add_argument(f"--{option}", default="")
    for option in ("manifest", "card", "probe", "latent", "metrics", "encoder"):
        parser.add_argument(f"--{option}", type=Path)
    parser.add_argument("files", nargs="*", type=Path)
    return parser.parse_args(arguments)


def files(stage: str, given: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Return what a command writes and what it reads."""
    if stage == "fetch":
        (given.task,) = map(str, given.files)
        return [Path(given.out)], []
    if stage == "prepare":
        return [given.manifest, given.card], [given.manifest.with_name("source.json")]
    if stage == "aggregate":
        given.task = given.card.parent.name
    if stage == "pretrain":
        return [Path(path) for path in (given.encoder, given.state, given.loss, given.card)], []
    made = [Path(given.out)] if given.out else [Path(given.out_dir) / name for name in FOLDERS[stage]]
    read = [given.manifest, given.card, given.probe, given.latent, given.encoder, *given.files]
    if stage == "table":
        read += [given.metrics / f"{card.parent.name}.json" for card in given.files]
    return made, [path for path in read if path]


def text(path: Path, content: str) -> str:
    """Return a file of the right format that holds ``content``."""
    number = int(content[:6], 16) / 2**24
    if path.suffix == ".json":
        return f'{{"value": {number:.4f}, "digest": "{content}"}}\n'
    if path.suffix == ".csv":
        return f"step,loss,layer,r2,digest\n0,{number:.4f},0,{number:.4f},{content}\n"
    return content
