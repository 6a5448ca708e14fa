"""What the numbers say of the paper's claims, by rules that stand before the numbers."""

from enum import StrEnum
from typing import NamedTuple

import pandas as pd
from tabulate import tabulate

from audiopg.analysis.significance import SIGNIFICANCE

# Half of what there is to read: below, a factor is there but not represented well.
READ_WELL = 0.5
# A factor stays when nine tenths of its R² are left, and is gone when less than half is.
STAYS, GONE = 0.9, 0.5

# What the paper claims: these two factors can be read, from orthogonal subspaces.
PAPER = ("f0_octaves", "event_level_db")
RULES = """\
A factor is *decodable* if the whole 95 % interval of its held-out score lies above 0.5 (R², or balanced accuracy scaled
so that chance is 0 and all correct is 1), above the score of the same encoder with random weights, and above the score
of log-mel statistics; *partly* if the interval lies above shuffled labels; otherwise not. Two factors are *orthogonal*
if both are readable, their subspaces' angle is larger than chance gives in this embedding (p < 0.05 after Holm's
correction over the pairs of the corpus) and larger than each factor's angle to itself in other clips, and taking either
one's subspace out leaves 90 % of the other's R² while less than half of its own stays; *partly* if both are readable
and one of the two holds, the angles or the interventions; otherwise not.
"""


class Verdict(StrEnum):
    """How far a claim holds."""

    HOLDS = "holds"
    PARTLY = "holds partly"
    NOT = "does not hold at this scale"


class Finding(NamedTuple):
    """A claim about factors of a corpus, its verdict, and the numbers it rests on."""

    corpus: str
    factors: tuple[str, ...]
    verdict: Verdict
    numbers: str


def decodable(readings: pd.DataFrame) -> list[Finding]:
    """Judge each factor of each corpus.

    Args:
        readings: columns ``corpus, factor, measure, encoder, score, low, high, shuffled, rbf_score``, one row per
            factor and encoder.
    """
    findings = []
    for (corpus, factor), rows in readings.groupby(["corpus", "factor"], sort=False):
        by = rows.set_index("encoder")
        pretrained = by.loc["pretrained"]
        others = by.loc[["random", "logmel_stats"], "score"]
        accuracy = pretrained["measure"] == "balanced_accuracy"
        chance = pretrained["shuffled"] if accuracy else 0.0
        well = (pretrained["low"] - chance) / (1 - chance) > READ_WELL
        if well and pretrained["low"] > others.max():
            verdict = Verdict.HOLDS
        elif pretrained["low"] > max(pretrained["shuffled"], chance):
            verdict = Verdict.PARTLY
        else:
            verdict = Verdict.NOT
        numbers = (
            f"{'balanced accuracy' if accuracy else 'R²'} {pretrained['score']:.3f}"
            f" [{pretrained['low']:.3f}, {pretrained['high']:.3f}], random weights {others['random']:.3f},"
            f" log-mel statistics {others['logmel_stats']:.3f}, shuffled {pretrained['shuffled']:.3f},"
            f" non-linear probe {pretrained['rbf_score']:.3f}"
        )
        findings.append(Finding(str(corpus), (str(factor),), verdict, numbers))
    return findings


def orthogonal(angles: pd.DataFrame, interventions: pd.DataFrame) -> list[Finding]:
    """Judge each pair of factors of each corpus in the pre-trained encoder.

    Args:
        angles: columns ``corpus, encoder, first, second, mean_deg, null_median_deg, p_holm, self_first_deg,
            self_second_deg, readable``.
        interventions: columns ``corpus, encoder, by, erased, factor, r2_before, r2_after``.
    """
    findings = []
    removed = interventions[(interventions["encoder"] == "pretrained") & (interventions["by"] == "projection")]
    left = removed.set_index(["corpus", "erased", "factor"])
    share = left["r2_after"].clip(lower=0) / left["r2_before"].where(left["r2_before"] > 0)
    for pair in angles[angles["encoder"] == "pretrained"].to_dict("records"):
        corpus, first, second = pair["corpus"], pair["first"], pair["second"]
        kept = [share[corpus, a, b] for a, b in ((first, second), (second, first))]
        own = [share[corpus, a, a] for a in (first, second)]
        apart = pair["p_holm"] < SIGNIFICANCE and pair["mean_deg"] > max(
            pair["self_first_deg"], pair["self_second_deg"]
        )
        separate = min(kept) >= STAYS and max(own) < GONE
        if not pair["readable"]:
            verdict = Verdict.NOT
        elif apart and separate:
            verdict = Verdict.HOLDS
        else:
            verdict = Verdict.PARTLY if apart or separate else Verdict.NOT
        numbers = (
            f"angle {pair['mean_deg']:.1f}°, random {pair['null_median_deg']:.1f}°, p {pair['p_holm']:.3f},"
            f" to itself {pair['self_first_deg']:.1f}° and {pair['self_second_deg']:.1f}°; "
        )
        if pair["readable"]:
            numbers += (
                f"without {first} {kept[0]:.0%} of {second} stays and {own[0]:.0%} of itself;"
                f" without {second} {kept[1]:.0%} of {first} stays and {own[1]:.0%} of itself"
            )
        else:
            numbers += "not both are readable"
        findings.append(Finding(corpus, (first, second), verdict, numbers))
    return findings


def counted(findings: list[Finding]) -> dict[str, int]:
    """How many findings have each verdict."""
    return {verdict.name.lower(): sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}


def markdown(read: list[Finding], apart: list[Finding]) -> str:
    """Return the rules, the paper's two claims, and all findings, from `decodable` and `orthogonal`."""
    claimed = [finding for finding in [*read, *apart] if set(finding.factors) <= set(PAPER)]
    parts = [
        "# What the latent space knows",
        RULES,
        "## The paper's claims: fundamental and event level are decodable, in orthogonal subspaces",
        _table(claimed),
        "## Each factor: linearly decodable?",
        _table(read),
        "## Each pair: orthogonal subspaces?",
        _table(apart),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(findings: list[Finding]) -> str:
    rows = [(" and ".join(found.factors), found.corpus, found.verdict, found.numbers) for found in findings]
    return tabulate(rows, ["factors", "corpus", "verdict", "numbers"], tablefmt="github", disable_numparse=True)
