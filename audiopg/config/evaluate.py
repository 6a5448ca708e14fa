"""The sections ``tasks``, ``probe`` and ``latent``: how an encoder is evaluated."""

import re
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from audiopg.config.base import Count, Float, Positive, Range, Section

PROTOCOL = re.compile(r"split|([3-9]|[1-9]\d+)-fold")  # probes select by turns among the folds that are not held out


class Task(Section):
    """One task: the length of its clips, the share of its training recordings in use, and its recipe.

    The recipe holds only its differences from the ``finetune`` section.

    A task of own recordings, which is not registered, has ``manifest``, ``audio_root`` and ``protocol`` as well, and
    defaults for all other keys. ``leave_out`` names listed recordings that are not used; the results table names them.
    """

    clip_s: Positive = 2.56
    train_share: Annotated[Float, Field(gt=0, le=1)] = 1.0
    finetune: dict[str, Any] = {}
    manifest: str | None = None
    audio_root: str | None = None
    protocol: str | None = None
    leave_out: list[str] = []

    @property
    def own(self) -> bool:
        """Whether these are the user's own recordings."""
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
        if not self.own and self.leave_out:
            msg = "leave_out: only recordings of your own can be left out; a published protocol stays whole"
            raise ValueError(msg)
        if not self.own and "clip_s" not in self.model_fields_set:
            msg = "clip_s: missing; only own recordings have a default"
            raise ValueError(msg)
        return self


class Probe(Section):
    """Frozen-feature probes; layer, pooling and penalty (per feature) are chosen inside the training folds."""

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
        """Length of each event of a series: half the shortest distance between two onsets."""
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
    """Latent analysis on its own probe corpora."""

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
            msg = (
                "list each corpus once, with events (for the paper's claims) and natural (for the pictures) among them"
            )
            raise ValueError(msg)
        return corpora
