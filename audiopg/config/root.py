"""The root of the parameters: all sections, and what they must agree on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from audiopg.config.base import Index, Section
from audiopg.config.evaluate import Latent, Probe, Task
from audiopg.config.model import Encoder, Features
from audiopg.config.overlays import merge
from audiopg.config.synth import Synth
from audiopg.config.train import Finetune, Pretrain
from audiopg.errors import AudiopgError
from audiopg.registry import suggestion

LONGEST_ATTACK = 0.4  # of a clip: a probe's event lasts 0.8 of it, and must also decay
TOLERANCE = 1e-6


class Compute(Section):
    """Where results are computed; they depend on it."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    compile: bool
    synth_device: Literal["auto", "cpu", "cuda"]


class Data(Section):
    """Where recordings are fetched from; changes no result."""

    mirror: str | None = None


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
        self._check_twins()
        self._check_factors()
        return self

    def _check_twins(self) -> None:
        """Check that pre-training hears the clips of an identity together, beside others."""
        n_clips, part = self.synth.identity.n_clips, self.pretrain.batch_size // self.pretrain.accumulate
        if not self.pretrain.objectives.twins:
            return
        if n_clips == 1:
            msg = "pretrain.objectives.twins needs synth.identity.n_clips of 2 at least"
            raise ValueError(msg)
        if part % n_clips or part == n_clips:
            msg = (
                f"pretrain.batch_size / accumulate = {part} must hold several identities of"
                f" synth.identity.n_clips = {n_clips} clips, each as a whole"
            )
            raise ValueError(msg)

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
