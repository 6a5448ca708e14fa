"""Stand-in for ``audiopg/cli/app.py``: writes what each command must write, from nothing but what the stage may read.

``STUB_PAUSE`` is how many seconds pass before each file (``STUB_PAUSE_<stage>`` for those of one stage), ``STUB_LOG``
where calls are listed instead of ``calls.log``, ``STUB_TIMES`` where beginning, end and GPU of each are listed.
``STUB_LASTS=pretrain:decode:2`` lets one stage last until another one is listed there so often.
"""

import argparse
import hashlib
import os
import struct
import sys
import time
import zlib
from pathlib import Path

from audiopg import gpus, storage
from audiopg.config import params
from audiopg.errors import AudiopgError
from audiopg.provenance import dvc_sync, run_cards, stages, watchdog

FOLD = (
    "metrics.json",
    *(f"{name}.csv" for name in ("predictions", "classes", "loss", "search")),
    "run.json",
)
LATENT_PICTURES = ("decodability", "angles", "interventions", "embedding", "filters", "attention", "reconstructions")
LATENT_TABLES = (*LATENT_PICTURES, "best_probes", "units", "filter_spectrum")
LATENT = (
    "metrics.json",
    "claims.md",
    *(f"{name}.csv" for name in LATENT_TABLES),
    *(f"{name}{theme}.png" for name in LATENT_PICTURES for theme in ("", "-dark")),
    "run.json",
)
DECODED = ("frames.f16", "starts.npy")
PROBE = ("scores.json", "choices.csv", "run.json")
DRAWN = ("confusion", "classes", "loss")
AGGREGATE = (
    "run.json",
    *(f"{init}_{name}.csv" for init in ("pretrained", "scratch") for name in (*DRAWN, "search")),
    *(f"{name}.png" for name in DRAWN),
)
TABLE = ("table.csv", "table.md", "pretraining.png", "run.json")
SOUND = ("clips.csv", "voices.csv", "events.csv", "run.json")
GALLERY = ("gallery.html", "run.json")
GPU_STAGES = ("pretrain", "finetune", "probe", "latent")
FOLDERS = {
    "finetune": FOLD,
    "probe": PROBE,
    "aggregate": AGGREGATE,
    "latent": LATENT,
    "table": TABLE,
    "gallery": GALLERY,
}


def main() -> None:
    """Run one command; the log of all calls is in ``calls.log``."""
    watchdog.follow()
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
        getattr(dvc_sync, stage)()
        return
    config = params.load(Path("params.yaml"))
    given = parse(arguments)
    if stage == "code":
        storage.write_json(Path(given.out), dvc_sync.watched(config))
        return
    if stage == "finetune" and bool(given.encoder) != (given.init == "pretrained"):
        sys.exit("--encoder goes with --init pretrained")
    made, read = files(stage, given)
    parts = [stage, given.task, given.fold, given.init, storage.canonical(stages.reads(config, stage, given.task))]
    content = hashlib.sha256("\n".join(parts + [path.read_text() for path in read]).encode()).hexdigest()
    with Path(os.environ.get("STUB_LOG", "calls.log")).open("a") as log:
        log.write(f"{stage} {given.task} {given.init}{given.fold}".strip() + "\n")
    sys.stderr.write(f"{stage}: working\n")
    if stage in GPU_STAGES and config.compute.device == "cuda":
        gpus.take()
    began = time.time()
    last(stage)
    cards = [path for path in made if path.name.endswith("run.json")]
    made = [path for path in made if path not in cards]
    for path in made:
        time.sleep(float(os.environ.get(f"STUB_PAUSE_{stage}", os.environ.get("STUB_PAUSE", "0"))))
        with storage.replacing(path) as temporary:
            temporary.write_bytes(png(content) if path.suffix == ".png" else text(path, content).encode())
    for path in cards:
        reads = stages.reads(config, stage, given.task)
        run_cards.write_card(path, stage, reads, read, made, task=given.task or None, init=given.init)
    if "STUB_TIMES" in os.environ:
        with Path(os.environ["STUB_TIMES"]).open("a") as log:
            log.write(f"{stage} {began} {time.time()} {os.environ.get(gpus.VISIBLE, '-')}\n")


def last(stage: str) -> None:
    """Wait until ``STUB_LASTS`` is fulfilled, if it is about this stage; a minute at most."""
    lasts, other, count = os.environ.get("STUB_LASTS", "::").split(":")
    if stage == lasts:
        times, until = Path(os.environ["STUB_TIMES"]), time.monotonic() + 60
        while time.monotonic() < until:
            if times.exists() and times.read_text().count(f"{other} ") >= int(count):
                return
            time.sleep(0.1)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the options of any command."""
    parser = argparse.ArgumentParser()
    for option in ("task", "out", "out-dir", "resume", "curves", "model", "loss", "fold", "init", "index", "threads"):
        parser.add_argument(f"--{option}", default="")
    for option in ("source", "manifest", "card", "probe", "latent", "metrics", "encoder", "sheet", "decoded"):
        parser.add_argument(f"--{option}", type=Path)
    parser.add_argument("--run", type=Path, action="append", default=[])
    parser.add_argument("files", nargs="*", type=Path)
    return parser.parse_args(arguments)


def files(stage: str, given: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Return what a command writes and what it reads."""
    if stage == "fetch":
        (given.task,) = map(str, given.files)
        return [Path(given.out), Path(given.out).with_name("fetch-run.json")], []
    if stage == "prepare":
        return [given.manifest, given.card, given.manifest.with_name("prepare-run.json")], [given.source]
    if stage == "decode":
        return [Path(given.out_dir) / name for name in DECODED] + [given.card], [given.manifest]
    if stage == "render":
        clips = [f"{clip:06d}.flac" for clip in range(*map(int, given.index.split(":")))]
        return [given.sheet, *(Path(given.out) / name for name in (*clips, *SOUND))], []
    if stage == "aggregate":
        given.task = given.card.parent.name
    if stage == "pretrain":
        return [*map(Path, (given.encoder, given.model, given.card, given.loss))], []
    made = [Path(given.out)] if given.out else []
    made += [Path(given.out_dir) / name for name in FOLDERS[stage]]
    read = [
        given.manifest,
        given.card,
        *(given.decoded / name for name in DECODED if given.decoded),
        given.probe,
        given.latent,
        given.encoder,
        *given.run,
        *given.files,
    ]
    if stage == "latent":
        read.append(Path(given.model))
    if stage == "table":
        read += [Path(given.loss), *(given.metrics / f"{card.parent.name}.json" for card in given.files)]
    return made, [path for path in read if path]


def text(path: Path, content: str) -> str:
    """Return a file of the right format that holds ``content``."""
    number = int(content[:6], 16) / 2**24
    if path.suffix == ".json":
        return f'{{"value": {number:.4f}, "digest": "{content}"}}\n'
    if path.suffix == ".csv":
        words, numbers = (
            ["class", "actual", "predicted", "factor"],
            ["step", "epoch", "loss", "layer", "score", "x", "y"],
        )
        numbers += ["null_deg", "angle_deg", "r2_before", "r2_after", "number", "share", "component", "time_ms"]
        head = ",".join([*words, *numbers, "digest"])
        return f"{head}\n{'a,' * len(words)}{f'{number:.4f},' * len(numbers)}{content}\n"
    if path.suffix == ".svg":
        return f'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><title>{content}</title></svg>\n'
    return content


def png(content: str) -> bytes:
    """Return a picture of 64 by 64 pixels in the one colour that ``content`` begins with."""
    rows = (b"\0" + bytes.fromhex(content[:6]) * 64) * 64
    chunks = [(b"IHDR", struct.pack(">2I5B", 64, 64, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
