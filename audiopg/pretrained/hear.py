"""Embeddings of any sound by a pre-trained encoder, with the interface of the HEAR benchmark (Turian et al., 2022).

Each window is encoded by itself, so an embedding does not depend on what else is embedded with it.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from audiopg import config, storage
from audiopg.data.clips import Clips
from audiopg.errors import AudiopgError
from audiopg.pretrained.encoder import AudioEncoder
from audiopg.pretrained.waveforms import as_tensor, check_level

CHECKPOINT = "results/pretrain/encoder.safetensors"  # where the workflow leaves it
LONGEST_HOP_MS = 50.0  # between timestamps; HEAR scores onsets with a tolerance of that much


class Model(nn.Module):
    """An encoder that hears windows as long as the clips of its pre-training; its weights are never changed here."""

    def __init__(self, front: AudioEncoder, clip_s: float) -> None:
        """Take the encoder behind its front end and the length of a window in s, a whole number of patches."""
        super().__init__()
        self.front = front
        encoder, features = front.encoder, front.log_mel.features
        self.window = features.n_frames(clip_s)
        patch = encoder.config.patch_frames
        # the fewest shifts that divide a patch into whole frames, so that times do not drift
        divisors = [n for n in range(1, patch + 1) if patch % n == 0]
        self.n_shifts = next((n for n in divisors if patch // n * features.hop_ms <= LONGEST_HOP_MS), patch)
        self.hop_ms = patch // self.n_shifts * features.hop_ms
        self.sample_rate = features.sample_rate_hz
        self.scene_embedding_size = encoder.size.width
        self.timestamp_embedding_size = encoder.size.width

    @torch.no_grad()
    def scene(self, waveform: Tensor) -> Tensor:
        """Embed a whole sound: the mean of all tokens of the windows that evaluation would average.

        Args:
            waveform: shape (T,), T > 0, float32, full scale is 1, at `sample_rate`; shorter than a window it ends in
                silence.

        Returns:
            Shape (D,), float32, on the model's device.
        """
        n_frames = max(-(-len(waveform) // self.front.log_mel.hop), self.window)
        offsets = self._offsets(n_frames, self.window)
        total = torch.zeros(self.scene_embedding_size, dtype=torch.float64, device=self.device)
        for offset in offsets:
            total += self._encode(waveform, offset * self.front.log_mel.hop).mean(dim=0)
        return (total / len(offsets)).float()

    @torch.no_grad()
    def timestamps(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Embed a sound at regular times: the mean over frequency of the patches whose middle lies there.

        Windows that begin a fraction of a patch apart give patches that lie closer than a patch is long. Before and
        after the sound is silence; where windows overlap, their mean is taken.

        Args:
            waveform: as in `scene`.

        Returns:
            Embeddings, shape (N, D), float32, on the model's device; their times in ms, shape (N,), float64: all
            multiples of `hop_ms` from 0 that lie before the end of the sound.
        """
        patch, n_columns = self.front.encoder.config.patch_frames, self.window // self.front.encoder.config.patch_frames
        hop = patch // self.n_shifts * self.front.log_mel.hop
        middle = ((patch - 1) * self.front.log_mel.hop + self.front.log_mel.window_length) // 2
        n = -(-len(waveform) // hop)
        sums = torch.zeros(n, self.timestamp_embedding_size, device=self.device)
        counts = torch.zeros(n, 1, device=self.device)
        for shift in range(min(self.n_shifts, n)):
            rows = range(shift, n, self.n_shifts)
            for first in self._offsets(max(len(rows), n_columns), n_columns):
                part = rows[first : first + n_columns]
                here = slice(part.start, part.stop, part.step)
                tokens = self._encode(waveform, part.start * hop - middle)
                sums[here] += tokens.view(n_columns, -1, tokens.shape[-1]).mean(dim=1)[: len(part)]
                counts[here] += 1
        return sums / counts, torch.arange(n, dtype=torch.float64, device=self.device) * self.hop_ms

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.front.encoder.embed.weight.device

    def _offsets(self, n_frames: int, window: int) -> list[int]:
        """Where windows begin: the rule of evaluation."""
        nothing = np.empty((0, 0), dtype=np.float32)
        return Clips(nothing, np.array([0, n_frames]), window, self.front.log_mel).offsets(0)

    def _encode(self, waveform: Tensor, begin: int) -> Tensor:
        """Return the tokens of the window that begins at a sample, which may lie before the sound, shape (L, D).

        One window per call: the shape of a batch decides how sums are split, and so on their last bit.
        """
        length = (self.window - 1) * self.front.log_mel.hop + self.front.log_mel.window_length
        inside = waveform[max(begin, 0) : begin + length].to(self.device, torch.float32)
        before = max(-begin, 0)
        padded = functional.pad(inside, (before, length - before - len(inside)))
        with torch.autocast(self.device.type, enabled=False):
            tokens: Tensor = self.front.encoder(self.front.log_mel(padded[None])[:, : self.window])[0]
        return tokens


def load_model(model_file_path: str = "") -> Model:
    """Load a pre-trained encoder, onto the CPU.

    Args:
        model_file_path: weights that pre-training wrote, with its run card ``run.json`` next to them, which gives the
            length of its clips; if empty, the encoder that the workflow made below the current folder.

    Raises:
        AudiopgError: the weights or their card are missing, damaged, or not of one run.
    """
    path = Path(model_file_path or CHECKPOINT)
    with torch.random.fork_rng(devices=[]):  # torch draws weights before these replace them
        front = AudioEncoder.from_checkpoint(path)
    return Model(front, _clip_s(path, front.encoder.config, front.log_mel.features))


def get_scene_embeddings(audio: Tensor | ArrayLike, model: Model) -> Tensor:
    """Embed whole sounds.

    Args:
        audio: mono waveforms at the model's sample rate, shape (n_sounds, n_samples), in [-1, 1]: a tensor, an array
            or nested lists.
        model: of `load_model`.

    Returns:
        Shape (n_sounds, scene_embedding_size), float32, on the model's device, without gradient.

    Raises:
        ValueError: the audio is not of that shape, not floating-point, has no samples, or any that are not finite or
            far beyond full scale.
    """
    embeddings = [model.scene(waveform) for waveform in _checked(audio)]
    return torch.stack(embeddings) if embeddings else torch.empty(0, model.scene_embedding_size, device=model.device)


def get_timestamp_embeddings(audio: Tensor | ArrayLike, model: Model) -> tuple[Tensor, Tensor]:
    """Embed sounds at regular times, at most 50 ms apart where a patch can be divided so.

    Args:
        audio: mono waveforms at the model's sample rate, shape (n_sounds, n_samples), in [-1, 1]: a tensor, an array
            or nested lists.
        model: of `load_model`.

    Returns:
        Embeddings, shape (n_sounds, n_timestamps, timestamp_embedding_size), and the times that they are centred on, in
        ms from the beginning, shape (n_sounds, n_timestamps); float32, on the model's device, without gradient.

    Raises:
        ValueError: as for `get_scene_embeddings`.
    """
    sounds = [model.timestamps(waveform) for waveform in _checked(audio)]
    if not sounds:
        nothing = torch.empty(0, 0, model.timestamp_embedding_size, device=model.device)
        return nothing, nothing[..., 0]
    embeddings, times_ms = (torch.stack(parts) for parts in zip(*sounds, strict=True))
    return embeddings, times_ms.float()


def _checked(audio: Tensor | ArrayLike) -> Tensor:
    """Return a batch of waveforms as a tensor, and refuse what is none."""
    audio = as_tensor(audio)
    if audio.ndim != 2 or not audio.shape[1] or not audio.is_floating_point():  # noqa: PLR2004  (sounds and samples)
        msg = (
            f"floating-point audio of shape (n_sounds, n_samples) is needed, found {tuple(audio.shape)}, {audio.dtype}"
        )
        raise ValueError(msg)
    check_level(audio)
    return audio


def _clip_s(path: Path, encoder: config.Encoder, features: config.Features) -> float:
    """Return the length of the clips that an encoder was pre-trained on, in s, by the run card next to it."""
    card_path = path.with_name("run.json")
    if not card_path.exists():
        msg = f"{card_path}: no run card next to {path.name}; it gives the length of the clips, keep the two together"
        raise AudiopgError(msg)
    card = storage.read_json(card_path)
    try:
        clip_s = float(card["params"]["synth"]["clip_s"])
        known = storage.file_digest(path) in card["outputs"].values()
        whole = clip_s > 0 and features.n_frames(clip_s) % encoder.patch_frames == 0
    except (KeyError, TypeError, ValueError, AttributeError):
        known = whole = False
    if not (known and whole):
        msg = f"{card_path}: not the run card of {path.name}; keep the files of one pre-training together"
        raise AudiopgError(msg)
    return clip_s
