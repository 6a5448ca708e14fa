"""A pre-trained encoder as a library: waveforms of any length and rate in, tokens or embeddings out."""

from pathlib import Path
from typing import Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from audiopg import config
from audiopg.data.clips import window_offsets
from audiopg.features.logmel import LogMel, is_traced
from audiopg.models.readout import STATISTICS, USUAL, ReadOut, combine_windows, over_time, pool
from audiopg.models.vit import Encoder
from audiopg.pretrained import weights
from audiopg.pretrained.hub.client import local_folder
from audiopg.pretrained.waveforms import as_batch, as_tensor, check_level, resampled
from audiopg.pretrained.weights import CONFIG, WEIGHTS

LONGEST_HOP_MS = 50.0  # between timestamps; the HEAR benchmark scores onsets with a tolerance of that much


class AudioEncoder(nn.Module):
    """The log-mel front end, the encoder behind it, and what is read of its tokens.

    >>> encoder = AudioEncoder.pretrained()
    >>> embedding = encoder.embed(torch.zeros(44_100), sample_rate_hz=44_100)  # a second of silence
    >>> embedding.shape == (encoder.embedding_size,)
    True
    """

    def __init__(self, encoder: Encoder, features: config.Features, clip_s: float, readout: ReadOut = USUAL) -> None:
        """Put the front end of the ``features`` section before an encoder.

        Args:
            encoder: the encoder.
            features: the section.
            clip_s: length of a window in s, a whole number of patches: what the encoder learnt from.
            readout: what an embedding is.

        Raises:
            ValueError: the encoder has no such layer.
        """
        super().__init__()
        self.log_mel = LogMel(features)
        self.encoder = encoder
        self.window = features.n_frames(clip_s)
        self.layers = readout.numbers(encoder.size.depth)
        self.pooling = readout.pooling
        patch = encoder.config.patch_frames
        # the fewest shifts that divide a patch into whole frames, so that times do not drift
        divisors = [n for n in range(1, patch + 1) if patch % n == 0]
        self._n_shifts = next((n for n in divisors if patch // n * features.hop_ms <= LONGEST_HOP_MS), patch)
        self.hop_ms = patch // self._n_shifts * features.hop_ms

    @classmethod
    def pretrained(cls, readout: ReadOut = USUAL) -> Self:
        """Load the encoder that comes with this package, as `from_pretrained`."""
        return cls.from_pretrained(weights.SHIPPED, readout)

    @classmethod
    def from_pretrained(cls, path: str | Path, readout: ReadOut = USUAL, revision: str | None = None) -> Self:
        """Load an encoder, in evaluation mode on the CPU: no pickle, no code, and no network for what is here.

        Args:
            path: a folder that ``audiopg export`` wrote; weights that pre-training wrote, with their run card next to
                them; or ``"user/repo"`` on a model hub, where there is no folder of that name.
            readout: what an embedding is.
            revision: branch, tag or commit of the repository.

        Raises:
            AudiopgError: as `weights.load`, or the repository cannot be read.
            ValueError: the encoder has no such layer.
        """
        here = path if str(path).endswith(".safetensors") else local_folder(path, (CONFIG, WEIGHTS), revision)
        return cls(*weights.load(Path(here)), readout).eval()

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of what `forward` takes, in Hz."""
        return self.log_mel.features.sample_rate_hz

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        per_layer = {"mean": 1, "moments": 2, "bands": len(STATISTICS) * self._n_bands}[self.pooling]
        return len(self.layers) * per_layer * self.encoder.size.width

    @property
    def timestamp_embedding_size(self) -> int:
        """Numbers in an embedding of one time: as the read-out, without statistics over time."""
        per_layer = {"mean": 1, "moments": 2, "bands": self._n_bands}[self.pooling]
        return len(self.layers) * per_layer * self.encoder.size.width

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.embed.weight.device

    def forward(self, waveform: Tensor | ArrayLike) -> Tensor:
        """Encode waveforms of one length as a single window.

        Gradients reach the waveform if it asks for them.

        Args:
            waveform: mono at `sample_rate_hz`, shape (B, T), float32, full scale is 1. Silence fills the last patch. An
                array or nested lists of floating-point numbers are taken to the device of the weights.

        Returns:
            Tokens after the last norm, time-major, shape (B, L, D), of the weights' type: one per patch of the
            spectrogram.

        Raises:
            ValueError: another shape or type, no samples, or some that are not finite or far beyond full scale.
        """
        if not isinstance(waveform, Tensor):
            waveform = as_tensor(waveform).to(self.device)
        if waveform.ndim != 2 or not waveform.shape[1] or waveform.dtype != torch.float32:  # noqa: PLR2004
            msg = f"waveform: float32 of shape (B, T) is needed, found {waveform.dtype} {tuple(waveform.shape)}"
            raise ValueError(msg)
        if not is_traced():  # a graph has no values to look at
            check_level(waveform)
        patch = self.encoder.config.patch_frames * self.log_mel.hop
        missing = (waveform.shape[1] + patch - 1) // patch * patch - waveform.shape[1]
        spectrogram = self.log_mel(functional.pad(waveform, (0, missing)))
        tokens: Tensor = self.encoder(spectrogram.to(self.encoder.embed.weight.dtype))
        return tokens

    @torch.no_grad()
    def embed(self, waveform: Tensor | ArrayLike, sample_rate_hz: float) -> Tensor:
        """Embed sounds of any length, by windows that cover them evenly.

        Each window is encoded by itself, so an embedding does not depend on what else is embedded with it.

        Args:
            waveform: mono, shape (T,) or (B, T), floating-point, full scale is 1: a tensor, an array or nested lists.
                A sound that is shorter than a window ends in silence.
            sample_rate_hz: of the waveform, in Hz; another rate than the encoder's is converted.

        Returns:
            Shape (P,) or (B, P), float32, on the device of the weights, P = `embedding_size`.

        Raises:
            ValueError: another shape or type, no samples, a rate that is not above 0, or samples that are not finite or
                far beyond full scale.
        """
        sounds = as_batch(waveform)
        found = [self._embed(sound) for sound in self._at_rate(sounds, sample_rate_hz)]
        embeddings = torch.stack(found) if found else torch.empty(0, device=self.device)
        return embeddings.view(*sounds.shape[:-1], self.embedding_size)

    @torch.no_grad()
    def embed_over_time(self, waveform: Tensor | ArrayLike, sample_rate_hz: float) -> tuple[Tensor, Tensor]:
        """Embed sounds at regular times: patches whose middle lies there, pooled over frequency.

        Windows that begin a fraction of a patch apart give patches that lie closer than a patch is long. Before and
        after the sound is silence; where windows overlap, their mean is taken.

        Args:
            waveform: as in `embed`.
            sample_rate_hz: as in `embed`.

        Returns:
            Embeddings, shape (N, P) or (B, N, P), float32, on the device of the weights, with
            P = `timestamp_embedding_size`; their times in ms, shape (N,), float64, on the CPU: all multiples of
            `hop_ms` from 0 that lie before the end of the sound.

        Raises:
            ValueError: as `embed`.
        """
        sounds = as_batch(waveform)
        found = [self._embed_over_time(sound) for sound in self._at_rate(sounds, sample_rate_hz)]
        n_times = len(found[0]) if found else 0
        embeddings = torch.stack(found) if found else torch.empty(0, device=self.device)
        times_ms = torch.arange(n_times, dtype=torch.float64) * self.hop_ms
        return embeddings.view(*sounds.shape[:-1], n_times, self.timestamp_embedding_size), times_ms

    @property
    def _n_bands(self) -> int:
        return self.log_mel.features.n_mels // self.encoder.config.patch_mels

    def _at_rate(self, sounds: Tensor, sample_rate_hz: float) -> list[Tensor]:
        """Convert each of some sounds, shape (T,) or (B, T), to the encoder's rate."""
        every = sounds[None] if sounds.ndim == 1 else sounds
        return [resampled(sound, sample_rate_hz, self.sample_rate_hz) for sound in every]

    def _embed(self, waveform: Tensor) -> Tensor:
        """Embed one sound, shape (T,), at the encoder's rate."""
        hop = self.log_mel.hop
        offsets = window_offsets(max(-(-len(waveform) // hop), self.window), self.window)
        windows = [
            torch.stack([over_time(tokens)[0] for tokens in self._tokens(waveform, offset * hop)]).cpu().double()
            for offset in offsets
        ]
        return pool(combine_windows(torch.stack(windows)), self.pooling).flatten().float().to(self.device)

    def _embed_over_time(self, waveform: Tensor) -> Tensor:
        """Embed one sound, shape (T,), at the encoder's rate, at regular times, shape (N, P)."""
        patch, features = self.encoder.config.patch_frames, self.log_mel
        n_columns = self.window // patch
        hop = patch // self._n_shifts * features.hop
        middle = ((patch - 1) * features.hop + features.window_length) // 2
        n = -(-len(waveform) // hop)
        sums = torch.zeros(n, self.timestamp_embedding_size, device=self.device)
        counts = torch.zeros(n, 1, device=self.device)
        for shift in range(min(self._n_shifts, n)):
            rows = range(shift, n, self._n_shifts)
            for first in window_offsets(max(len(rows), n_columns), n_columns):
                part = rows[first : first + n_columns]
                here = slice(part.start, part.stop, part.step)
                tokens = torch.stack(self._tokens(waveform, part.start * hop - middle))[:, 0, : len(part)]
                sums[here] += self._across_bands(tokens)
                counts[here] += 1
        return sums / counts

    def _across_bands(self, tokens: Tensor) -> Tensor:
        """Pool the bands of each time, (layers, T, bands, D) to (T, P)."""
        if self.pooling == "bands":
            pooled = tokens.flatten(2)
        else:
            pooled = tokens.mean(dim=2)
            if self.pooling == "moments":
                pooled = torch.cat([pooled, tokens.std(dim=2, correction=0)], dim=-1)
        return pooled.transpose(0, 1).flatten(1).float()

    def _tokens(self, waveform: Tensor, begin: int) -> list[Tensor]:
        """Return the tokens of the window that begins at a sample, which may lie before the sound.

        One window per call: the shape of a batch decides how sums are split, and so on their last bit.

        Returns:
            One tensor per layer of the read-out, shape (1, time, bands, D).
        """
        length = (self.window - 1) * self.log_mel.hop + self.log_mel.window_length
        inside = waveform[max(begin, 0) : begin + length].to(self.device, torch.float32)
        before = max(-begin, 0)
        padded = functional.pad(inside, (before, length - before - len(inside)))
        with torch.autocast(self.device.type, enabled=False):
            spectrogram = self.log_mel(padded[None])[:, : self.window].to(self.encoder.embed.weight.dtype)
            return list(self.encoder.bands(spectrogram, self.layers))
