"""The envelope of an event: attack, decay, sustain, release in straight lines."""

import torch
from torch import Tensor


def adsr(  # noqa: PLR0913  (an envelope has this many break-points)
    time_s: Tensor,
    *,
    attack_s: Tensor | float,
    decay_s: Tensor | float,
    sustain_level: Tensor | float,
    release_s: Tensor | float,
    duration_s: Tensor | float,
) -> Tensor:
    """Piecewise linear envelope: 0 to 1, down to the sustain level, and to 0 at the end of the event.

    The release ends with the event; where attack, decay and release are shorter than the event, as they never are in
    a drawn score, the sustain level is held between decay and release.

    Args:
        time_s: time since the onset in s, any shape, in [0, duration_s).
        attack_s: rise from 0 to 1 in s, > 0; this and the others are broadcastable against ``time_s``.
        decay_s: fall from 1 to the sustain level in s, > 0.
        sustain_level: amplitude where the release begins, in [0, 1].
        release_s: fall to 0 in s, > 0.
        duration_s: length of the event in s.

    Returns:
        Amplitude in [0, 1] of the broadcast shape.
    """
    rise = time_s / attack_s
    fall = 1 - (time_s - attack_s) * ((1 - sustain_level) / decay_s)
    # The rise is above 1 once the fall has begun, and the fall above 1 before: the lower of the two is the one to hear.
    return torch.minimum(rise, fall.clamp(min=sustain_level)) * ((duration_s - time_s) / release_s).clamp(max=1)
