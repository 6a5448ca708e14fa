"""Typed, frozen parameters: what ``params.yaml`` may hold, in which unit and range."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from audiopg.errors import AudiopgError
from audiopg.registry import suggestion

PROTOCOL = re.compile(r"split|([3-9]|[1-9]\d+)-fold")  # probes take turns among the folds that are not held out
SHORTEST_RT60_S = 0.05  # below, the largest rooms' walls would take in all that reaches them
LONGEST_ATTACK = 0.4  # of a clip: a probe's event lasts 0.8 of it, and falls again
SMALLEST_ROOM_M = 2.0  # below, its echoes are closer than the renderers' steps
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def _number(value: object) -> object:
    """Accept "1e-5": YAML 1.1 reads it as a string and ``dvc exp run -S`` writes it so."""
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


Float = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Positive = Annotated[Float, Field(gt=0)]
NonNegative = Annotated[Float, Field(ge=0)]
Fraction = Annotated[Float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """Base of all sections: strict, frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Range(Section):
    """Distribution of one drawn parameter: uniform in value, in its logarithm, or over whole numbers."""

    min: Float
    max: Float
    scale: Literal["linear", "log", "integer"] = "linear"

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.min > self.max:
            msg = f"min {self.min} is above max {self.max}"
            raise ValueError(msg)
        if self.scale == "log" and self.min <= 0:
            msg = f"a log range starts above 0, not at {self.min}"
            raise ValueError(msg)
        if self.scale == "integer" and not (self.min.is_integer() and self.max.is_integer()):
            msg = f"an integer range has whole bounds, not {self.min} and {self.max}"
            raise ValueError(msg)
        return self


class Choice(Section):
    """Distribution of one drawn parameter: one of the listed values, all equally likely."""

    choices: Annotated[list[Float], Field(min_length=1)]


def _kind(value: object) -> str:
    """Tell the two distributions apart by their keys, so that a mistake is explained for the one that was meant."""
    return "<choice>" if isinstance(value, Choice) or (isinstance(value, dict) and "choices" in value) else "<range>"


Distribution = Annotated[
    Annotated[Range, Tag("<range>")] | Annotated[Choice, Tag("<choice>")],
    Discriminator(_kind),
]


class Source(Section):
    """One sound source of the corpus: how often it plays, and the distribution of each of its parameters."""

    weight: NonNegative
    primitive: str | None = None  # what plays it; its own name if none
    f0_hz: Range | None = None  # that of the section if none
    parameters: dict[str, Distribution]


class Voices(Section):
    """Independent sources that sound together in a clip, and how loud each is."""

    count: Range
    level_db: Range

    @model_validator(mode="after")
    def _playable(self) -> "Voices":
        if self.count.scale != "integer" or self.count.min < 1:
            msg = "count must be a range of whole numbers from 1 (scale: integer)"
            raise ValueError(msg)
        return self


class Events(Section):
    """Segments of the source, each with an envelope, placed in the clip."""

    count: Range
    duration_s_min: Positive
    level_db: Range
    attack_fraction: Range
    decay_fraction: Range
    sustain_level: Range

    @model_validator(mode="after")
    def _playable(self) -> "Events":
        if self.count.scale != "integer" or self.count.min < 1:
            msg = "count must be a range of whole numbers from 1 (scale: integer)"
            raise ValueError(msg)
        attack, decay, sustain = self.attack_fraction, self.decay_fraction, self.sustain_level
        if min(attack.min, decay.min) <= 0 or attack.max + decay.max >= 1:
            msg = "attack_fraction and decay_fraction must be above 0, and their maxima together below 1"
            raise ValueError(msg)
        if sustain.min < 0 or sustain.max > 1:
            msg = "sustain_level must lie between 0 and 1"
            raise ValueError(msg)
        return self


class Colour(Choice):
    """Colour of noise: 0 white, 1 pink, 2 brown."""

    @field_validator("choices")
    @classmethod
    def _known(cls, choices: list[float]) -> list[float]:
        if not set(choices) <= {0, 1, 2}:
            msg = "colours are 0 (white), 1 (pink) and 2 (brown)"
            raise ValueError(msg)
        return choices


class Transient(Section):
    """A short burst of noise, placed in the clip."""

    probability: Fraction
    duration_s: Range
    gain: Range
    colour: Colour


class Room(Section):
    """Early reflections and late reverberation of a room, in some of the clips."""

    probability: Fraction
    size_m: Range
    rt60_s: Range
    treble_damping: Range

    @model_validator(mode="after")
    def _playable(self) -> "Room":
        if self.size_m.min < SMALLEST_ROOM_M:
            msg = f"size_m must be at least {SMALLEST_ROOM_M:g}"
            raise ValueError(msg)
        if self.rt60_s.min < SHORTEST_RT60_S:
            msg = f"rt60_s must be at least {SHORTEST_RT60_S:g}"
            raise ValueError(msg)
        if not 0 <= self.treble_damping.min <= self.treble_damping.max <= 0.5:  # noqa: PLR2004  (a mean of two samples)
            msg = "treble_damping must lie between 0 and 0.5"
            raise ValueError(msg)
        return self


class Damping(Section):
    """A second-order low-pass over all events."""

    probability: Fraction
    cutoff_hz: Range


class Microphone(Section):
    """Band of the recording device: a high-pass and a low-pass of second order, in some of the clips."""

    probability: Fraction
    low_hz: Range
    high_hz: Range

    @model_validator(mode="after")
    def _playable(self) -> "Microphone":
        if 2 * self.low_hz.max > self.high_hz.min:
            msg = "high_hz must lie at least an octave above low_hz"
            raise ValueError(msg)
        return self


class NoiseFloor(Section):
    """Noise of the recording, in all clips."""

    amplitude: Range
    colour: Colour


class Synth(Section):
    """What the corpus sounds like."""

    clip_s: Positive
    sample_rate_hz: Count
    f0_hz: Range
    sources: Annotated[dict[str, Source], Field(min_length=1)]
    voices: Voices
    events: Events
    transient: Transient
    room: Room
    damping: Damping
    microphone: Microphone
    noise_floor: NoiseFloor

    @property
    def n_samples(self) -> int:
        """Samples per clip."""
        return round(self.clip_s * self.sample_rate_hz)

    @model_validator(mode="after")
    def _playable(self) -> "Synth":
        nyquist_hz = self.sample_rate_hz / 2
        bands = {
            "f0_hz": self.f0_hz,
            **{f"sources.{name}.f0_hz": source.f0_hz for name, source in self.sources.items() if source.f0_hz},
            "damping.cutoff_hz": self.damping.cutoff_hz,
            "microphone.low_hz": self.microphone.low_hz,
            "microphone.high_hz": self.microphone.high_hz,
        }
        for place, band in bands.items():
            if not 0 < band.min <= band.max < nyquist_hz:
                msg = f"{place} must lie between 0 and the Nyquist frequency {nyquist_hz:g} Hz"
                raise ValueError(msg)
        if self.events.duration_s_min * self.events.count.max > self.clip_s:
            msg = f"events.count.max × events.duration_s_min must fit into clip_s = {self.clip_s:g}"
            raise ValueError(msg)
        if not 0 < self.transient.duration_s.min <= self.transient.duration_s.max <= self.clip_s:
            msg = f"transient.duration_s must lie between 0 and clip_s = {self.clip_s:g}"
            raise ValueError(msg)
        if sum(source.weight for source in self.sources.values()) == 0:
            msg = "sources: at least one weight must be above 0"
            raise ValueError(msg)
        return self


class Features(Section):
    """Log-mel spectrogram, Kaldi's definition."""

    sample_rate_hz: Count
    n_mels: Count
    window_ms: Positive
    hop_ms: Positive
    n_fft: Literal[512, 1024, 2048]  # those that the compiled transform can do
    f_min_hz: NonNegative
    f_max_hz: Positive
    preemphasis: Fraction
    norm_mean: Float
    norm_std: Positive

    def n_frames(self, clip_s: float) -> int:
        """Frames of a clip: one per hop, whatever the window."""
        return round(clip_s * 1000 / self.hop_ms)

    @model_validator(mode="after")
    def _fits(self) -> "Features":
        if self.window_ms * self.sample_rate_hz > 1000 * self.n_fft:
            msg = f"n_fft = {self.n_fft} is shorter than the window of {self.window_ms:g} ms"
            raise ValueError(msg)
        if not (self.hop_ms * self.sample_rate_hz / 1000).is_integer():
            msg = f"hop_ms = {self.hop_ms:g} must be a whole number of samples at {self.sample_rate_hz} Hz"
            raise ValueError(msg)
        if not self.f_min_hz < self.f_max_hz <= self.sample_rate_hz / 2:
            msg = "f_min_hz < f_max_hz <= sample_rate_hz / 2 must hold"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Size:
    """Shape of a transformer: width D, number of blocks, attention heads."""

    width: int
    depth: int
    n_heads: int


SIZES = {
    "micro": Size(width=128, depth=6, n_heads=4),
    "tiny": Size(width=192, depth=12, n_heads=3),
    "small": Size(width=384, depth=12, n_heads=6),
    "base": Size(width=768, depth=12, n_heads=12),
}


class Encoder(Section):
    """Vision transformer over patches of the log-mel spectrogram."""

    size: str
    patch_frames: Count
    patch_mels: Count

    @property
    def shape(self) -> Size:
        """Width, depth and heads of the named size."""
        return SIZES[self.size]

    @field_validator("size")
    @classmethod
    def _known(cls, size: str) -> str:
        if size not in SIZES:
            msg = f"unknown size '{size}'{suggestion(size, list(SIZES))}"
            raise ValueError(msg)
        return size


class Decoder(Section):
    """The masked autoencoder's decoder; it is thrown away after pre-training."""

    width: Count
    depth: Count
    n_heads: Count

    @model_validator(mode="after")
    def _divides(self) -> "Decoder":
        if self.width % self.n_heads or self.width % 4:
            msg = f"width {self.width} must be a multiple of n_heads {self.n_heads} and of 4"
            raise ValueError(msg)
        return self


class Optimizer(Section):
    """AdamW with linear warm-up and a cosine to 0, per step."""

    lr: Positive
    weight_decay: NonNegative
    betas: tuple[Fraction, Fraction]
    warmup_fraction: Fraction
    clip_norm: Positive
    ema_decay: Annotated[Float, Field(ge=0, lt=1)]
    on_non_finite: Literal["stop", "skip"]

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, data: object) -> object:
        """YAML has lists only; a strict tuple wants a tuple."""
        if isinstance(data, dict) and isinstance(data.get("betas"), list):
            return {**data, "betas": tuple(data["betas"])}
        return data


class Steps(Section):
    """How many clips a step of the optimiser sees, and in how many parts one after another."""

    batch_size: Count
    accumulate: Count

    @model_validator(mode="after")
    def _divides(self) -> "Steps":
        if self.batch_size % self.accumulate:
            msg = f"batch_size = {self.batch_size} must be a multiple of accumulate = {self.accumulate}"
            raise ValueError(msg)
        return self


class Pretrain(Steps):
    """Masked-autoencoder pre-training on the synthetic corpus, for a number of steps or for a time."""

    n_steps: Count | None
    budget_min: Positive | None
    mask_ratio: Annotated[Float, Field(gt=0, lt=1)]
    decoder: Decoder
    physics_weight: NonNegative
    drop_path: Annotated[Float, Field(ge=0, lt=1)]
    optimizer: Optimizer
    save_every: Count
    n_threads: Count

    @model_validator(mode="after")
    def _ends(self) -> "Pretrain":
        if (self.n_steps is None) == (self.budget_min is None):
            msg = "one of n_steps and budget_min must be a number, and the other null"
            raise ValueError(msg)
        return self


def n_visible(n_patches: int, hidden: float) -> int:
    """Count the patches that are encoded when a share of them is left out, at least one."""
    return max(1, round(n_patches * (1 - hidden)))


class Finetune(Steps):
    """Fine-tuning recipe, the same for pre-trained and scratch encoders."""

    n_epochs: Count
    optimizer: Optimizer
    layer_decay: Annotated[Float, Field(gt=0, le=1)]
    drop_path: Annotated[Float, Field(ge=0, lt=1)]
    sampling: Literal["shuffled", "balanced"]
    mixup_alpha: NonNegative
    mixup_domain: Literal["log_mel", "power"]
    cutmix_alpha: NonNegative
    label_smoothing: Annotated[Float, Field(ge=0, lt=1)]
    shift_frames: Index
    n_time_masks: Index
    time_mask_frames: Count
    n_mel_masks: Index
    mel_mask_bins: Count
    patch_drop: Annotated[Float, Field(ge=0, lt=1)]
    pooling: Literal["mean", "attention"]
    normalise: Literal["corpus", "task"]
    standardise: bool
    save_every: Count
    n_threads: Count


class Task(Section):
    """One benchmark: the length of its clips, the share of its training recordings that are used, its recipe.

    The recipe is where it differs from the ``finetune`` section.

    A task that is not registered, that is, somebody's own recordings, has the last three keys as well, and may leave
    out the others.
    """

    clip_s: Positive = 2.56
    train_share: Annotated[Float, Field(gt=0, le=1)] = 1.0
    finetune: dict[str, Any] = {}
    manifest: str | None = None
    audio_root: str | None = None
    protocol: str | None = None

    @property
    def own(self) -> bool:
        """Whether these are somebody's own recordings."""
        return self.manifest is not None

    @field_validator("protocol")
    @classmethod
    def _protocol(cls, protocol: str | None) -> str | None:
        if protocol is not None and not PROTOCOL.fullmatch(protocol):
            msg = f"'{protocol}' is neither 'split' nor a number of folds from 3, such as '5-fold'"
            raise ValueError(msg)
        return protocol

    @model_validator(mode="after")
    def _whole(self) -> "Task":
        given = {"manifest": self.manifest, "audio_root": self.audio_root, "protocol": self.protocol}
        absent = [name for name, value in given.items() if value is None]
        if 0 < len(absent) < len(given):
            msg = f"{absent[0]}: missing; own recordings need manifest, audio_root and protocol"
            raise ValueError(msg)
        if not self.own and "clip_s" not in self.model_fields_set:
            msg = "clip_s: missing; only own recordings have a default"
            raise ValueError(msg)
        return self


class Probe(Section):
    """Frozen-feature probes; the regularisation is chosen inside the training folds."""

    ridge_alphas: Annotated[list[Positive], Field(min_length=1)]
    knn_k: Count
    n_threads: Count


class Factors(Section):
    """Distributions of the physical factors of the probe corpora, each drawn independently of all others."""

    f0_hz: Range
    event_level_db: Range
    snr_db: Range
    decay_exponent: Range
    modulation_index: Range
    attack_s: Range
    cutoff_hz: Range
    n_events: Range
    onset_density_hz: Range

    @property
    def series_event_s(self) -> float:
        """Length of each event of a series: half the shortest distance of two onsets."""
        return 0.5 / self.onset_density_hz.max

    @model_validator(mode="after")
    def _playable(self) -> "Factors":
        if self.event_level_db.scale != "linear" or self.event_level_db.max > 0:
            msg = "event_level_db must be a linear range below the loudest event, max <= 0"
            raise ValueError(msg)
        if self.n_events.scale != "integer" or self.n_events.min < 2:  # noqa: PLR2004  (one event has no density)
            msg = "n_events must be a range of whole numbers from 2 (scale: integer)"
            raise ValueError(msg)
        for name in ("f0_hz", "attack_s", "cutoff_hz", "onset_density_hz"):
            if getattr(self, name).min <= 0:
                msg = f"{name} must lie above 0"
                raise ValueError(msg)
        return self


class Latent(Section):
    """Latent analysis on probe corpora of its own."""

    corpora: list[str]
    n_clips: Annotated[int, Field(ge=50)]
    factors: Factors
    ridge_alphas: Annotated[list[Positive], Field(min_length=1)]
    n_null: Count
    n_threads: Count

    @field_validator("corpora")
    @classmethod
    def _needed(cls, corpora: list[str]) -> list[str]:
        if not {"events", "natural"} <= set(corpora) or len(set(corpora)) < len(corpora):
            msg = "each corpus once, events (the paper's claims) and natural (the pictures) among them"
            raise ValueError(msg)
        return corpora


class Compute(Section):
    """Where the numbers are made; part of what they depend on."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    compile: bool


class Data(Section):
    """Where recordings are fetched from; changes no number."""

    mirror: str | None = None


TOLERANCE = 1e-6

# Mappings whose keys the user chooses; an overlay replaces one of these as a whole.
OPEN_MAPPINGS = re.compile(r"(tasks|synth\.sources)")


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Lay ``overlay`` over ``base``; only keys that exist may change.

    Raises:
        AudiopgError: a key of the overlay is not in the base.
    """
    merged = dict(base)
    for key, value in overlay.items():
        path = f"{place}.{key}" if place else key
        if key not in base:
            msg = f"{path}: unknown key{suggestion(key, list(base))}"
            raise AudiopgError(msg)
        closed = isinstance(value, Mapping) and isinstance(base[key], Mapping) and not OPEN_MAPPINGS.fullmatch(path)
        merged[key] = merge(base[key], value, path) if closed else value
    return merged


class Config(Section):
    """Everything in ``params.yaml``."""

    seed: Index
    compute: Compute
    data: Data = Data()
    synth: Synth
    features: Features
    encoder: Encoder
    pretrain: Pretrain
    finetune: Finetune
    tasks: Annotated[dict[str, Task], Field(min_length=1)]
    probe: Probe
    latent: Latent

    @model_validator(mode="after")
    def _agree(self) -> "Config":
        if self.synth.sample_rate_hz != self.features.sample_rate_hz:
            msg = "synth.sample_rate_hz and features.sample_rate_hz must be equal"
            raise ValueError(msg)
        if self.features.n_mels % self.encoder.patch_mels:
            msg = f"features.n_mels = {self.features.n_mels} must be a multiple of encoder.patch_mels"
            raise ValueError(msg)
        clips = {"synth": self.synth.clip_s, **{f"tasks.{name}": task.clip_s for name, task in self.tasks.items()}}
        for place, clip_s in clips.items():
            if abs(clip_s * 1000 / self.features.hop_ms - self.features.n_frames(clip_s)) > TOLERANCE:
                msg = f"{place}.clip_s = {clip_s:g} must be a multiple of features.hop_ms = {self.features.hop_ms:g}"
                raise ValueError(msg)
            if self.features.n_frames(clip_s) % self.encoder.patch_frames:
                msg = (
                    f"{place}.clip_s = {clip_s:g} is {self.features.n_frames(clip_s)} frames;"
                    f" a multiple of encoder.patch_frames = {self.encoder.patch_frames} is needed"
                )
                raise ValueError(msg)
        self._check_factors()
        return self

    def _check_factors(self) -> None:
        """Check that the probe corpora fit into the clip and the band."""
        factors, clip_s = self.latent.factors, self.synth.clip_s
        nyquist_hz = self.synth.sample_rate_hz / 2
        for name in ("f0_hz", "cutoff_hz"):
            if getattr(factors, name).max >= nyquist_hz:
                msg = f"latent.factors.{name} must lie below the Nyquist frequency {nyquist_hz:g} Hz"
                raise ValueError(msg)
        if factors.attack_s.max > LONGEST_ATTACK * clip_s:
            msg = f"latent.factors.attack_s must be at most {LONGEST_ATTACK:g} of synth.clip_s = {clip_s:g}"
            raise ValueError(msg)
        if (factors.n_events.max - 1) / factors.onset_density_hz.min + factors.series_event_s > clip_s:
            msg = (
                f"latent.factors: {factors.n_events.max:g} events at {factors.onset_density_hz.min:g} per second"
                f" do not fit into synth.clip_s = {clip_s:g}"
            )
            raise ValueError(msg)

    def grid(self, clip_s: float) -> tuple[int, int]:
        """Patches of a clip along time and along frequency."""
        return (
            self.features.n_frames(clip_s) // self.encoder.patch_frames,
            self.features.n_mels // self.encoder.patch_mels,
        )

    def task(self, name: str) -> Task:
        """Return the section of one task.

        Raises:
            AudiopgError: there is no such task in the parameters.
        """
        if name not in self.tasks:
            msg = f"params.yaml: tasks has no '{name}'{suggestion(name, list(self.tasks))}"
            raise AudiopgError(msg)
        return self.tasks[name]

    def recipe(self, task: str) -> Finetune:
        """Return the fine-tuning recipe of one task: the common section with the task's own changes.

        Raises:
            AudiopgError: a change has an unknown key, or a mask is wider than the task's spectrograms.
        """
        place = f"tasks.{task}.finetune"
        recipe = Finetune.model_validate(merge(self.finetune.model_dump(), self.task(task).finetune, place))
        n_frames = self.features.n_frames(self.task(task).clip_s)
        if recipe.n_time_masks and recipe.time_mask_frames > n_frames:
            msg = f"{place}: time_mask_frames = {recipe.time_mask_frames} is more than the {n_frames} frames of a clip"
            raise AudiopgError(msg)
        if recipe.n_mel_masks and recipe.mel_mask_bins > self.features.n_mels:
            msg = (
                f"{place}: mel_mask_bins = {recipe.mel_mask_bins} is more than features.n_mels = {self.features.n_mels}"
            )
            raise AudiopgError(msg)
        return recipe
