"""The one check of samples, by their peak: for decoded recordings and for arrays alike."""

import math

LOUDEST = 100.0  # 40 dB above full scale: no float recording is mixed that loud, but integers in a float file are


def flaw(peak: float) -> str:
    """Return what is wrong with samples of which the largest magnitude is known, or ``""``.

    Args:
        peak: largest magnitude, where full scale is 1; NaN if one of the samples is.
    """
    if not math.isfinite(peak):
        return "contains samples that are not finite; replace NaN and infinity in it"
    if peak > LOUDEST:
        return (
            f"has a peak of {peak:g} where full scale is 1 (integers as floats?); divide it by the integers' full scale"
        )
    return ""
