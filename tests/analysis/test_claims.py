"""Verdicts by hand: each rule is met, or missed by one number alone."""

from typing import Any

import pandas as pd
import pytest

from audiopg.analysis.claims import Verdict, counted, decodable, markdown, orthogonal

READ = {"score": 0.8, "low": 0.7, "high": 0.9, "shuffled": 0.0, "rbf_score": 0.85}


def readings(measure: str = "r2", random: float = 0.5, statistics: float = 0.6, **pretrained: float) -> pd.DataFrame:
    rows = [
        {"encoder": "pretrained", **READ, **pretrained},
        {"encoder": "random", **READ, "score": random},
        {"encoder": "logmel_stats", **READ, "score": statistics},
    ]
    return pd.DataFrame(rows).assign(corpus="tone", factor="f0_octaves", measure=measure)


@pytest.mark.parametrize(
    ("table", "verdict"),
    [
        (readings(), Verdict.HOLDS),
        (readings(low=0.49), Verdict.PARTLY),
        (readings(random=0.71), Verdict.PARTLY),
        (readings(statistics=0.71), Verdict.PARTLY),
        (readings(low=-0.01), Verdict.NOT),
        (readings(low=0.01, shuffled=0.02), Verdict.NOT),
        # of two classes, 0.7 is less than half way from chance to all correct; of ten, more
        (readings("balanced_accuracy", shuffled=0.5), Verdict.PARTLY),
        (readings("balanced_accuracy", shuffled=0.1), Verdict.HOLDS),
        (readings("balanced_accuracy", low=0.09, shuffled=0.1), Verdict.NOT),
    ],
)
def test_decodable(table: pd.DataFrame, verdict: Verdict) -> None:
    (found,) = decodable(table)
    assert (found.corpus, found.factors, found.verdict) == ("tone", ("f0_octaves",), verdict)


ANGLE: dict[str, Any] = {
    **{"corpus": "tone", "encoder": "pretrained", "first": "f0_octaves", "second": "event_level_db"},
    **{"mean_deg": 85.0, "null_median_deg": 70.0, "p_holm": 0.01, "self_first_deg": 10.0, "self_second_deg": 20.0},
    "readable": True,
}


def judged(kept: float = 0.95, own: float = 0.2, **angle: Any) -> Verdict:  # noqa: ANN401
    """Verdict of a pair; ``kept`` is what stays of the second factor without the first."""
    left = {
        ("f0_octaves", "f0_octaves"): own,
        ("f0_octaves", "event_level_db"): kept,
        ("event_level_db", "f0_octaves"): 0.95,
        ("event_level_db", "event_level_db"): -0.2,
    }
    rows = [
        {"corpus": "tone", "encoder": encoder, "by": by, "erased": a, "factor": b, "r2_before": 0.8}
        | {"r2_after": 0.8 * share if (encoder, by) == ("pretrained", "projection") else 0.0}
        for (a, b), share in left.items()
        for encoder in ("pretrained", "random")
        for by in ("projection", "whitened")
    ]
    table = pd.DataFrame([ANGLE | angle, ANGLE | angle | {"encoder": "random"}])
    (found,) = orthogonal(table, pd.DataFrame(rows))
    assert found.factors == ("f0_octaves", "event_level_db")
    return found.verdict


def test_orthogonal() -> None:
    assert judged() is Verdict.HOLDS
    assert judged(p_holm=0.06) is Verdict.PARTLY
    assert judged(self_second_deg=86.0) is Verdict.PARTLY
    assert judged(kept=0.89) is Verdict.PARTLY
    assert judged(own=0.51) is Verdict.PARTLY
    assert judged(kept=0.89, p_holm=0.06) is Verdict.NOT
    assert judged(readable=False) is Verdict.NOT


def test_the_page_puts_the_paper_first_and_counts_all() -> None:
    read = [*decodable(readings()), *decodable(readings(low=-1).assign(factor="snr_db"))]
    assert counted(read) == {"holds": 1, "partly": 0, "not": 1}
    page = markdown(read, [])
    claimed = page.partition("## The paper's claims")[2].partition("## Each factor")[0]
    assert "f0_octaves" in claimed
    assert "snr_db" not in claimed
    assert "| snr_db     | tone     | does not hold at this scale |" in page
