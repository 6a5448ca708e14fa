"""The classifier: pooling, and which patches it sees."""

import numpy as np
import torch
from support.models import MICRO, spectrograms

from audiopg.models.classifier import AttentionPooling, BandPooling, Classifier
from audiopg.models.vit import initialise


def test_the_classifier_averages_tokens() -> None:
    model = Classifier(MICRO, 7)
    initialise(model, 0)
    x = spectrograms()
    torch.testing.assert_close(model(x), model.head(model.encoder(x).mean(dim=1)))
    assert model(x).shape == (3, 7)


def test_pooling_by_attention_starts_as_the_mean() -> None:
    mean, attention = Classifier(MICRO, 7), Classifier(MICRO, 7, "attention")
    initialise(mean, 0)
    initialise(attention, 0)
    x = spectrograms()
    torch.testing.assert_close(attention(x), mean(x), atol=1e-5, rtol=1e-4)
    attention(x).sum().backward()
    assert attention.pooling is not None
    assert attention.pooling.query.grad is not None
    assert attention.pooling.query.grad.abs().sum() > 0


def test_pooling_by_attention_by_hand() -> None:
    pooling = AttentionPooling(8, 2)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(3, 5, 8, generator=generator)
    with torch.no_grad():
        pooling.query.copy_(torch.randn(2, 8, generator=generator))
    found = pooling(tokens).detach().numpy()
    for clip, x in enumerate(tokens.double().numpy()):
        for head, query in enumerate(pooling.query.detach().double().numpy()):
            scores = np.exp(x @ query / np.sqrt(8))
            part = slice(4 * head, 4 * head + 4)
            np.testing.assert_allclose(found[clip, part], scores @ x[:, part] / scores.sum(), atol=1e-6)


def test_pooling_by_bands_by_hand() -> None:
    tokens = torch.randn(3, 5 * 2, 8, generator=torch.Generator().manual_seed(0))
    found = BandPooling(2)(tokens).view(3, 4, 2, 8).numpy()
    for band in range(2):
        x = tokens[:, band::2].double().numpy()
        expected = [x.mean(axis=1), np.sqrt(x.var(axis=1) + 1e-6), x.max(axis=1), x.min(axis=1)]
        for number, values in enumerate(expected):
            np.testing.assert_allclose(found[:, number, band], values, atol=1e-6)


def test_pooling_by_bands_knows_the_frequency_and_not_the_time() -> None:
    tokens = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    pooling, later, higher = BandPooling(2), tokens.roll(2, dims=1), tokens.view(1, 3, 2, 8).flip(2).reshape(1, 6, 8)
    torch.testing.assert_close(pooling(later), pooling(tokens))
    assert not torch.allclose(pooling(higher), pooling(tokens))
    constant = tokens[:, :2].repeat(1, 3, 1).requires_grad_()
    pooling(constant).sum().backward()
    assert constant.grad is not None
    assert constant.grad.isfinite().all()


def test_the_classifier_sees_only_visible_patches() -> None:
    for pooling in ("mean", "attention", "bands"):
        model = Classifier(MICRO, 7, pooling, 8)  # type: ignore[arg-type]
        initialise(model, 0)
        x = spectrograms()
        bands = torch.arange(8)
        visible = torch.stack([bands, 8 + bands, 24 + bands])
        shown = torch.zeros(3, 32).scatter_(1, visible, 1).view(3, 4, 8)
        hidden = shown.repeat_interleave(16, 1).repeat_interleave(16, 2) == 0
        torch.testing.assert_close(model(x, visible), model(x.masked_fill(hidden, 7.0), visible))
        assert not torch.allclose(model(x, visible), model(x))
        everything = torch.arange(32).repeat(3, 1)
        torch.testing.assert_close(model(x, everything), model(x), atol=1e-5, rtol=1e-4)
