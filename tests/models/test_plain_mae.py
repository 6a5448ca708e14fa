"""The masked autoencoder against one that is written down plainly: the same loss, gradients and steps."""

import pytest
import torch
from plain_mae import PlainAutoencoder

from audiopg import config
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise


@pytest.mark.parametrize("mask_ratio", [0.75, 0.5])
def test_loss_and_gradients_are_those_of_the_plain_model(mask_ratio: float) -> None:
    encoder = config.Encoder(size="micro", patch_frames=16, patch_mels=16)
    model = MaskedAutoencoder(encoder, config.Decoder(width=32, depth=2, n_heads=2), mask_ratio)
    initialise(model, 3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # no weight is left at 0 or 1, so that each one counts
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    plain = PlainAutoencoder(model)
    x = torch.randn(3, 64, 128, generator=generator)
    noise = torch.rand(3, 32, generator=generator)
    losses = model(x, noise).loss, plain(x, noise)
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-5)
    for loss in losses:
        loss.backward()
    ours, theirs = model.encoder.blocks[2], plain.encoder[2]
    pairs = [
        (model.encoder.embed.weight, plain.embed.weight.grad.reshape(128, 256)),
        (model.mask_token, plain.mask.grad),
        (
            ours.qkv.weight,
            torch.cat(
                [
                    theirs.attention.query.weight.grad,
                    theirs.attention.key.weight.grad,
                    theirs.attention.value.weight.grad,
                ]
            ),
        ),
        (ours.expand.bias, theirs.mlp[0].bias.grad),
        (model.decoder_blocks[0].project.weight, plain.decoder[0].attention.out.weight.grad),
        (model.predict.weight, plain.predict.weight.grad),
    ]
    for parameter, expected in pairs:
        torch.testing.assert_close(parameter.grad, expected, atol=1e-6, rtol=1e-3)
