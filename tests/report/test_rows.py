"""How the figures of a row are averaged."""

import pytest

from audiopg.report.rows import mean_and_std


def test_mean_and_sample_deviation_by_hand() -> None:
    assert mean_and_std([0.1, 0.3]) == {"mean": 0.2, "std": pytest.approx(0.141421, abs=1e-6), "n": 2}
    assert mean_and_std([0.4]) == {"mean": 0.4, "std": 0.0, "n": 1}
