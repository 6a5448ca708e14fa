"""The real training loop for some seconds: how long a step takes, and how much of it is waiting for data."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiopg.models.vit import initialise
from audiopg.rehearse.setting import Figures, Setting
from audiopg.train import pretrain
from audiopg.train.feed import Batch, Data
from audiopg.train.loop import READ_EVERY, Training

N_TRACED = 2  # steps, after as many
ACTIVITIES = {
    "cpu": [torch.profiler.ProfilerActivity.CPU],
    "cuda": [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA],
}
"""What is traced on a device."""

LossOf = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class Fixed:
    """Data that is the same in all steps, and lies on the device: a step without what makes its data."""

    batch: Batch
    n: int
    """Clips of it."""

    @classmethod
    def of(cls, data: Data, setting: Setting) -> "Fixed":
        """Keep the first batch of some data."""
        n = data.n_clips(0)
        spectrograms, others, *drawn = data.part(0, range(n))
        to_device = setting.backend.to_device
        sent = (None if tensor is None else to_device(tensor) for tensor in drawn)
        return cls((to_device(spectrograms), to_device(others), *sent), n)

    def n_clips(self, step: int) -> int:  # noqa: ARG002  (all steps have as many)
        """Count the clips of a step."""
        return self.n

    def part(self, step: int, places: range) -> Batch:  # noqa: ARG002
        """Return some of the clips; drop-path factors have their clips in the last place."""
        spectrograms, others, *drawn = self.batch
        cut = slice(places.start, places.stop)
        return (
            spectrograms[cut],
            others[cut],
            *(None if each is None else each[cut] if len(each) == self.n else each[:, :, cut] for each in drawn),
        )

    def names(self, step: int) -> str:  # noqa: ARG002
        """Name the clips of a step."""
        return "the same clips in each step"


def timed(setting: Setting, training: Training, data: Data, loss_of: LossOf) -> Figures:
    """Train by the clock, and time what comes after the first steps.

    Args:
        setting: device, and how long.
        training: without a number of steps.
        data: of the steps.
        loss_of: of some clips.

    Returns:
        ``step_s``, ``first_steps_s`` beyond what as many later ones take, ``n_steps`` that were timed, the share
        ``waiting`` for data, and on CUDA ``peak_memory_gb``.
    """
    cuda = setting.backend.device.type == "cuda"
    n_looks = READ_EVERY[setting.backend.device.type]
    n_first = 2 * n_looks
    began_s = time.perf_counter()
    at: dict[str, float] = {}
    if cuda:
        torch.cuda.reset_peak_memory_stats(setting.backend.device)

    def after_step(step: int) -> None:
        if step == n_first:
            setting.synchronise()
            now_s = time.perf_counter()
            at.update(first_s=now_s - began_s, waited_s=training.waited_s, elapsed_s=training.elapsed_s)
        elif step == n_first + n_looks:  # so that there is a look at steps that are timed
            training.budget_s = at["first_s"] + setting.seconds

    training.fit(data, loss_of, setting.backend, "rehearsal", after_step=after_step)
    n_timed = training.step - n_first
    step_s = (time.perf_counter() - began_s - at["first_s"]) / n_timed
    waiting = (training.waited_s - at["waited_s"]) / (training.elapsed_s - at["elapsed_s"])
    found: Figures = {
        "step_s": step_s,
        "first_steps_s": max(0.0, at["first_s"] - n_first * step_s),
        "n_steps": n_timed,
        "waiting": waiting,
    }
    if cuda:
        found["peak_memory_gb"] = torch.cuda.max_memory_allocated(setting.backend.device) / 1e9
    return found


def pretraining(setting: Setting, n_steps: int | None = None) -> tuple[Training, pretrain.Corpus, LossOf]:
    """Set pre-training up as its stage does, for some steps or for a time; the weights are those of step 0."""
    cfg, backend = setting.cfg, setting.backend
    corpus = pretrain.Corpus(cfg, backend)
    model = pretrain.model_of(cfg)
    initialise(model, cfg.seed)
    model.to(backend.device)
    training = Training(model, cfg.pretrain.optimizer, n_steps, accumulate=cfg.pretrain.accumulate)
    return training, corpus, pretrain.objective(corpus, backend.device)


def fixed(setting: Setting) -> Figures:
    """Time steps of pre-training on one batch that lies ready."""
    training, corpus, loss_of = pretraining(setting)
    found = timed(setting, training, Fixed.of(corpus, setting), loss_of)
    return {name: value for name, value in found.items() if name != "waiting"}


def real(setting: Setting) -> Figures:
    """Time steps of pre-training as it is, with clips that are made meanwhile."""
    training, corpus, loss_of = pretraining(setting)
    found = timed(setting, training, corpus, loss_of)
    assert isinstance(found["step_s"], float)
    return found | {"clips_per_s": setting.cfg.pretrain.batch_size / found["step_s"]}


def traced(setting: Setting) -> Figures:
    """Write a trace of the last steps of a short pre-training, and count what a step starts."""
    training, corpus, loss_of = pretraining(setting, 2 * N_TRACED)
    data = Fixed.of(corpus, setting)
    profile = torch.profiler.profile(activities=ACTIVITIES[setting.backend.device.type])

    def after_step(step: int) -> None:
        if step == N_TRACED:
            setting.synchronise()
            profile.start()

    training.fit(data, loss_of, setting.backend, "rehearsal: trace", after_step=after_step)
    setting.synchronise()
    profile.stop()
    events = profile.events() or []  # type: ignore[no-untyped-call]
    kernels = sum(event.device_type.name == "CUDA" for event in events)
    operators = sum(event.name.startswith("aten::") for event in events)
    profile.export_chrome_trace(str(setting.out / "trace.json"))
    return {"operators_per_step": operators / N_TRACED, "kernels_per_step": kernels / N_TRACED}
