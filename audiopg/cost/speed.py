"""How fast a device computes."""

import math
from dataclasses import dataclass

from audiopg.errors import AudiopgError

# Where the float32 peak is not given. An A100 has 19.5 TFLOP/s in float32, 1/16 of its bfloat16; assumed to be used
# twice as well, since arithmetic that slow waits neither for memory nor for launches.
FLOAT32_SHARE = 1 / 8


@dataclass(frozen=True)
class Speed:
    """How fast a device multiplies matrices.

    Attributes:
        peak: FLOP/s of the data sheet in the precision of training.
        utilisation: share of a peak that is sustained, in (0, 1].
        float32_peak: FLOP/s in float32; None is `FLOAT32_SHARE` of ``peak``.

    Raises:
        AudiopgError: a figure is not above 0, not finite, or the share is above 1.
    """

    peak: float
    utilisation: float
    float32_peak: float | None = None

    def __post_init__(self) -> None:
        """Refuse figures that give no time."""
        for option, value, most in (
            ("--flops", self.peak, math.inf),
            ("--utilisation", self.utilisation, 1),
            ("--float32-flops", self.float32_peak, math.inf),
        ):
            if value is not None and not (0 < value <= most and math.isfinite(value)):
                msg = f"{option}: a number above 0{' and up to 1' if most == 1 else ''} is needed, found {value:g}"
                raise AudiopgError(msg)

    def sustained(self, *, reduced: bool) -> float:
        """FLOP/s that are reached, in bfloat16 if ``reduced``, else in float32."""
        float32 = self.peak * FLOAT32_SHARE if self.float32_peak is None else self.float32_peak
        return self.utilisation * (self.peak if reduced else float32)


@dataclass(frozen=True)
class Rates:
    """Sustained FLOP/s."""

    training: float
    evaluation: float
    """Of what an encoder only sees."""
