"""The patch filters of an encoder whose filters are known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from audiopg.analysis.pictures import patch_filters
from audiopg.config import Config
from audiopg.models.vit import Encoder, untrained


@torch.no_grad()
def planted(cfg: Config) -> Encoder:
    """Unit 2 listens to one point of the patch with weight -3, unit 5 to another with weight 4."""
    encoder = untrained(cfg.encoder, 1)
    encoder.embed.weight.zero_()
    encoder.embed.weight[2, 7 * cfg.encoder.patch_mels + 3] = -3
    encoder.embed.weight[5, 1 * cfg.encoder.patch_mels + 9] = 4
    return encoder


def test_components_and_units_by_hand(tiny: Config) -> None:
    table = patch_filters.filters(planted(tiny), 10.0)
    size = tiny.encoder.patch_frames * tiny.encoder.patch_mels
    assert table.groupby("kind")["number"].nunique().to_dict() == {"component": 16, "unit": 16}
    assert len(table) == 2 * 16 * size
    peaks = table[table["weight"].abs() > 0.5].query("number <= 2")
    found = [tuple(row) for row in peaks[["kind", "number", "time_ms", "mel", "weight"]].to_numpy()]
    # a component has norm 1 and its peak positive; a unit keeps its own weights
    expected = [("component", 1, 10, 9, 1), ("component", 2, 70, 3, 1), ("unit", 1, 10, 9, 4), ("unit", 2, 70, 3, -3)]
    for row, wanted in zip(found, expected, strict=True):
        assert row[0] == wanted[0]
        assert row[1:] == pytest.approx(wanted[1:])
    shares = table.groupby(["kind", "number"])["share"].first()
    for kind in ("component", "unit"):
        assert shares[kind].to_numpy()[:3] == pytest.approx([16 / 25, 9 / 25, 0])


def test_the_spectrum_of_planted_filters_is_steeper_than_that_of_random_ones(tiny: Config) -> None:
    encoders = {"pretrained": planted(tiny), "random": untrained(tiny.encoder, 2)}
    shares = patch_filters.spectrum(encoders).groupby("encoder")["share"]
    assert shares.sum().to_numpy() == pytest.approx([1, 1])
    assert shares.first()["pretrained"] == pytest.approx(16 / 25)
    # Marchenko and Pastur: the largest eigenvalue of noise is (1 + √(D / patch))² times their mean
    rank = min(encoders["random"].embed.weight.shape)
    ratio = rank / max(encoders["random"].embed.weight.shape)
    assert shares.first()["random"] * rank == pytest.approx((1 + np.sqrt(ratio)) ** 2, rel=0.1)


def test_the_picture_has_two_themes(tiny: Config, tmp_path: Path) -> None:
    table = patch_filters.filters(planted(tiny), 10.0).query("number <= 2")
    shares = patch_filters.spectrum({"pretrained": planted(tiny), "random": untrained(tiny.encoder, 2)})
    patch_filters.picture(table, shares, tiny.features.hop_ms, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "a-dark.png").read_bytes()
