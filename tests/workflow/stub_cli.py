"""Stand-in for ``audiopg/cli.py``: writes what each command must write, from nothing but what the stage may read."""

import argparse
import hashlib
import os
import sys
from pathlib import Path

from audiopg import closure, ledger, params, storage
from audiopg.errors import AudiopgError

FOLD = ("metrics.json", "predictions.csv", "loss.csv", "classifier.safetensors", "card.json")
LATENT = ("metrics.json", "r2_per_layer.csv", "r2_per_layer.png", "embedding.png", "card.json")
PROBE = ("scores.json", "card.json")
TABLE = ("table.csv", "table.md")
FOLDERS = {"finetune": FOLD, "probe": PROBE, "latent": LATENT, "table": TABLE}


def main() -> None:
    """Run one command; the log of all calls is in ``calls.log``."""
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
    parser = argparse.ArgumentParser()
    for option in ("task", "out", "out-dir", "resume", "encoder", "state", "loss", "card", "fold", "init"):
        parser.add_argument(f"--{option}", default="")
    for option in ("manifest", "probe", "latent"):
        parser.add_argument(f"--{option}", type=Path)
    parser.add_argument("metrics", nargs="*", type=Path)
    given = parser.parse_args(arguments)
    if stage == "code":
        storage.write_json(Path(given.out), closure.stage_digests())
        return
    config = params.load(Path("params.yaml"))
    made = [Path(given.out)] if given.out else [Path(given.out_dir) / name for name in FOLDERS.get(stage, ())]
    read = [path for path in (given.manifest, given.probe, given.latent, *given.metrics) if path]
    if stage == "pretrain":
        made = [Path(path) for path in (given.encoder, given.state, given.loss, given.card)]
    elif given.encoder:
        read.append(Path(given.encoder))
    if stage == "finetune" and bool(given.encoder) != (given.init == "pretrained"):
        sys.exit("--encoder goes with --init pretrained")
    parts = [stage, given.task, given.fold, given.init, params.canonical(params.reads(config, stage, given.task))]
    content = hashlib.sha256("\n".join(parts + [path.read_text() for path in read]).encode()).hexdigest()
    with Path("calls.log").open("a") as log:
        log.write(f"{stage} {given.task} {given.init}{given.fold}".strip() + "\n")
    sys.stderr.write(f"{stage}: working\n")
    for path in made:
        storage.write_text(path, text(path, content))


def text(path: Path, content: str) -> str:
    """Return a file of the right format that holds ``content``."""
    number = int(content[:6], 16) / 2**24
    if path.suffix == ".json":
        return f'{{"value": {number:.4f}, "digest": "{content}"}}\n'
    if path.suffix == ".csv":
        return f"step,loss,layer,r2,digest\n0,{number:.4f},0,{number:.4f},{content}\n"
    return content
