"""Small models and inputs for them."""

import torch

from audiopg import config
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise

MICRO = config.Encoder(size="micro", patch_frames=16, patch_mels=16)


def spectrograms(batch: int = 3, n_frames: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, n_frames, 128, generator=torch.Generator().manual_seed(seed))


def mae(seed: int = 0) -> MaskedAutoencoder:
    model = MaskedAutoencoder(MICRO, config.Decoder(width=32, depth=1, n_heads=2), 0.75)
    initialise(model, seed)
    return model
