"""The stage that decodes a task's recordings once, into spectrograms that folds and probes map into memory."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from audiopg import config, storage
from audiopg.ahead import ahead
from audiopg.audio import decode as audio
from audiopg.data.clips import FRAMES, STARTS, STORED
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.fetch.store import fetch
from audiopg.progress import progress
from audiopg.provenance import run_cards, stages
from audiopg.tasks import registry
from audiopg.tasks.manifest import Manifest, Row


def run(cfg: config.Config, task: str, manifest_path: Path, out: Path, card: Path, n_threads: int) -> None:
    """Decode the recordings of a manifest.

    Args:
        cfg: all parameters.
        task: name of the task.
        manifest_path: the task's manifest.
        out: folder for ``frames.f16`` and ``starts.npy``, which `audiopg.data.clips.load` reads.
        card: run card to write (JSON).
        n_threads: recordings that are read at a time; no number depends on it.

    Raises:
        AudiopgError: a recording is missing, cannot be decoded or is not the one listed, or the disk is full.
    """
    section = cfg.task(task)
    manifest, root = Manifest.read(manifest_path), fetch(registry.find(task, section))
    write(task, manifest, root, LogMel(cfg.features), section.clip_s, out, n_threads)
    run_cards.write_card(
        card,
        "decode",
        stages.reads(cfg, "decode", task),
        [manifest_path],
        [out / FRAMES, out / STARTS],
        task=task,
    )


def write(  # noqa: PLR0913, PLR0917  (what is decoded, how, and where to)
    label: str, manifest: Manifest, root: Path, log_mel: LogMel, clip_s: float, out: Path, n_threads: int
) -> None:
    """Write the spectrograms of all recordings; those shorter than ``clip_s`` end in silence.

    Args:
        label: what to call it in the progress lines.
        manifest: the recordings.
        root: folder of the recordings.
        log_mel: the features.
        clip_s: shortest length in s.
        out: folder for the two files; the spectrograms get their name last, so that their presence means both.
        n_threads: recordings that are read at a time.

    Raises:
        AudiopgError: as `run`.
    """
    rate_hz = log_mel.features.sample_rate_hz
    lengths = [0]
    with storage.replacing(out / FRAMES) as temporary:
        with temporary.open("wb") as file:
            waveforms = ahead(partial(_waveform, root, rate_hz), manifest.rows, n_threads)
            for waveform in progress(waveforms, f"{label}: decoding", total=len(manifest)):
                missing = round(clip_s * rate_hz) - len(waveform)
                spectrogram = log_mel(functional.pad(waveform, (0, max(missing, 0)))[None])[0].numpy().astype(STORED)
                file.write(spectrogram.tobytes())
                lengths.append(len(spectrogram))
        with storage.replacing(out / STARTS) as starts:
            np.save(starts, np.cumsum(lengths, dtype=np.int64))


def _waveform(root: Path, rate_hz: int, row: Row) -> Tensor:
    """Read a recording, shape (T,), if it is the one that the manifest lists."""
    waveform = torch.from_numpy(audio.read(root / row.path, rate_hz))
    if storage.file_digest(root / row.path) != row.sha256:
        msg = f"{root / row.path}: is not the file that the manifest lists; make the manifest again"
        raise AudiopgError(msg)
    return waveform
