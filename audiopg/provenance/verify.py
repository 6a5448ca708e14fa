"""Whether results, run cards, parameters and code agree, and what each number was made from."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from audiopg import config, storage
from audiopg.errors import AudiopgError
from audiopg.provenance import code_digest, run_cards, stages
from audiopg.provenance.stages import STAGES
from audiopg.tasks import own

RESULTS = Path("results")
UNTRACED = {".gitignore", "code.json"}  # about the code, not made from results
# what all runs of one stage on one task must share
PLACE = ("device", "machine", *(f"versions.{name}" for name in run_cards.PACKAGES))
KEYS = {"stage", "task", "params", "inputs", "outputs", "code", "device", "machine", "versions"}
SHOWN = 5  # things of a list that are named
SHORT = 12  # characters of a digest that are shown

Cards = Mapping[str, dict[str, Any]]


def read(paths: Sequence[Path]) -> Cards:
    """Read run cards, by path.

    Raises:
        AudiopgError: one is missing or damaged.
    """
    cards = {path.as_posix(): storage.read_json(path) for path in paths}
    for path, card in cards.items():
        if not card.keys() >= KEYS or card["stage"] not in STAGES:
            msg = f"{path}: not a run card of this version; delete it and run `snakemake`"
            raise AudiopgError(msg)
    return cards


def results_cards(folder: Path = RESULTS) -> Cards:
    """Read all run cards of the results.

    Raises:
        AudiopgError: there are none, or one is damaged.
    """
    paths = sorted(path for path in folder.rglob("*.json") if is_card(path))
    if not paths:
        msg = f"{folder}: no run cards; `snakemake` makes results, `dvc pull && audiopg sync` fetches them"
        raise AudiopgError(msg)
    return read(paths)


def verify(cfg: config.Config, files: Sequence[Path], folder: Path = RESULTS) -> Iterator[str]:
    """Compare all results with their run cards, the parameters and the code; then report each number's sources.

    Args:
        cfg: all parameters.
        files: results to trace; all rows of the table if none.
        folder: where the results are.

    Yields:
        Lines to print.

    Raises:
        AudiopgError: something disagrees, and is printed before, a line each; or nothing was made here yet.
    """
    cards = results_cards(folder)
    refuse_fresh(cards)
    wrong = [*disagreements(cards, cfg), *damaged(cards, folder)]
    yield from wrong
    if wrong:
        msg = f"{len(wrong)} disagreements; `snakemake --forceall` makes everything again"
        raise AudiopgError(msg)
    if files:
        for file in files:
            yield from trace(file.as_posix(), cards)
        return
    with (folder / "table.csv").open(encoding="utf-8", newline="") as table:
        yield from numbers(cards, csv.DictReader(table))
    n_files = sum(len(card["outputs"]) for card in cards.values())
    yield f"{n_files} files agree with their {len(cards)} run cards, with params.yaml and with the code"


def is_card(path: Path) -> bool:
    """Return whether a file is a run card, by its name."""
    return path.name == "run.json" or path.name.endswith("-run.json")


def refuse_fresh(cards: Cards) -> None:
    """Refuse what a fresh clone has: the tables and pictures that are in git, and of the run cards the table's alone.

    Raises:
        AudiopgError: none of the results behind the table is here.
    """
    behind = [file for card in cards.values() for file in card.get("inputs", ()) if is_card(Path(file))]
    if len(cards) == 1 and behind and not any(Path(file).exists() for file in behind):
        msg = (
            "results: nothing was made here yet; git has the tables and pictures of an earlier run only."
            " `snakemake` makes all results, `dvc pull && audiopg sync` fetches them"
        )
        raise AudiopgError(msg)


def check(paths: Sequence[Path], cfg: config.Config, files: Sequence[Path]) -> Cards:
    """Refuse results that were not made by the present parameters and code, or not all in the same way.

    Args:
        paths: run cards of the results.
        cfg: all parameters.
        files: results that are read now; each must be the one that a card describes.

    Returns:
        The cards, by path.

    Raises:
        AudiopgError: a card disagrees with ``params.yaml``, with the code, with another card or with a result.
    """
    cards = read(paths)
    made = {file: digest for card in cards.values() for file, digest in card["outputs"].items()}
    foreign = [file.as_posix() for file in files if made.get(file.as_posix()) != storage.file_digest(file)]
    wrong = [*disagreements(cards, cfg), *(f"{file}: is not what a run card describes" for file in foreign)]
    if wrong:
        more = f" (and {len(wrong) - 1} more; `audiopg verify` lists them)" if len(wrong) > 1 else ""
        msg = f"{wrong[0]}{more}; `snakemake --forcerun STAGE` makes results again, `snakemake --forceall` all of them"
        raise AudiopgError(msg)
    return cards


def makers(cards: Cards) -> dict[str, dict[str, Any]]:
    """Return code, device, machine and versions of each ``<stage> <task>``; its cards agree in them."""
    return {
        f"{card['stage']} {card['task'] or ''}".strip(): {
            key: card[key] for key in ("code", "device", "machine", "versions")
        }
        for card in cards.values()
    }


def disagreements(cards: Cards, cfg: config.Config) -> Iterator[str]:
    """Report where cards disagree with the parameters, with the code and with each other, a line each."""
    written = {file: digest for card in cards.values() for file, digest in card["outputs"].items()}
    first: dict[tuple[str, str], str] = {}
    for path, card in cards.items():
        stage, task = card["stage"], card["task"]
        if task is not None and task not in cfg.tasks:
            yield f"{path}: is about '{task}', which is not a task in params.yaml"
            continue
        yield from (f"{path}: made {difference}" for difference in _differences(card, cfg))
        for file, digest in card["inputs"].items():
            if written.setdefault(file, digest) != digest:
                yield f"{path}: made from another {file} than other results, or than its run card describes"
        other = first.setdefault((stage, task or ""), path)
        here, there = dict(leaves(card)), dict(leaves(cards[other]))
        for key in PLACE:
            if here.get(key) != there.get(key):
                yield f"{path}: made with {key} = {here.get(key)}, but {other} with {there.get(key)}"


def _differences(card: Mapping[str, Any], cfg: config.Config) -> Iterator[str]:
    """Report the parameters, code and recordings in which a card differs from the present ones."""
    stage, task = card["stage"], card["task"]
    now = dict(leaves(stages.reads(cfg, stage, task or "")))
    then = dict(leaves(card["params"]))
    for name in sorted(now.keys() | then.keys()):
        if now.get(name) != then.get(name):
            yield f"with {name} = {then.get(name)}, params.yaml has {now.get(name)}"
    if card["code"] != code_digest.stage_digest(stage):
        yield f"by other code of the stage {stage}"
    if "recordings" in card and card["recordings"] != own.digest(cfg.task(task)):
        yield "from another list of own recordings than there is now"


def damaged(cards: Cards, folder: Path = RESULTS) -> Iterator[str]:
    """Report files that differ from their card, and files that no card describes, a line each."""
    digest_of = cache(storage.file_digest)  # an encoder is read by many
    described = set(cards)
    for path, card in cards.items():
        described |= card["outputs"].keys()
        for kind, files in (("wrote", card["outputs"]), ("read", card["inputs"])):
            for file, digest in files.items():
                if not Path(file).is_file():
                    yield f"{file}: missing (named in {path}); `dvc pull` fetches it, `snakemake` makes it"
                elif digest_of(Path(file)) != digest:
                    yield f"{file}: is not the file that {card['stage']} {kind} ({path})"
    for found in sorted(folder.rglob("*")):
        if found.is_file() and found.name not in UNTRACED and found.as_posix() not in described:
            yield f"{found.as_posix()}: no run card says what it was made from"


def numbers(cards: Cards, table: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Report what each row of the results table was made from, a line each.

    Args:
        cards: all run cards.
        table: rows of ``table.csv``.
    """
    makers = {file: path for path, card in cards.items() for file in card["outputs"]}
    for row in table:
        inits = {row["row"]} if row["row"] in {"pretrained", "scratch"} else {None}
        made = {
            path: card
            for path, card in cards.items()
            if card["task"] == row["task"] and card["stage"] in {"finetune", "probe"} and card.get("init") in inits
        }
        path, card = next(iter(made.items()))
        sources = [f"{file} {digest[:SHORT]}" for file, digest in card["inputs"].items() if file in makers]
        spread = f" ± {float(row['std']):.3f}" if int(row["n"]) > 1 else ""
        figure = f"{row['metric']} {float(row['mean']):.3f}{spread}"
        yield (
            f"{row['task']} {row['row']} {figure}, {row['n']} runs: "
            f"{len(made)} × {card['stage']} ({path}), seed {card['params']['seed']}, code {card['code'][:SHORT]}, "
            f"{card['device']}, torch {card['versions']['torch']}, from {', '.join(sources)}"
        )


def some(things: Sequence[str], between: str = ", ") -> str:
    """Write the first few things, and how many more there are."""
    more = f" and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return between.join(things[:SHOWN]) + more


def trace(file: str, cards: Cards) -> Iterator[str]:
    """Report what a file was made from, down to the recordings; each file is explained once.

    Raises:
        AudiopgError: no run card describes the file.
    """
    makers = {output: path for path, card in cards.items() for output in card["outputs"]}
    if file not in makers:
        msg = f"{file}: no run card says what it was made from"
        raise AudiopgError(msg)
    seen: set[str] = set()

    def lines(name: str, digest: str, depth: int) -> Iterator[str]:
        card = cards.get(makers.get(name, ""))
        text = f"{'  ' * depth}{name} {digest[:SHORT]}"
        if card is None or makers[name] in seen:
            yield text
            return
        seen.add(makers[name])
        given = storage.canonical(card["params"])
        yield f"{text}: {card['stage']}, code {card['code'][:SHORT]}, {card['device']}, params {given}"
        for source, known in card["inputs"].items():
            yield from lines(source, known, depth + 1)

    yield from lines(file, cards[makers[file]]["outputs"][file], 0)


def leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """List the single values of nested mappings by dotted name."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
