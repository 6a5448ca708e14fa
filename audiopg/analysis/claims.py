"""Verdicts on the paper's claims, by rules that were fixed before the numbers."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import pandas as pd
from tabulate import tabulate

from audiopg.analysis.measures.significance import SIGNIFICANCE

# Half of the possible score: below it, a factor is present but not represented well.
READ_WELL = 0.5
# An angle above this counts as a right angle.
RIGHT_DEG = 75
# A factor stays if at least nine tenths of its r² are left, and is gone if less than half is left.
STAYS, GONE = 0.9, 0.5

# What the paper claims: these two factors can be read, from orthogonal subspaces.
PAPER = ("f0_octaves", "event_level_db")
RULES = """\
Intervals are 95 % intervals of a bootstrap over clips, or instruments, given the encoders and, for scores, the probes.
Chance is an R² of 0, or the balanced accuracy of probes for shuffled labels.

A factor is *decodable* if the whole interval of its held-out score lies above 0.5 (R², or balanced accuracy scaled so
that chance is 0 and all correct is 1), and so do the intervals of its lead over the same encoder with random weights
and over log-mel statistics above 0; *partly* if the interval of the score lies above chance and above the score for
shuffled labels; otherwise not.

Two factors are *orthogonal* if

1. both are readable in the embedding: a linear probe reads the rank of each better than that of 20 shuffles of it, by
   left-out clips, with an R² above 0.01;
2. the angle between their main directions is a right angle: its whole interval lies above 75°;
3. this is more than chance gives: the readable factors of the corpus together are more orthogonal than random
   directions with the embedding's covariance over clips as pre-training hears them (p < 0.05);
4. each can be removed without the other: when the subspace of one is taken out, frozen probes still read the other
   (their readings correlate with it at least 90 % as much as before: r², the whole interval), but no longer the one
   taken out (less than half as much as before, and less than without a random subspace). The latter shows only that the
   subspace is found again in other clips.

*Partly* if 1, 2 and 3 hold; otherwise not. The column of random weights judges the same encoder before pre-training by
the same rules, except for the leads. One of the paper's claims *holds* if it does in all corpora that have the factors,
*partly* if it holds at least partly in one of them.
"""


class Verdict(StrEnum):
    """How far a claim holds."""

    HOLDS = "holds"
    PARTLY = "holds partly"
    NOT = "does not hold at this scale"


class Finding(NamedTuple):
    """A claim about factors of a corpus, its verdict, and the numbers behind it."""

    corpus: str
    factors: tuple[str, ...]
    verdict: Verdict
    random: Verdict
    """The verdict on the same encoder with random weights, by the rules that need no control."""
    numbers: str


def decodable(best_probes: pd.DataFrame) -> list[Finding]:
    """Judge each factor of each corpus.

    Args:
        best_probes: columns ``corpus, factor, measure, encoder, score, low, high, lead, lead_low, lead_high, shuffled,
            rbf_score``, one row per factor and encoder.
    """
    findings = []
    for (corpus, factor), rows in best_probes.groupby(["corpus", "factor"], sort=False):
        by = {row["encoder"]: row for row in _records(rows)}
        pretrained, random, statistics = by["pretrained"], by["random"], by["logmel_stats"]
        leads = min(control["lead_low"] for control in (random, statistics)) > 0
        accuracy = pretrained["measure"] == "balanced_accuracy"
        numbers = (
            f"{'balanced accuracy' if accuracy else 'R²'} {pretrained['score']:.3f}"
            f" [{pretrained['low']:.3f}, {pretrained['high']:.3f}]; lead over random weights {_lead(random)},"
            f" over log-mel statistics {_lead(statistics)}; shuffled {pretrained['shuffled']:.3f},"
            f" non-linear probe {pretrained['rbf_score']:.3f}"
        )
        verdicts = _read(pretrained, leads=leads), _read(random, leads=True)
        findings.append(Finding(str(corpus), (str(factor),), *verdicts, numbers))
    return findings


def _lead(control: dict[str, Any]) -> str:
    return f"{control['lead']:+.3f} [{control['lead_low']:+.3f}, {control['lead_high']:+.3f}]"


def _read(row: dict[str, Any], *, leads: bool) -> Verdict:
    chance = row["shuffled"] if row["measure"] == "balanced_accuracy" else 0.0
    if leads and (row["low"] - chance) / (1 - chance) > READ_WELL:
        return Verdict.HOLDS
    return Verdict.PARTLY if row["low"] > max(row["shuffled"], chance) else Verdict.NOT


def orthogonal(angles: pd.DataFrame, interventions: pd.DataFrame) -> list[Finding]:
    """Judge each pair of factors of each corpus.

    Args:
        angles: columns ``corpus, encoder, first, second, angle_deg, low_deg, high_deg, null_deg, p_holm, p_together,
            readable``.
        interventions: columns ``corpus, encoder, erased, factor, r2_before, r2_after, kept, kept_low, kept_high,
            kept_random``.
    """
    left = {
        tuple(row[name] for name in ("encoder", "corpus", "erased", "factor")): row for row in _records(interventions)
    }
    findings: dict[tuple[str, ...], dict[str, tuple[Verdict, str]]] = {}
    for pair in _records(angles):
        encoder, corpus, first, second = (str(pair[key]) for key in ("encoder", "corpus", "first", "second"))
        others = [left[encoder, corpus, a, b] for a, b in ((first, second), (second, first))]
        own = [left[encoder, corpus, a, a] for a in (first, second)]
        separate = min(other["kept_low"] for other in others) >= STAYS and all(
            row["kept_high"] < min(GONE, row["kept_random"]) for row in own
        )
        if not (pair["readable"] and pair["low_deg"] > RIGHT_DEG and pair["p_together"] < SIGNIFICANCE):
            verdict = Verdict.NOT
        else:
            verdict = Verdict.HOLDS if separate else Verdict.PARTLY
        numbers = (
            f"angle {pair['angle_deg']:.0f}° [{pair['low_deg']:.0f}, {pair['high_deg']:.0f}], random"
            f" {pair['null_deg']:.0f}° (p {pair['p_holm']:.3f}, all of the corpus {pair['p_together']:.3f});"
            f" r² without {first}: {second} {_kept(others[0])}, itself {_kept(own[0])};"
            f" without {second}: {first} {_kept(others[1])}, itself {_kept(own[1])}"
        )
        if not pair["readable"]:
            numbers += "; not both are readable"
        findings.setdefault((corpus, first, second), {})[encoder] = verdict, numbers
    return [
        Finding(corpus, (first, second), of["pretrained"][0], of["random"][0], of["pretrained"][1])
        for (corpus, first, second), of in findings.items()
    ]


def _kept(row: dict[str, Any]) -> str:
    share = f"{row['kept']:.2f} [{row['kept_low']:.2f}, {row['kept_high']:.2f}]"
    return f"{row['r2_before']:.2f} to {row['r2_after']:.2f} (share {share})"


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def counted(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Count the findings of each verdict."""
    return {verdict.name.lower(): verdicts.count(verdict) for verdict in Verdict}


def overall(findings: Sequence[Finding]) -> Verdict:
    """Judge a claim of the paper from its findings in each corpus."""
    verdicts = {finding.verdict for finding in findings}
    if verdicts == {Verdict.HOLDS}:
        return Verdict.HOLDS
    return Verdict.NOT if verdicts <= {Verdict.NOT} else Verdict.PARTLY


def markdown(read: list[Finding], apart: list[Finding]) -> str:
    """Return the rules, the paper's claims, and all findings, from `decodable` and `orthogonal`."""
    claimed = [finding for finding in [*read, *apart] if set(finding.factors) <= set(PAPER)]
    paper = {
        "the fundamental is linearly decodable": [found for found in claimed if found.factors == PAPER[:1]],
        "event level is linearly decodable": [found for found in claimed if found.factors == PAPER[1:]],
        "they lie in orthogonal subspaces": [found for found in claimed if set(found.factors) == set(PAPER)],
    }
    rows = [
        (claim, overall(found), ", ".join(f"{each.corpus}: {each.verdict}" for each in found))
        for claim, found in paper.items()
    ]
    parts = [
        "# What the latent space knows",
        RULES,
        "## The paper's claims",
        tabulate(rows, ["claim", "verdict", "by corpus"], tablefmt="github"),
        _table(claimed),
        "## Each factor: linearly decodable?",
        _table(read),
        "## Each pair: orthogonal subspaces?",
        _table(apart),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(findings: list[Finding]) -> str:
    rows = [(" and ".join(found.factors), found.corpus, *found[2:]) for found in findings]
    head = ["factors", "corpus", "verdict", "random weights", "numbers"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)
