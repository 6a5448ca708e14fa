"""The masked autoencoder."""

from types import SimpleNamespace

import pytest
import torch
from support.models import MICRO, mae, spectrograms
from support.regression import CPU

from audiopg.config import Config
from audiopg.data.synthetic import SyntheticClips
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import Encoder, initialise, untrained
from audiopg.train.loop import Training


def test_the_untrained_control_is_the_start_of_pre_training() -> None:
    for ours, theirs in zip(untrained(MICRO, 3).parameters(), mae(3).encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_model_sees_only_visible_patches() -> None:
    model = mae()
    x = spectrograms()
    noise = torch.rand(3, 32, generator=torch.Generator().manual_seed(1))
    first = model(x, noise)
    assert first.masked.sum(dim=1).tolist() == [24, 24, 24]
    hidden = first.masked.view(3, 4, 8).repeat_interleave(16, 1).repeat_interleave(16, 2)
    second = model(torch.where(hidden == 1, torch.full_like(x, 7.0), x), noise)
    torch.testing.assert_close(first.prediction, second.prediction)
    # the smallest numbers stay visible
    assert torch.equal(noise.argsort(dim=1)[:, :8].sort(dim=1).values, (first.masked == 0).nonzero()[:, 1].view(3, 8))


def test_loss_is_the_squared_error_over_hidden_patches() -> None:
    model = mae()
    x = spectrograms()
    out = model(x, torch.rand(3, 32, generator=torch.Generator().manual_seed(1)))
    patches = Encoder(MICRO).patches(x).double()
    target = (patches - patches.mean(-1, keepdim=True)) / patches.var(-1, keepdim=True).add(1e-6).sqrt()
    errors = (out.prediction.double() - target)[out.masked == 1].square()
    assert out.loss.item() == pytest.approx(errors.mean().item(), rel=1e-5)


def test_the_masked_autoencoder_overfits_one_batch(tiny: Config) -> None:
    clips = SyntheticClips(tiny.synth, tiny.features, 0, torch.device("cpu")).batch(range(4))
    noise = torch.rand(4, 64, generator=torch.Generator().manual_seed(0))
    model = MaskedAutoencoder(tiny.encoder, tiny.pretrain.decoder, 0.5)
    initialise(model, 0)
    optimizer = tiny.pretrain.optimizer.model_copy(update={"lr": 3e-3})
    training = Training(model, optimizer, 60)
    one = SimpleNamespace(n_clips=lambda _: 4, part=lambda *_: (clips, noise, None), names=str)
    training.fit(one, lambda run, batch: run(*batch).loss, CPU, "overfit")
    assert training.losses[-1] < 0.75 * training.losses[0]
