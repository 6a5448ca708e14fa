"""Batches of a fine-tuning, by step."""

import numpy as np
import pytest
import torch
from support.finetuning import batches

from audiopg import rng
from audiopg.config import Config


def test_an_epoch_shows_each_training_clip_once_and_fills_its_last_batch_with_the_first(tiny: Config) -> None:
    rows = np.arange(1, 18)
    data = batches(tiny, rows, n_epochs=2, batch_size=5)
    assert data.n_steps == 8
    for epoch in range(2):
        seen = torch.cat([data.batch(epoch * 4 + step)[0] for step in range(4)])
        assert torch.equal(seen[17:], seen[:3])
        seen = seen[:17]
        expected = data.clips.batch(rows.tolist(), [0] * 17)
        assert sorted(seen.sum((1, 2)).tolist()) == sorted(expected.sum((1, 2)).tolist())
    again, other = batches(tiny, rows, batch_size=5), batches(tiny, rows, batch_size=5, seed=1)
    assert torch.equal(data.batch(3)[0], again.batch(3)[0])
    assert not torch.equal(data.batch(3)[0], other.batch(3)[0])


def test_labels_are_smoothed_as_stated(tiny: Config) -> None:
    rows = np.arange(4)
    _, targets = batches(tiny, rows, batch_size=4, label_smoothing=0.3).batch(0)
    assert sorted(targets[0].tolist()) == pytest.approx([0.1, 0.1, 0.8])
    _, targets = batches(tiny, rows, batch_size=4, label_smoothing=0.3, multi_label=True).batch(0)
    assert sorted(targets[0].tolist()) == pytest.approx([0.15, 0.15, 0.85])


def test_balanced_sampling_shows_rare_labels_as_often_as_common_ones(tiny: Config) -> None:
    rare = np.zeros((24, 3))
    rare[:, 0], rare[:2, 0], rare[0, 1], rare[1, 2] = 1, 0, 1, 1
    data = batches(tiny, np.arange(20), targets=rare, sampling="balanced", batch_size=8)
    drawn = np.concatenate([data.order(epoch) for epoch in range(200)])
    assert len(data.order(0)) == 24
    assert drawn.max() < 20
    assert rare[drawn].mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.03)
    assert np.array_equal(data.order(7), data.order(7))


@pytest.mark.parametrize("changes", [{"mixup_alpha": 0.8}, {"cutmix_alpha": 0.8}])
def test_labels_that_may_stand_beside_others_have_their_share_in_blends_as_well(
    tiny: Config, changes: dict[str, float]
) -> None:
    single = batches(tiny, np.arange(8), batch_size=8, **changes).batch(1)[1]
    several = batches(tiny, np.arange(8), batch_size=8, multi_label=True, **changes).batch(1)[1]
    assert torch.equal(single, several)
    assert torch.allclose(several.sum(dim=1), torch.ones(8))
    assert ((several > 0) & (several < 1)).any()


def test_the_domain_of_mixup_changes_the_sound_and_not_the_labels(tiny: Config) -> None:
    changes = {"mixup_alpha": 0.8, "batch_size": 8}
    blended = batches(tiny, np.arange(8), mixup_domain="log_mel", **changes).batch(1)
    added = batches(tiny, np.arange(8), mixup_domain="power", **changes).batch(1)
    assert torch.equal(blended[1], added[1])
    assert (added[0] - blended[0]).abs().max() > 0.1


def test_what_is_off_moves_no_draw(tiny: Config) -> None:
    """Batches of shifts and mixup alone, drawn here once more."""
    data = batches(tiny, np.arange(1, 18), batch_size=5, shift_frames=6, mixup_alpha=0.8, label_smoothing=0.1)
    for step in range(8):
        order = rng.generator(0, "x/order", step // 4).permutation(np.arange(1, 18))
        rows = np.concatenate([order, order[:3]])[step % 4 * 5 :][:5]
        draw = rng.generator(0, "x/augment", step)
        offsets = np.floor(draw.random(len(rows)) * 7).astype(int) - 6
        share = 1 - draw.beta(0.8, 0.8)
        partner = torch.from_numpy(draw.permutation(len(rows)))
        clips, targets = data.clips.batch(rows.tolist(), offsets.tolist()), torch.from_numpy(data.targets[rows])
        mixed, labels = data.batch(step)
        assert torch.equal(mixed, torch.lerp(clips, clips[partner], share))
        assert torch.equal(labels, torch.lerp(targets, targets[partner], share) * (1 - 0.1) + 0.1 / 3)


def test_masks_leave_all_other_draws_alone(tiny: Config) -> None:
    changes = {"batch_size": 8, "shift_frames": 6, "mixup_alpha": 0.8}
    masks = {"n_time_masks": 1, "time_mask_frames": 8, "n_mel_masks": 1}
    plain, masked = batches(tiny, np.arange(8), **changes), batches(tiny, np.arange(8), **changes, **masks)
    for step in range(4):
        (before, labels), (after, same) = plain.batch(step), masked.batch(step)
        hidden = before != after
        assert torch.equal(labels, same)
        assert 0 < hidden.float().mean() < 0.5
        assert after[hidden].unique().tolist() == pytest.approx([plain.clips.log_mel.silence])


def test_of_mixup_and_cutmix_each_batch_has_one(tiny: Config) -> None:
    rows = np.arange(8)
    both = batches(tiny, rows, batch_size=8, mixup_alpha=0.8, cutmix_alpha=1.0)
    alone = [batches(tiny, rows, batch_size=8, mixup_alpha=a, cutmix_alpha=b) for a, b in ((0.8, 0.0), (0.0, 1.0))]
    cuts = 0
    for step in range(200):
        found = both.batch(step)[0]
        matches = [torch.equal(found, one.batch(step)[0]) for one in alone]
        assert sum(matches) == 1
        cuts += matches[1]
    assert cuts == pytest.approx(100, abs=25)
