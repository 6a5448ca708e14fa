"""The envelope of an event: attack, decay, sustain, release in straight lines."""

import torch
from torch import Tensor

Time = Tensor | float


def adsr(  # noqa: PLR0913  (an envelope has this many break-points)
    time: Tensor, *, attack: Time, decay: Time, sustain: Time, release: Time, duration: Time
) -> Tensor:
    """Piecewise linear envelope: 0 to 1, down to the sustain level, and to 0 at the end of the event.

    The release ends with the event; where attack, decay and release are shorter than the event, as in struck sounds,
    the sustain level is held between decay and release.

    Args:
        time: time since the onset, any shape, in [0, duration); all times in one unit. The other arguments are numbers,
            or tensors of that shape.
        attack: rise from 0 to 1, > 0.
        decay: fall from 1 to the sustain level, > 0.
        sustain: amplitude where the release begins, in [0, 1].
        release: fall to 0, > 0.
        duration: length of the event.

    Returns:
        Amplitude in [0, 1] of the shape of ``time``.
    """
    rise = time / attack
    fall = 1 - (time - attack) * ((1 - sustain) / decay)
    # The rise is above 1 once the fall has begun, and the fall above 1 before: the lower of the two is the one to hear.
    return torch.minimum(rise, fall.clamp(min=sustain)) * ((duration - time) / release).clamp(max=1)
