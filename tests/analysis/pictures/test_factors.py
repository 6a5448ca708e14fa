"""The figures over factors: equal bytes for equal data, two themes, labels that must exist."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure
from PIL import Image

from audiopg import plotting
from audiopg.analysis.pictures import factors
from audiopg.analysis.pictures.projections import MAX_POINTS, project


def draw(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def scores(factor: str = "f0_octaves") -> pd.DataFrame:
    columns = ["corpus", "factor", "measure", "encoder", "layer", "pooling", "score", "low", "high", "shuffled"]
    rows = [
        ("tone", factor, measure, encoder, layer, pooling, 0.1 * layer, 0.1 * layer - 0.05, 0.1 * layer + 0.05, 0.0)
        for measure in ("r2", "balanced_accuracy")
        for encoder, layers in (("pretrained", 4), ("random", 4), ("logmel_stats", 1))
        for layer in range(layers)
        for pooling in (("mean", "std", "mean_std") if layers > 1 else ("mean_std",))
    ]
    return pd.DataFrame(rows, columns=columns)


def angles(factor: str = "f0_octaves") -> pd.DataFrame:
    columns = ["corpus", "encoder", "first", "second", "angle_deg", "low_deg", "readable", "p_holm"]
    rows = [
        ("tone", "pretrained", factor, "snr_db", 80.0, 75.0, True, 0.01),
        ("tone", "pretrained", factor, "decay_exponent", 40.0, 30.0, False, 0.01),
        ("tone", "pretrained", "snr_db", "decay_exponent", 60.0, 50.0, True, 0.06),
        ("tone", "random", factor, "snr_db", 10.0, 5.0, True, 0.9),
    ]
    return pd.DataFrame(rows, columns=columns).assign(self_first_deg=5.0, self_second_deg=7.0, null_deg=70.0)


def erasures(factor: str = "f0_octaves") -> pd.DataFrame:
    columns = ["corpus", "encoder", "erased", "factor", "r2_before", "r2_after", "r2_random"]
    rows = [
        ("tone", "pretrained", erased, read, 0.9, 0.1 if erased == read else 0.8, 0.88)
        for erased in (factor, "snr_db")
        for read in (factor, "snr_db")
    ]
    return pd.DataFrame(rows, columns=columns)


def points(factor: str = "f0_octaves") -> pd.DataFrame:
    generator = draw(1)
    known: dict[str, Any] = {
        factor: generator.uniform(5, 10, 40),
        "event_level_db": np.where(np.arange(40) % 3, generator.uniform(-24, 0, 40), np.nan),
        "primitive": np.array(["harmonic", "fm"])[np.arange(40) % 2],
    }
    return project("events", generator.standard_normal((40, 6)), known)


FIGURES = [
    (factors.score_per_layer, scores),
    (factors.angle_matrix, angles),
    (factors.interventions, erasures),
    (factors.embedding, points),
]


@pytest.mark.parametrize(("figure", "table"), FIGURES)
def test_equal_data_give_equal_bytes_in_two_themes(
    figure: Callable[[pd.DataFrame, Path], None], table: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        figure(table(), tmp_path / f"{name}.png")
    light, dark = (tmp_path / "a.png").read_bytes(), (tmp_path / "a-dark.png").read_bytes()
    assert light == (tmp_path / "b.png").read_bytes()
    assert dark == (tmp_path / "b-dark.png").read_bytes()
    corners = [Image.open(tmp_path / name).convert("L").getpixel((0, 0)) for name in ("a.png", "a-dark.png")]
    assert corners[0] == 255
    assert corners[1] < 40


@pytest.mark.parametrize(("figure", "table"), FIGURES)
def test_a_factor_without_a_label_is_an_error(
    figure: Callable[[pd.DataFrame, Path], None], table: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="factor 'loudness_sone' has no label; add it to FACTORS"):
        figure(table("loudness_sone"), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_theme_does_not_leak(tmp_path: Path) -> None:
    before = {name: rcParams[name] for name in plotting.THEMES[""]}
    seen = []

    def empty() -> Figure:
        seen.append(plotting.ink())
        return Figure(figsize=(1, 1))

    plotting.both(tmp_path / "a.png", empty)
    assert len(set(seen)) == 2
    assert {name: rcParams[name] for name in before} == before


def test_a_matrix_of_angles_by_hand() -> None:
    table = angles()
    found, texts = factors._angles(table[table["encoder"] == "pretrained"])
    # in the order f0, SNR, decay; SNR is first and second, and its first own angle is the one of its last pair
    np.testing.assert_array_equal(found, found.T)
    assert found[0].tolist() == [5, 80, 40]
    assert found[1, 2] == 60
    assert texts[0][1] == texts[1][0] == "80*\n(75, 70)"
    assert texts[1][2] == "60\n(50, 70)"
    assert texts[0][2] == "40\n(30, 70)"
    assert texts[0][0] == "5"


def test_a_matrix_of_erasures_by_hand() -> None:
    found, texts, (rows, columns) = factors._erased(erasures())
    assert found.tolist() == [[0.9, 0.9], [0.1, 0.8], [0.8, 0.1]]
    assert texts[1] == ["0.10\n(0.88)", "0.80\n(0.88)"]
    assert rows == ["nothing taken out", "without f0", "without SNR"]
    assert columns == ["f0", "SNR"]


def test_projections_are_the_first_clips_and_repeat() -> None:
    first, second = points(), points()
    pd.testing.assert_frame_equal(first, second)
    assert list(first.columns[:6]) == ["corpus", "method", "x", "y", "x_share", "y_share"]
    assert first["method"].value_counts().to_dict() == {"PCA": 40, "t-SNE": 40}
    assert MAX_POINTS == 1500


def test_principal_components_of_a_plane_are_all_of_it() -> None:
    generator = draw(2)
    scale = np.array([3.0, 1.0])
    plane = generator.standard_normal((200, 2)) * scale
    plane -= plane.mean(axis=0)
    found = project("tone", np.hstack([plane, np.zeros((200, 3))]), {}).query("method == 'PCA'")
    assert found["x_share"].iloc[0] + found["y_share"].iloc[0] == pytest.approx(1)
    assert found["x_share"].iloc[0] == pytest.approx(0.9, abs=0.03)
    # a rotation keeps lengths
    lengths = np.hypot(found["x"], found["y"])
    np.testing.assert_allclose(lengths, np.linalg.norm(plane, axis=1))
