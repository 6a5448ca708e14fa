"""Read-outs against NumPy on whole recordings, whichever way they are cut into windows."""

import numpy as np
import pytest
import torch

from audiopg.models.readout import ReadOut, combine_windows, over_time, pool


def recording() -> torch.Tensor:
    """Tokens of six times, two bands, width 3."""
    return torch.from_numpy(np.random.Generator(np.random.Philox(1)).normal(2, 3, (6, 2, 3)))


def test_statistics_of_windows_are_those_of_the_recording() -> None:
    """The change across the cut is the one thing that windows do not see."""
    tokens = recording()
    windows = torch.stack([over_time(part[None])[0] for part in tokens.split(3)])
    mean, deviation, change, largest, smallest = combine_windows(windows).numpy()
    every = tokens.numpy()
    np.testing.assert_allclose(mean, every.mean(0))
    np.testing.assert_allclose(deviation, every.std(0))
    np.testing.assert_allclose(change, np.abs(np.diff(every, axis=0))[[0, 1, 3, 4]].mean(0))
    np.testing.assert_allclose(largest, every.max(0))
    np.testing.assert_allclose(smallest, every.min(0))


def test_poolings_are_those_of_all_tokens() -> None:
    every = recording().numpy()
    statistics = combine_windows(over_time(recording()[None]))
    np.testing.assert_allclose(pool(statistics, "mean"), every.mean((0, 1)))
    np.testing.assert_allclose(pool(statistics, "moments"), np.ravel([every.mean((0, 1)), every.std((0, 1))]))
    np.testing.assert_allclose(pool(statistics, "bands"), statistics.flatten())


def test_a_single_time_has_no_change() -> None:
    mean, variance, change, largest, smallest = over_time(recording()[None, :1])[0]
    assert torch.equal(mean, largest)
    assert torch.equal(mean, smallest)
    assert not variance.any()
    assert not change.any()


def test_layers_are_counted_from_the_patch_embedding() -> None:
    assert ReadOut().numbers(depth=12) == (6,)
    assert ReadOut().numbers(depth=6) == (3,)
    assert ReadOut((0, 13)).numbers(depth=12) == (0, 13)


@pytest.mark.parametrize(
    ("readout", "reason"),
    [
        (ReadOut((14,)), r"layers: some of 0 to 13 in ascending order are needed, found \[14\]"),
        (ReadOut((-1,)), "found"),
        (ReadOut(()), "found"),
        (ReadOut((8, 8)), "found"),
        (ReadOut((9, 8)), "found"),
        (ReadOut((8,), "max"), "pooling: mean, moments, bands are known, found 'max'"),  # type: ignore[arg-type]
    ],
)
def test_what_an_encoder_does_not_have_is_refused(readout: ReadOut, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        readout.numbers(depth=12)
