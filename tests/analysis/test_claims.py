"""Verdicts by hand: each rule is met, or missed by one number alone."""

from typing import Any

import pandas as pd
import pytest

from audiopg.analysis.claims import Finding, Verdict, counted, decodable, markdown, orthogonal, overall

READ = {"score": 0.8, "low": 0.7, "high": 0.9, "shuffled": 0.0, "rbf_score": 0.85, "lead_high": 0.3}


def best_probes(
    measure: str = "r2", random: float = 0.01, statistics: float = 0.02, **pretrained: float
) -> pd.DataFrame:
    """A factor as three encoders show it; of the controls the lower end of the lead over them is given."""
    rows = [
        {"encoder": "pretrained", **READ, **pretrained, "lead": 0.0, "lead_low": 0.0},
        {"encoder": "random", **READ, "low": 0.4, "lead": 0.1, "lead_low": random},
        {"encoder": "logmel_stats", **READ, "low": 0.4, "lead": 0.1, "lead_low": statistics},
    ]
    return pd.DataFrame(rows).assign(corpus="tone", factor="f0_octaves", measure=measure)


@pytest.mark.parametrize(
    ("table", "verdict"),
    [
        (best_probes(), Verdict.HOLDS),
        (best_probes(low=0.49), Verdict.PARTLY),
        (best_probes(random=-0.001), Verdict.PARTLY),
        (best_probes(statistics=-0.001), Verdict.PARTLY),
        (best_probes(low=-0.01), Verdict.NOT),
        (best_probes(low=0.01, shuffled=0.02), Verdict.NOT),
        # of two classes, 0.7 is less than half way from chance to all correct; of ten, more
        (best_probes("balanced_accuracy", shuffled=0.5), Verdict.PARTLY),
        (best_probes("balanced_accuracy", shuffled=0.1), Verdict.HOLDS),
        (best_probes("balanced_accuracy", low=0.09, shuffled=0.1), Verdict.NOT),
    ],
)
def test_decodable(table: pd.DataFrame, verdict: Verdict) -> None:
    (found,) = decodable(table)
    assert (found.corpus, found.factors, found.verdict) == ("tone", ("f0_octaves",), verdict)
    assert found.random is Verdict.PARTLY
    assert "lead over random weights +0.100 [" in found.numbers


ANGLE: dict[str, Any] = {
    **{"corpus": "tone", "encoder": "pretrained", "first": "f0_octaves", "second": "event_level_db"},
    **{"angle_deg": 85.0, "low_deg": 76.0, "high_deg": 90.0, "null_deg": 70.0, "p_holm": 0.3},
    **{"p_together": 0.01, "readable": True},
}


def judged(  # noqa: ANN401
    kept_low: float = 0.95, own_high: float = 0.2, kept_random: float = 0.9, **angle: Any
) -> Finding:
    """Finding of a pair; ``kept_low`` is what stays at least of the second factor without the first."""
    left = {
        ("f0_octaves", "f0_octaves"): (0.0, own_high),
        ("f0_octaves", "event_level_db"): (kept_low, 1.0),
        ("event_level_db", "f0_octaves"): (0.95, 1.1),
        ("event_level_db", "event_level_db"): (0.0, 0.1),
    }
    rows = [
        {"corpus": "tone", "encoder": encoder, "erased": a, "factor": b, "kept_low": low, "kept_high": high}
        | {"r2_before": 0.8, "r2_after": 0.4 * (low + high), "kept": (low + high) / 2, "kept_random": kept_random}
        for (a, b), (low, high) in left.items()
        for encoder in ("pretrained", "random")
    ]
    pairs = [ANGLE | angle, ANGLE | angle | {"encoder": "random", "low_deg": 60.0}]
    return orthogonal(pd.DataFrame(pairs), pd.DataFrame(rows))[0]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.HOLDS),
        ({"low_deg": 74.9}, Verdict.NOT),
        ({"p_together": 0.06}, Verdict.NOT),
        ({"kept_low": 0.89}, Verdict.PARTLY),
        ({"own_high": 0.51}, Verdict.PARTLY),
        # no less than without random subspaces
        ({"kept_random": 0.19}, Verdict.PARTLY),
        ({"readable": False}, Verdict.NOT),
    ],
)
def test_orthogonal(changes: dict[str, Any], verdict: Verdict) -> None:
    found = judged(**changes)
    assert (found.corpus, found.factors) == ("tone", ("f0_octaves", "event_level_db"))
    assert found.verdict is verdict
    assert found.random is Verdict.NOT
    assert ("not both are readable" in found.numbers) is (changes == {"readable": False})


def test_a_claim_holds_where_it_does_in_all_corpora() -> None:
    finding = judged()
    holds, partly, not_ = (finding._replace(verdict=verdict) for verdict in Verdict)
    assert overall([holds, holds]) is Verdict.HOLDS
    assert overall([holds, not_]) is Verdict.PARTLY
    assert overall([partly, not_]) is Verdict.PARTLY
    assert overall([not_, not_]) is Verdict.NOT


def test_the_page_puts_the_paper_first_and_counts_all() -> None:
    read = [*decodable(best_probes()), *decodable(best_probes(low=-1).assign(factor="snr_db"))]
    assert counted([finding.verdict for finding in read]) == {"holds": 1, "partly": 0, "not": 1}
    page = markdown(read, [judged()])
    claimed = page.partition("## The paper's claims")[2].partition("## Each factor")[0]
    assert "| the fundamental is linearly decodable | holds" in claimed
    assert "| they lie in orthogonal subspaces      | holds                       | tone: holds |" in claimed
    assert "snr_db" not in claimed
    assert "| snr_db     | tone     | does not hold at this scale | holds partly     |" in page
