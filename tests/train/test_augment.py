"""Augmentation by address and by closed form."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from audiopg.config import Config
from audiopg.data.clips import Clips
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.train.augment import cutmix, mixup, random_offsets, spec_augment
from audiopg.train.drop import drop_path, patch_drop


def draws(key: int = 3) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key))


def clips() -> Clips:
    lengths = [8, 20]
    frames = np.repeat(np.arange(28, dtype=np.float32)[:, None], 2, axis=1)
    return Clips(frames, np.cumsum([0, *lengths]), 8, cast(LogMel, SimpleNamespace(silence=-1.0)))


def test_windows_cover_a_recording_evenly() -> None:
    assert clips().offsets(0) == [0]
    assert clips().offsets(1) == [0, 6, 12]


def test_a_window_outside_a_recording_is_silent() -> None:
    assert clips().cut(0, -3)[:, 0].tolist() == [-1, -1, -1, 0, 1, 2, 3, 4]
    assert clips().cut(1, 15)[:, 0].tolist() == [23, 24, 25, 26, 27, -1, -1, -1]
    assert clips().cut(0, 8)[:, 0].tolist() == [-1] * 8


def test_all_windows_lists_each_once() -> None:
    assert clips().windows(np.array([0, 1]), 3) == [([0, 1, 1], [0, 0, 6]), ([1], [12])]
    assert clips().windows(np.array([1]), 3) == [([0, 0, 0], [0, 6, 12])]


def test_random_offsets_reach_both_ends() -> None:
    lowest = random_offsets(clips(), [0, 1], 3, np.array([0.0, 0.0]))
    highest = random_offsets(clips(), [0, 1], 3, np.array([0.999999, 0.999999]))
    assert lowest == [-3, -3]
    assert highest == [0, 12]


def test_crops_of_a_long_recording_begin_anywhere_and_are_its_own_frames() -> None:
    offsets = random_offsets(clips(), [1] * 13000, 0, draws().random(13000))
    assert sorted(set(offsets)) == list(range(13))
    assert np.bincount(offsets) == pytest.approx([1000] * 13, abs=130)
    for offset in range(13):
        assert clips().batch([1], [offset])[0, :, 1].tolist() == list(range(8 + offset, 16 + offset))


def test_mixup_blends_sound_and_label_alike() -> None:
    x = torch.eye(6)[:, :, None].repeat(1, 1, 2)
    y = torch.eye(6)
    mixed, targets = mixup(x, y, 0.8, np.random.Generator(np.random.Philox(3)), torch.lerp)
    torch.testing.assert_close(mixed[:, :, 0], targets)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    assert not torch.equal(targets, y)
    same, labels = mixup(x, y, 0.0, np.random.Generator(np.random.Philox(3)), torch.lerp)
    assert torch.equal(same, x)
    assert torch.equal(labels, y)


def cut(alpha: float, key: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut and mix six examples, 20 frames by 12 mel bins, whose every cell holds their number, which is their label."""
    numbers = torch.arange(6.0)[:, None, None].repeat(1, 20, 12)
    return cutmix(numbers, torch.eye(6), alpha, draws(key))


@pytest.mark.parametrize("key", range(20))
def test_cutmix_gives_each_label_the_area_that_is_its_own(key: int) -> None:
    mixed, targets = cut(1.0, key)
    foreign = mixed != torch.arange(6.0)[:, None, None]
    with_other = [number for number in range(6) if foreign[number].any()]
    for number in range(6):
        torch.testing.assert_close(targets[number], torch.bincount(mixed[number].flatten().long(), minlength=6) / 240)
    for number in with_other:  # all have one and the same rectangle
        frames, mels = foreign[number].any(dim=1), foreign[number].any(dim=0)
        assert torch.equal(foreign[number], foreign[with_other[0]])
        assert torch.equal(foreign[number], frames[:, None] & mels[None])
        assert frames.int().diff().abs().sum() <= 2
        assert mels.int().diff().abs().sum() <= 2


def test_the_area_of_cutmix_is_the_one_drawn_unless_an_edge_cuts_it() -> None:
    # all of a share of Beta(α, α) lies at 1/2 for a large α: sides of √½, 14 of 20 frames and 8 of 12 mel bins
    shares = [1 - cut(1e9, key)[1].diagonal().min().item() for key in range(300)]
    assert max(shares) == pytest.approx(14 * 8 / 240)
    # the rectangle is whole for 7 of 20 centres in time and 5 of 12 in frequency
    whole = np.mean([share > 14 * 8 / 240 - 1e-6 for share in shares])
    assert whole == pytest.approx(7 / 20 * 5 / 12, abs=0.05)


def test_masks_are_bands_of_at_most_their_width_and_silent(tiny: Config) -> None:
    recipe = tiny.finetune.model_copy(
        update={"n_time_masks": 1, "time_mask_frames": 8, "n_mel_masks": 1, "mel_mask_bins": 6}
    )
    masked = spec_augment(torch.zeros(4000, 32, 24), recipe, -1.28, draws())
    hidden = masked != 0
    assert masked[hidden].unique().tolist() == pytest.approx([-1.28])
    frames, mels = hidden.all(dim=2), hidden.all(dim=1)
    assert torch.equal(hidden, frames[:, :, None] | mels[:, None, :])
    for bands, widest in ((frames, 8), (mels, 6)):
        widths = bands.sum(dim=1)
        assert bands.int().diff(dim=1).clamp_min(0).sum(dim=1).add(bands[:, 0].int()).max() == 1
        # widths are uniform from 0 to the widest
        assert (torch.bincount(widths) / 4000).tolist() == pytest.approx([1 / (widest + 1)] * (widest + 1), abs=0.02)
        assert bands[:, 0].any()
        assert bands[:, -1].any()
    # a cell in the middle lies under width / (32 - width + 1) of the places, averaged over the widths
    expected = np.mean([width / (33 - width) for width in range(9)])
    assert frames[:, 16].float().mean().item() == pytest.approx(expected, abs=0.02)


def test_the_number_of_masks_is_what_it_says(tiny: Config) -> None:
    recipe = tiny.finetune.model_copy(update={"n_time_masks": 3, "time_mask_frames": 1, "n_mel_masks": 0})
    masked = spec_augment(torch.zeros(3000, 400, 2), recipe, 1.0, draws()) != 0
    n_hidden = torch.bincount(masked[:, :, 0].sum(dim=1)) / 3000
    assert n_hidden.tolist() == pytest.approx([1 / 8, 3 / 8, 3 / 8, 1 / 8], abs=0.03)
    x = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(spec_augment(x, tiny.finetune, 1.0, draws()), x)


def test_patches_are_dropped_evenly_and_never_all() -> None:
    kept = patch_drop(0.7, (10, 1), 20000, draws())
    assert kept is not None
    assert kept.shape == (20000, 3)
    assert (kept.diff(dim=1) > 0).all()
    assert (torch.bincount(kept.flatten()) / 20000).tolist() == pytest.approx([0.3] * 10, abs=0.015)
    together = ((kept == 0).any(dim=1) & (kept == 9).any(dim=1)).float().mean().item()
    assert together == pytest.approx(3 / 10 * 2 / 9, abs=0.01)
    last = patch_drop(0.99, (10, 4), 2, draws())
    assert last is not None
    assert last.shape == (2, 4)
    assert patch_drop(0.0, (10, 1), 2, draws()) is None


def test_as_many_patches_of_each_band_are_kept() -> None:
    kept = patch_drop(0.5, (8, 3), 2000, draws())
    assert kept is not None
    by_band = kept.view(2000, 4, 3)
    assert (by_band % 3 == torch.arange(3)).all()
    times = by_band // 3
    assert (times.diff(dim=1) > 0).all()
    equal = (times[:, :, 0] == times[:, :, 1]).all(dim=1).float().mean().item()
    assert equal == pytest.approx(1 / 70, abs=0.01)  # of 8 over 4 choices: the bands are drawn apart


def recorded(features_mean: float, features_std: float, tiny: Config) -> Clips:
    """Recordings of 8 and 20 frames, loud and quiet, normalised with the given numbers."""
    features = tiny.features.model_copy(update={"norm_mean": features_mean, "norm_std": features_std})
    frames = np.random.Generator(np.random.Philox(5)).normal(0.3, 0.9, (28, 128)).astype(np.float32)
    frames[8:] = 2 * frames[8:] - 0.5
    return Clips(frames, np.array([0, 8, 28]), 8, LogMel(features))


@pytest.mark.parametrize("rows", [[0], [1], [0, 1]])
def test_normalising_gives_the_measured_recordings_the_mean_and_deviation_of_the_corpus(
    rows: list[int], tiny: Config
) -> None:
    before = recorded(-4.26, 4.56, tiny)
    after = before.normalised_to(np.array(rows))
    whole = np.concatenate([after.batch([row], [o])[0].numpy() for row in rows for o in range(after.n_frames(row) - 7)])
    if rows == [0]:
        assert (whole.mean(), whole.std()) == pytest.approx((0, 0.5), abs=1e-5)
    frames = np.concatenate([before.frames[:8], before.frames[8:]][rows[0] : rows[-1] + 1])
    # as the front end itself would have made them with this mean and deviation of the log-mel
    raw = frames.astype(np.float64) * 2 * 4.56 - 4.26
    assert after.log_mel.features.norm_mean == pytest.approx(raw.mean())
    assert after.log_mel.features.norm_std == pytest.approx(raw.std())
    expected = (before.frames[10:18].astype(np.float64) * 2 * 4.56 - 4.26 - raw.mean()) / (2 * raw.std())
    np.testing.assert_allclose(after.cut(1, 2), expected, atol=1e-5)
    # silence stays silence, inside and outside of a recording
    silent = before.log_mel.silence * after.scale + after.shift
    assert after.log_mel.silence == pytest.approx(silent, abs=1e-6)
    assert after.cut(0, 8)[0, 0] == pytest.approx(silent, abs=1e-6)


def test_normalising_is_that_of_the_front_end(tiny: Config) -> None:
    waveform = torch.from_numpy(draws().normal(0, 0.1, (1, 16000)).astype(np.float32))
    spectrogram = LogMel(tiny.features)(waveform)[0].numpy()
    clips = Clips(spectrogram, np.array([0, len(spectrogram)]), len(spectrogram), LogMel(tiny.features))
    after = clips.normalised_to(np.array([0]))
    np.testing.assert_allclose(after.cut(0, 0), after.log_mel(waveform)[0].numpy(), atol=1e-5)


def test_silence_has_no_deviation(tiny: Config) -> None:
    clips = Clips(np.full((16, 128), -1.28, np.float32), np.array([0, 8, 16]), 8, LogMel(tiny.features))
    with pytest.raises(AudiopgError, match="^the 1 training recordings are all silent: normalise 'task' has no dev"):
        clips.normalised_to(np.array([1]))


def test_drop_path_rises_to_its_rate_and_keeps_the_mean() -> None:
    drop_path_scale = drop_path(0.4, 5, 20000, np.random.Generator(np.random.Philox(3)))
    assert drop_path_scale is not None
    dropped = (drop_path_scale == 0).float().mean(dim=(1, 2))
    assert dropped.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.01)
    assert drop_path_scale.mean(dim=(1, 2)).tolist() == pytest.approx([1] * 5, abs=0.01)
    assert drop_path(0.0, 5, 3, np.random.Generator(np.random.Philox(3))) is None
