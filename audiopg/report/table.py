"""The results table, from the averages of each task."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from audiopg import config, storage
from audiopg.analysis.claims import PAPER
from audiopg.provenance import run_cards, stages, verify
from audiopg.provenance.verify import some
from audiopg.report import figures
from audiopg.report.rows import TITLES, with_spread
from audiopg.tasks.card import Card

OUTPUTS = ("table.csv", "table.md", "pretraining.png")
COLUMNS = ["task", "row", "metric", "mean", "std", "n", "selection", "paper"]
FINETUNED = {"pretrained", "scratch"}
# What the other rows choose, and where.
CHOICES = {
    "probe_linear": "layer, pooling and penalty",
    "probe_knn": "layer and pooling",
    "probe_random": "layer, pooling and penalty",
    "logmel_stats": "statistics and penalty",
}
SEARCHED = {
    "folds": "learning rate and number of epochs inside the training folds, last epoch",
    "split": "learning rate, number of epochs and epoch on the validation split",
}
PROBE_SELECTION = {"folds": "{} inside the training folds", "split": "{} on the validation split"}
LEGEND = """\
Mean ± standard deviation over folds. *pre-trained* and *scratch* are fine-tuned with one recipe, budget and order of
batches; *linear probe* and *k-NN probe* read the frozen pre-trained encoder: mean and deviation over all tokens, or
five statistics over time with the bands of frequency side by side (mean, deviation, change, largest, smallest);
*random weights* is the same linear probe of untrained encoders, the mean of three draws; *log-mel statistics* is the
same probe of the spectrogram itself: mean and deviation of each mel bin, or with changes, quantiles, modulation and
thirds of the recording as well."""
PAPER_LEGEND = """\
The column *paper* has the figures as AudioPG published them; they are not like for like. By its released code they were
selected so: {}."""
SEARCH_HEADERS = ["task", "epochs", "pre-trained", "scratch", "difference"]
SEARCH_LEGEND = """\
Fine-tuning for different numbers of epochs, each initialisation with its own best learning rate: mean over folds on
training recordings that were left out. The number is chosen by these figures, in each fold by itself."""
LATENT_LEGEND = """\
Physics on probe corpora that no training saw (*notes* are recorded, and scored on instruments that were held out):
held-out R² of a linear read-out, its layer and pooling chosen in the training half, with 95 % intervals; and the angle
between the main directions of both factors in the last layer, without the error of the estimates, with its 95 %
interval, next to the median of random directions with the embedding's own covariance over natural clips (p: share of
random directions at least as orthogonal, after Holm's correction).
`results/latent/claims.md` judges each factor and pair."""


def table(cards: Sequence[Card], metrics: Path) -> pd.DataFrame:
    """Collect the averages of all tasks in the columns ``COLUMNS``; ``paper`` is empty where the paper has no figure.

    Args:
        cards: the tasks.
        metrics: folder with ``<task>.json`` of each.
    """
    rows = []
    for card in cards:
        averages = storage.read_json(metrics / f"{card.name}.json")
        for row in TITLES:
            if row in FINETUNED:
                selection = SEARCHED[card.protocol] if "search" in averages else card.selection
            else:
                selection = PROBE_SELECTION[card.protocol].format(CHOICES[row])
            for metric, figure in averages[row].items():
                paper = card.paper if (row, metric) == ("pretrained", card.metric) else None
                rows.append((card.name, row, metric, *(figure[key] for key in ("mean", "std", "n")), selection, paper))
    return pd.DataFrame(rows, columns=COLUMNS)


def searches(cards: Sequence[Card], metrics: Path) -> list[list[str]]:
    """Return the lines of the table over epochs: task, number of epochs, both figures and their difference."""
    lines = []
    for card in cards:
        found = storage.read_json(metrics / f"{card.name}.json").get("search", {})
        for n_epochs in sorted(found.get("pretrained", {}), key=int):
            ours, theirs = found["pretrained"][n_epochs], found["scratch"][n_epochs]
            lines.append([card.name, n_epochs, f"{ours:.3f}", f"{theirs:.3f}", f"{ours - theirs:+.3f}"])
    return lines


def markdown(
    frame: pd.DataFrame,
    over_epochs: list[list[str]],
    latent: Path,
    left_out: Mapping[str, Sequence[str]],
    papers_rules: Mapping[str, str],
) -> str:
    """Return the table as Markdown, one line per task, and below it the findings of the latent analysis.

    Args:
        frame: the averages, as `table` gives them.
        over_epochs: what `searches` gives.
        latent: what the latent analysis found.
        left_out: recordings that are listed but not used, by task.
        papers_rules: by which rule the paper's figure of a task was selected.
    """
    lines, selections = [], []
    for task, rows in frame.groupby("task", sort=False):
        # the task's own metric comes first
        main = rows[rows["metric"] == rows["metric"].iloc[0]]
        figures = {row["row"]: row for row in main.to_dict("records")}
        first = figures["pretrained"]
        cells = [with_spread(f"{row['mean']:.3f}", row["std"], row["n"]) for row in figures.values()]
        paper = "–" if pd.isna(first["paper"]) else f"{first['paper']:.3f}"
        lines.append([str(task), *cells, first["metric"], str(first["n"]), paper])
        for name, row in figures.items():
            selections.append(f"{TITLES[name]}: {row['selection']}")
    found = storage.read_json(latent)
    factors = [
        [factor, corpus, *(f"{r['score']:.3f} [{r['low']:.3f}, {r['high']:.3f}]" for r in read[factor].values())]
        for factor in PAPER
        for corpus, read in found["decodability"].items()
        if factor in read
    ]
    angles = [
        [encoder, corpus, f"{o['angle_deg']:.0f} [{o['low_deg']:.0f}, {o['high_deg']:.0f}]", f"{o['null_deg']:.0f}"]
        + [f"{o['p_holm']:.3f}"]
        for corpus, pairs in found["orthogonality"].items()
        for encoder, o in pairs.get(" ".join(PAPER), {}).items()
    ]
    rules = "; ".join(f"{task}: {rule}" for task, rule in papers_rules.items())
    parts = [
        "# Results",
        _table(lines, ["task", *TITLES.values(), "metric", "folds", "paper"]),
        LEGEND,
        "Selection: " + "; ".join(dict.fromkeys(selections)) + ".",
        *([PAPER_LEGEND.format(rules)] if rules else []),
        *([SEARCH_LEGEND, _table(over_epochs, SEARCH_HEADERS)] if over_epochs else []),
        *(f"Left out of {task}: {some(paths)}." for task, paths in left_out.items() if paths),
        LATENT_LEGEND,
        _table(factors, ["R² of", "corpus", "pre-trained", "random weights", "log-mel statistics"]),
        _table(angles, ["encoder", "corpus", "angle (°)", "random (°)", "p"]),
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: list[list[str]], headers: list[str]) -> str:
    # the figures are formatted already; tabulate would drop their trailing zeros
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def run(
    cfg: config.Config,
    cards: Sequence[Path],
    metrics: Path,
    latent: Path,
    losses: Path,
    runs: Sequence[Path],
    out: Path,
) -> None:
    """Write ``table.csv``, ``table.md``, ``pretraining.png`` and the run card into the folder ``out``.

    Args:
        cfg: all parameters.
        cards: ``card.json`` of each task, in the order of the table.
        metrics: folder with the averages, ``<task>.json``.
        latent: what the latent analysis found.
        losses: the loss of each step of pre-training.
        runs: run cards of all results behind the table.
        out: folder for the table.

    Raises:
        AudiopgError: a run card names other parameters or other code than these, or another result.
    """
    averages = [metrics / f"{path.parent.name}.json" for path in cards]
    read = [*cards, *averages, latent, losses]
    made = verify.check(runs, cfg, read)
    read_cards = [Card.read(path) for path in cards]
    frame = table(read_cards, metrics)
    storage.write_text(out / "table.csv", frame.to_csv(index=False))
    left_out = {name: task.leave_out for name, task in cfg.tasks.items()}
    rules = {card.name: card.paper_selection for card in read_cards if card.paper_selection is not None}
    storage.write_text(out / "table.md", markdown(frame, searches(read_cards, metrics), latent, left_out, rules))
    figures.pretraining(pd.read_csv(losses), cfg.pretrain.objectives, out / "pretraining.png")
    run_cards.write_card(
        out / "run.json",
        "table",
        stages.reads(cfg, "table"),
        [*read, *runs],
        [out / name for name in OUTPUTS],
        stages=verify.makers(made),
    )
