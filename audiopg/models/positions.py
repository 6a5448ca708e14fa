"""Fixed two-dimensional sine-cosine positions, computed for any grid of patches."""

import torch
from torch import Tensor, nn

from audiopg.features.logmel import is_traced

CPU = torch.device("cpu")


def sincos_2d(n_time: int, n_frequency: int, width: int, device: torch.device = CPU) -> Tensor:
    """Positions of a grid: the first half of the width codes time, the second half frequency.

    Each half holds sines, then cosines, of the coordinate at wavelengths from 2π to 10000 · 2π. All of it is in
    operators of torch, so that a model that is compiled or exported takes grids of any size.

    Args:
        n_time: patches along time.
        n_frequency: patches along frequency, the faster axis.
        width: width D of the embedding.
        device: where they are needed.

    Returns:
        Shape (n_time · n_frequency, D), float32, in [-1, 1], to within 1e-5 for up to 128 patches along an axis.

    Raises:
        ValueError: the width is not a multiple of 4.
    Source: MAE's fixed embeddings, He et al. (2022), after Vaswani et al. (2017).
    """
    if width % 4:
        msg = f"width {width} is not a multiple of 4"
        raise ValueError(msg)
    rates = 10000.0 ** -(torch.arange(width // 4, device=device) / (width // 4))

    def waves(n_places: int) -> Tensor:
        angles = torch.arange(n_places, device=device)[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    time = waves(n_time)[:, None].expand(-1, n_frequency, -1)
    frequency = waves(n_frequency).expand(n_time, -1, -1)
    return torch.cat([time, frequency], dim=2).reshape(n_time * n_frequency, width)


class Positions(nn.Module):
    """`sincos_2d` of a width, kept for the grid that was asked for last.

    They are part of no state, since they follow from the grid. A graph that is compiled or exported computes them anew:
    it has to take grids of any size.
    """

    def __init__(self, width: int) -> None:
        """Take the width D of the embedding."""
        super().__init__()
        self.width = width
        self._kept: tuple[tuple[int, int, torch.device], Tensor] | None = None

    def forward(self, n_time: int, n_frequency: int, device: torch.device) -> Tensor:
        """Return the positions of a grid on a device, as `sincos_2d`."""
        if is_traced():
            return sincos_2d(n_time, n_frequency, self.width, device)
        kept, key = self._kept, (n_time, n_frequency, device)
        if kept is None or kept[0] != key:
            kept = self._kept = key, sincos_2d(n_time, n_frequency, self.width, device)
        return kept[1]
