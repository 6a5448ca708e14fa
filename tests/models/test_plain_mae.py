"""The masked autoencoder against one that is written down plainly: the same loss, gradients and steps."""

from collections.abc import Callable

import pytest
import torch
from plain_mae import PlainAutoencoder
from torch import Tensor, nn

from audiopg import config
from audiopg.config import Config
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise
from audiopg.train.optim import adamw

DECODERS = {
    "micro": config.Decoder(width=32, depth=2, n_heads=2),
    "tiny": config.Decoder(width=128, depth=2, n_heads=4),
}


def named(plain: PlainAutoencoder, read: Callable[[nn.Parameter], Tensor]) -> dict[str, Tensor]:
    """What is read of each weight of the plain model, under the names that the package has for them."""
    found = {"encoder.embed.weight": read(plain.embed.weight).flatten(1), "encoder.embed.bias": read(plain.embed.bias)}
    found["decoder.mask_token"] = read(plain.mask)
    same = {"encoder.norm": plain.norm, "decoder.embed": plain.to_decoder}
    same |= {"decoder.norm": plain.decoder_norm, "decoder.predict": plain.predict}
    for place, layers in (("encoder.blocks", plain.encoder), ("decoder.blocks", plain.decoder)):
        for number, layer in enumerate(layers):
            block, attention = f"{place}.{number}", layer.attention
            same |= {f"{block}.norm_attention": layer.first, f"{block}.norm_mlp": layer.second}
            same |= {f"{block}.project": attention.out}
            same |= {f"{block}.expand": layer.mlp[0], f"{block}.contract": layer.mlp[2]}
            for kind in ("weight", "bias"):
                parts = [getattr(part, kind) for part in (attention.query, attention.key, attention.value)]
                found[f"{block}.qkv.{kind}"] = torch.cat([read(part) for part in parts])
    return found | {
        f"{name}.{kind}": read(getattr(part, kind)) for name, part in same.items() for kind in ("weight", "bias")
    }


def agree(model: MaskedAutoencoder, plain: PlainAutoencoder, read: Callable[[nn.Parameter], Tensor]) -> None:
    """Hold all that is read of the weights of one model against the other's."""
    expected = named(plain, read)
    assert expected.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        difference = (read(parameter) - expected[name]).abs().max()
        assert difference <= 1e-5 * expected[name].abs().max(), name


def gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


@pytest.mark.parametrize("mask_ratio", [0.75, 0.5])
@pytest.mark.parametrize("size", DECODERS)
def test_loss_gradients_and_steps_are_those_of_the_plain_model(tiny: Config, size: str, mask_ratio: float) -> None:
    """In float64: the gradient of the keys' bias is mere rounding, which float32's Adam would take for a direction."""
    encoder = config.Encoder(size=size, patch_frames=16, patch_mels=16)  # type: ignore[arg-type]
    model = MaskedAutoencoder(encoder, DECODERS[size], mask_ratio)
    initialise(model, 3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # no weight is left at 0 or 1, so that each one counts
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    model.double()
    plain = PlainAutoencoder(model).double()
    matrices = [weight for weight in plain.parameters() if weight.ndim in (2, 4)]  # 4: the patch embedding
    others = [weight for weight in plain.parameters() if weight.ndim not in (2, 4)]
    recipe = tiny.pretrain.optimizer
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizers = adamw(model, recipe), torch.optim.AdamW(groups, recipe.lr, betas=recipe.betas)
    for _ in range(2):
        x = torch.randn(3, 64, 128, generator=generator, dtype=torch.float64)
        noise = torch.rand(3, 32, generator=generator)
        losses = model(x, noise).loss, plain(x, noise)
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
        for loss, optimizer in zip(losses, optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
        agree(model, plain, gradient)
        for optimizer in optimizers:
            optimizer.step()
    agree(model, plain, lambda parameter: parameter.detach())
