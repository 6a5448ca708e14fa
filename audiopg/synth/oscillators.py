"""Sound sources: what each is called in ``params.yaml``, its parameters with their units, and its waveform."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg.registry import Registry
from audiopg.synth.phase import phase_cycles, sinusoids

Floats = NDArray[np.float64]
Settle = Callable[[Floats, dict[str, Floats], int], dict[str, Floats]]

SIDEBAND_MAX = 1e-3
TABLE_LENGTH = 4096


@dataclass(frozen=True)
class Parameter:
    """One parameter of a source: its unit and the values that it may take."""

    unit: str
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    # Name of the parameter that says how many values there are; empty for a single value per clip.
    one_per: str = ""


def _as_drawn(f0_hz: Floats, parameters: dict[str, Floats], sample_rate_hz: int) -> dict[str, Floats]:  # noqa: ARG001
    """Play what was drawn."""
    return parameters


@dataclass(frozen=True)
class Primitive:
    """A source: its waveform and the parameters that the waveform takes by name, in the order of their draws.

    A new parameter goes to the end, so that the draws of the others stay. ``settle`` turns what was drawn into what
    can be played at a sample rate, so that the score says what is heard.
    """

    waveform: Callable[..., Tensor]
    parameters: Mapping[str, Parameter]
    settle: Settle = _as_drawn


PRIMITIVES: Registry[Primitive] = Registry("source")


def harmonic(  # noqa: PLR0913  (a parameter of the source each)
    f0_hz: Tensor,
    *,
    n_partials: Tensor,
    decay_exponent: Tensor,
    partial_gain: Tensor,
    partial_detune: Tensor,
    partial_phase: Tensor,
    n_samples: int,
    sample_rate_hz: int,
) -> Tensor:
    """Partials at ``k · f0 · detune`` with amplitudes ``k^-γ · gain``.

    Args:
        f0_hz: fundamental in Hz, shape (B,), float64.
        n_partials: partials that sound, shape (B,).
        decay_exponent: γ, shape (B,).
        partial_gain: factor on each amplitude, shape (B, P); what lies beyond ``n_partials`` is not read.
        partial_detune: factor on each frequency, shape (B, P).
        partial_phase: phase at t = 0 in cycles, shape (B, P).
        n_samples: T.
        sample_rate_hz: samples per second.

    Returns:
        Waveform, shape (B, T), float32, on the device of f0_hz; its peak is at most the sum of the amplitudes.

    Source: AudioPG's harmonic primitive.
    """
    k = torch.arange(1, partial_gain.shape[1] + 1, dtype=torch.float64, device=f0_hz.device)
    frequency_hz = k * f0_hz[:, None] * partial_detune
    # Differs from the paper: one γ for all partials of a clip, as in the paper's text; the released code draws the
    # exponent anew for each partial.
    amplitude = k ** -decay_exponent[:, None] * partial_gain
    # Differs from the paper: a partial at or above the Nyquist frequency is silent; there it folds back.
    sounds = (k <= n_partials[:, None]) & (frequency_hz < sample_rate_hz / 2)
    frequency_hz, amplitude, phase = (torch.where(sounds, x, 0) for x in (frequency_hz, amplitude, partial_phase))
    return sinusoids(frequency_hz, amplitude, phase, n_samples, sample_rate_hz).to(torch.float32)


PRIMITIVES.add(
    "harmonic",
    Primitive(
        harmonic,
        {
            "n_partials": Parameter("partials", low=1, whole=True),
            "decay_exponent": Parameter("1"),
            "partial_gain": Parameter("amplitude", low=0, one_per="n_partials"),
            "partial_detune": Parameter("frequency ratio", low=0, one_per="n_partials"),
            "partial_phase": Parameter("cycles", one_per="n_partials"),
        },
    ),
)


def fm(
    f0_hz: Tensor, *, modulation_index: Tensor, modulator_ratio: Tensor, n_samples: int, sample_rate_hz: int
) -> Tensor:
    """Frequency-modulated sinusoid, ``sin(2π f_c t + I sin(2π f_m t))`` with ``f_m = ratio · f_c``.

    The spectrum has lines at ``f_c ± k f_m`` with amplitudes ``J_k(I)``; negative frequencies fold back with their
    sign turned, as they must.

    Args:
        f0_hz: carrier frequency in Hz, shape (B,), float64.
        modulation_index: I in radians, shape (B,).
        modulator_ratio: modulator frequency / carrier frequency, shape (B,).
        n_samples: T.
        sample_rate_hz: samples per second.

    Returns:
        Waveform in [-1, 1], shape (B, T), float32, on the device of f0_hz.

    Source: Chowning (1973); AudioPG's frequency-modulation primitive.
    """
    depth = modulation_index[:, None] / math.tau
    modulator_hz = (modulator_ratio * f0_hz)[:, None]
    modulator = sinusoids(modulator_hz, depth, torch.zeros_like(depth), n_samples, sample_rate_hz)
    phase = modulator.add_(phase_cycles(f0_hz, n_samples, sample_rate_hz)).to(torch.float32)
    return phase.mul_(math.tau).sin_()


def band_limited(f0_hz: Floats, parameters: dict[str, Floats], sample_rate_hz: int) -> dict[str, Floats]:
    """Lower modulation indices until every sideband beyond the Nyquist frequency is below -60 dB.

    ``|J_k(I)| <= (I/2)^k / k!`` bounds the first sideband to reach the Nyquist frequency; the next are smaller.
    """
    index, ratio = parameters["modulation_index"], parameters["modulator_ratio"]
    # Differs from the paper: the index is bounded by what fits; there the sidebands fold back.
    first = np.maximum(np.ceil((sample_rate_hz / 2 - f0_hz) / (ratio * f0_hz)), 1)
    log_factorial = np.array([math.lgamma(k + 1) for k in first])
    limit = 2 * np.exp((math.log(SIDEBAND_MAX) + log_factorial) / first)
    return {**parameters, "modulation_index": np.minimum(index, limit)}


PRIMITIVES.add(
    "fm",
    Primitive(
        fm,
        {
            "modulation_index": Parameter("rad", low=0),
            "modulator_ratio": Parameter("frequency ratio", low=0.01),
        },
        band_limited,
    ),
)


def pulse(f0_hz: Tensor, *, shape: Tensor, n_samples: int, sample_rate_hz: int) -> Tensor:
    """Sawtooth, square or triangle wave, made of the harmonics below the Nyquist frequency and no others.

    Args:
        f0_hz: fundamental in Hz, shape (B,), float64.
        shape: 0 saw, 1 square, 2 triangle, shape (B,).
        n_samples: T.
        sample_rate_hz: samples per second.

    Returns:
        Waveform, shape (B, T), float32, on the device of f0_hz; the Fourier series overshoots ±1 by up to 18 %.

    Source: AudioPG's pulse primitive.
    """
    # Differs from the paper: band-limited; there the naive saw and square alias.
    n_harmonics = torch.ceil(sample_rate_hz / 2 / f0_hz) - 1
    rows = zip(shape.tolist(), n_harmonics.tolist(), strict=True)
    tables = torch.from_numpy(np.stack([wavetable(int(kind), int(n)) for kind, n in rows])).to(f0_hz.device)
    place = phase_cycles(f0_hz, n_samples, sample_rate_hz).mul_(TABLE_LENGTH)
    left = place.to(torch.int64)
    fraction = place.sub_(left).to(torch.float32)
    left &= TABLE_LENGTH - 1
    low = tables.gather(1, left)
    left += 1
    return tables.gather(1, left).sub_(low).mul_(fraction).add_(low)


@lru_cache(maxsize=1024)
def wavetable(shape: int, n_harmonics: int) -> NDArray[np.float32]:
    """One period of a band-limited wave, its first sample repeated at the end, shape (TABLE_LENGTH + 1,).

    Linear interpolation misses harmonic k by ``(2π k / TABLE_LENGTH)² / 8`` of its amplitude. Harmonics beyond
    TABLE_LENGTH / 12, which only fundamentals below 24 Hz have at 16 kHz, are left out to keep that below -80 dB.
    """
    k = np.arange(1, min(n_harmonics, TABLE_LENGTH // 12) + 1)
    odd = k % 2
    amplitude = [
        2 / (np.pi * k) * np.where(odd, 1, -1),
        4 / (np.pi * k) * odd,
        8 / (np.pi * k) ** 2 * odd * np.where(k % 4 == 1, 1, -1),
    ][shape]
    spectrum = np.zeros(TABLE_LENGTH // 2 + 1, dtype=np.complex128)
    spectrum[k] = -0.5j * TABLE_LENGTH * amplitude
    period = np.fft.irfft(spectrum)
    return np.append(period, period[0]).astype(np.float32)


PRIMITIVES.add(
    "pulse", Primitive(pulse, {"shape": Parameter("0 saw, 1 square, 2 triangle", low=0, high=2, whole=True)})
)
