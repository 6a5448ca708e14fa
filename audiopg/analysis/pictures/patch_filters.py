"""The filters of the patch embedding: which shapes in time and frequency an encoder's first layer responds to."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from audiopg.analysis.pictures.factors import ENCODERS
from audiopg.arrays import Float64
from audiopg.models.vit import Encoder
from audiopg.plotting import both

N_SHOWN = 16
COLUMNS = 8
KINDS = {"component": "strongest components of the filters", "unit": "units with the largest filters"}


def _weights(encoder: Encoder) -> Float64:
    """Return the weights of the patch embedding, shape (D, patch)."""
    weights: Float64 = encoder.embed.weight.detach().double().cpu().numpy()
    return weights


def spectrum(encoders: Mapping[str, Encoder]) -> pd.DataFrame:
    """Return the share of the filters' summed squares that each of their components has, no mean taken off.

    Returns:
        Columns ``encoder, component, share``; components count from 1, largest first; an encoder's shares add to 1.
    """
    parts = []
    for name, encoder in encoders.items():
        power = np.linalg.svd(_weights(encoder), compute_uv=False) ** 2
        components = np.arange(1, len(power) + 1)
        parts.append(pd.DataFrame({"encoder": name, "component": components, "share": power / power.sum()}))
    return pd.concat(parts, ignore_index=True)


def filters(encoder: Encoder, hop_ms: float) -> pd.DataFrame:
    """Return the strongest components of the filters, and the filters with the largest norms.

    The components are the right singular vectors of the weights, no mean taken off: the shapes of a patch that move the
    embedding most.

    Args:
        encoder: whose patch embedding.
        hop_ms: time between two frames.

    Returns:
        Columns ``kind, number, share, time_ms, mel, weight``, a row per point of a filter. ``kind`` is ``component`` or
        ``unit``; ``number`` counts from 1, largest first; ``share`` is that of all filters' summed squares. The weight
        of largest size in a component is positive.
    """
    weights = _weights(encoder)
    shape = encoder.config.patch_frames, encoder.config.patch_mels
    _, singular, components = np.linalg.svd(weights, full_matrices=False)
    peaks = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    norms = np.linalg.norm(weights, axis=1)
    largest = np.argsort(-norms, kind="stable")
    shown = {
        "component": (components * np.sign(peaks), singular**2),
        "unit": (weights[largest], norms[largest] ** 2),
    }
    frame, mel = (axis.ravel() for axis in np.indices(shape))
    parts = [
        pd.DataFrame(
            {
                "kind": kind,
                "number": number + 1,
                "share": power[number] / power.sum(),
                "time_ms": frame * hop_ms,
                "mel": mel,
                "weight": rows[number],
            }
        )
        for kind, (rows, power) in shown.items()
        for number in range(min(N_SHOWN, len(rows)))
    ]
    return pd.concat(parts, ignore_index=True)


def picture(table: pd.DataFrame, shares: pd.DataFrame, hop_ms: float, path: Path) -> None:
    """Draw the filters, and how their squares are spread, against random weights.

    Args:
        table: as `filters` makes it.
        shares: as `spectrum` makes it, of ``pretrained`` and ``random``.
        hop_ms: time between two frames.
        path: PNG file of the light version.
    """

    def draw() -> Figure:
        figure = Figure(figsize=(10.5, 5.4), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(2.6, 1), squeeze=False)[0]
        for part, kind in zip(left.subfigures(len(KINDS), 1, squeeze=False)[:, 0], KINDS, strict=True):
            rows = table[table["kind"] == kind]
            panels = part.subplots(-(-rows["number"].nunique() // COLUMNS), COLUMNS, squeeze=False)
            part.suptitle(f"{KINDS[kind]} (with their share of the squared weights)", fontsize=9)
            for panel in panels.flat[rows["number"].nunique() :]:
                panel.remove()
            for panel, (_, filter_) in zip(panels.flat, rows.groupby("number"), strict=False):
                field = filter_.pivot_table(index="mel", columns="time_ms", values="weight")
                times, mels = field.columns.to_numpy(), field.index.to_numpy()
                strongest = max(np.abs(field.to_numpy()).max(), 1e-12)
                panel.imshow(
                    field,
                    origin="lower",
                    aspect="auto",
                    extent=(0.0, times[-1] + hop_ms, -0.5, mels[-1] + 0.5),
                    cmap="PuOr",
                    vmin=-strongest,
                    vmax=strongest,
                    interpolation="nearest",
                )
                panel.set_title(f"{filter_['share'].iloc[0]:.1%}", fontsize=7, pad=2)
                panel.tick_params(labelsize=6, length=2)
                panel.label_outer()
            part.supxlabel("time (ms)", fontsize=8)
            part.supylabel("mel bin of the patch", fontsize=8)
        curve = right.subplots()
        for encoder, (name, colour, _) in ENCODERS.items():
            line = shares[shares["encoder"] == encoder]
            curve.plot(line["component"], line["share"], color=colour, label=name)
        curve.set(xlabel="component", ylabel="share of the squared weights", xscale="log", yscale="log")
        curve.set_ylim(max(shares["share"].max() * 1e-5, shares["share"].min() * 0.5), 1)
        curve.grid(alpha=0.4)
        curve.tick_params(labelsize=8)
        curve.legend(frameon=False, fontsize=8)
        figure.supxlabel("purple: positive, orange: negative, each filter up to its own largest weight", fontsize=8)
        return figure

    both(path, draw)
