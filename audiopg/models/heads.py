"""What pre-training reads off the mean of the visible tokens; all of it is discarded afterwards."""

from torch import Tensor, nn
from torch.nn import functional

WIDTH = 512
N_DIRECTIONS = 128


def standardise(width: int) -> nn.BatchNorm1d:
    """Return a layer that makes each feature's mean 0 and variance 1 over the clips of a part, without weights."""
    return nn.BatchNorm1d(width, affine=False, track_running_stats=False)


class Projection(nn.Module):
    """From the mean of the tokens to a direction in which the clips of one identity are to lie.

    Without the standardisation nothing is learnt: the means of all clips lie close to one point.
    Source: the projection of SimCLR (Chen et al. 2020), here with standardised inputs.
    """

    def __init__(self, width: int) -> None:
        """Take the width D of the encoder."""
        super().__init__()
        self.layers = nn.Sequential(
            standardise(width),
            nn.Linear(width, WIDTH),
            standardise(WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, N_DIRECTIONS),
            standardise(N_DIRECTIONS),
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Return unit vectors, (B, D) to (B, 128), float32."""
        return functional.normalize(self.layers(pooled.float()).float(), dim=-1)
