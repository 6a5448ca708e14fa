"""The one training loop: data and loss per step number, so that a run resumes by setting a counter."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from audiopg.errors import AudiopgError
from audiopg.progress import progress, say
from audiopg.train.checkpoints import Checkpoints
from audiopg.train.ema import EMA
from audiopg.train.feed import Batch, Data, Feed
from audiopg.train.look import Unread
from audiopg.train.optim import adamw, learning_rate
from audiopg.train.stop import Stop

if TYPE_CHECKING:
    from audiopg import config
    from audiopg.compute import Backend
    from audiopg.train.curves import Curves

TICKS = 1_000_000  # steps of the schedule of a run that ends by the clock
# Steps between two looks at the losses. A look waits until a GPU has done all that it was given; a CPU has done it.
READ_EVERY = {"cpu": 1, "cuda": 8}


class Companion(Protocol):
    """Additional state of a run, such as the best epoch."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return all of it."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`."""


class Training:
    """A model, its optimiser, and how far it has come: the losses of all steps done."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: "config.Optimizer",
        n_steps: int | None,
        *,
        budget_s: float = math.inf,
        accumulate: int = 1,
        layer_decay: float = 1.0,
        companion: Companion | None = None,
    ) -> None:
        """Start at step 0; the model is on its device already.

        Args:
            model: what learns.
            optimizer: the ``optimizer`` section.
            n_steps: steps of the whole run; None ends it by the clock.
            budget_s: how long a run without ``n_steps`` lasts, in s.
            accumulate: parts that each process cuts its share of a batch into.
            layer_decay: factor of the learning rate per block, from the head down.
            companion: what else belongs to the state of the run.
        """
        self.model = model
        self.config = optimizer
        self.n_steps = n_steps
        self.budget_s = budget_s
        self.accumulate = accumulate
        self.companion = companion
        self.optimizer = adamw(model, optimizer, layer_decay)
        self.ema = EMA(model, optimizer.ema_decay)
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)
        self.losses: list[float] = []
        """Of the steps that were looked at."""
        self._unread = Unread()
        self.n_skipped = 0
        self.elapsed_s = 0.0
        self.waited_s = 0.0

    @property
    def step(self) -> int:
        """Steps done, those without an update included; a GPU may still be at some of them."""
        return len(self.losses) + len(self._unread)

    def fit(
        self,
        data: Data,
        loss_of: Callable[[nn.Module, Batch], Tensor],
        backend: "Backend",
        label: str,
        checkpoints: Checkpoints | None = None,
        after_step: Callable[[int], None] | None = None,
        curves: "Curves | None" = None,
    ) -> None:
        """Run all remaining steps.

        Args:
            data: what the steps see.
            loss_of: the mean loss of some clips, a scalar, in the backend's precision; it calls the module that it is
                given, which is the model, compiled and shared between processes.
            backend: device, precision and processes.
            label: what to call the run in the progress lines.
            checkpoints: where to continue from and to keep the state; None keeps none.
            after_step: called with the number of steps done, after each.
            curves: takes the curves; None draws none.

        Raises:
            AudiopgError: a loss or gradient is not finite, or another process of the run has ended.
            KeyboardInterrupt: SIGTERM or Ctrl-C came; the state is saved.
        """
        self.scaler = backend.scaler()
        if checkpoints is not None:
            self._continue(checkpoints, backend)
        self.model.train()
        steps = itertools.count(self.step) if self.n_steps is None else range(self.step, self.n_steps)
        feed = Feed(data, steps, self.accumulate, backend)
        left = progress(self._left(), label, total=self.n_steps or 0, done=self.step, per_item=data.n_clips(self.step))
        stop = Stop()
        began_s, waited_s = time.monotonic() - self.elapsed_s, self.waited_s
        with (
            backend.lost_peer_errors(),
            nullcontext() if checkpoints is None else stop,
            checkpoints or nullcontext(),
        ):
            run = backend.runner(self.model)
            if curves is not None:
                curves.begin(self)
            for step in left:
                rate = self._set_rate()
                self._unread.add(step, rate, self._advance(feed, run, loss_of, backend))
                if after_step is not None:
                    after_step(self.step)
                if not (self.finished or len(self._unread) == READ_EVERY[backend.device.type]):
                    continue
                n_clips = self._read(label, data)
                # after the look: before it, a GPU has steps to do whose time counts
                times_s = [time.monotonic() - began_s, waited_s + feed.waited_s] if backend.is_main_process else [0, 0]
                self.elapsed_s, self.waited_s, asked = backend.all_reduce_sum([*times_s, stop.asked])
                if curves is not None:
                    curves.note(self, rate, n_clips, last=asked > 0 or self.finished)
                if checkpoints is not None:
                    self._keep(checkpoints, backend, asked=asked > 0)
        self._tell(label)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the time is over."""
        return self.elapsed_s >= self.budget_s if self.n_steps is None else self.step >= self.n_steps

    def _rest_s(self) -> float:
        """Return how long the remaining steps take, if they are as fast as those before, in s."""
        if self.n_steps is None:
            return self.budget_s - self.elapsed_s
        return self.elapsed_s / self.step * (self.n_steps - self.step)

    def _left(self) -> Iterator[int]:
        while not self.finished:
            yield self.step

    def _set_rate(self) -> float:
        """Set the learning rate of the next step, and return it."""
        if self.n_steps is None:
            rate = learning_rate(self.config, int(TICKS * self.elapsed_s / self.budget_s), TICKS)
        else:
            rate = learning_rate(self.config, self.step, self.n_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        return rate

    def _advance(
        self, feed: Feed, run: nn.Module, loss_of: Callable[[nn.Module, Batch], Tensor], backend: "Backend"
    ) -> Tensor:
        """Take one step, or none where a loss or gradient is not finite; nothing in it waits for a GPU.

        Returns:
            The loss, the norm of the gradient and the scale of the loss in float16, shape (3,), on the device.
        """
        self.optimizer.zero_grad()
        loss = torch.zeros((), device=backend.device)
        for number in range(self.accumulate):
            share, batch = next(feed)
            more = number + 1 < self.accumulate  # the processes exchange their gradients once, at the end
            with run.no_sync() if more and isinstance(run, DistributedDataParallel) else nullcontext():
                with backend.autocast():
                    mean = loss_of(run, batch)
                # the processes' gradients are averaged, not added up
                self.scaler.scale(mean * (share * backend.world_size)).backward()  # type: ignore[no-untyped-call]
            loss += share * mean.detach()
        backend.sum_over_processes(loss)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        finite = (loss + norm).isfinite()
        # the fused optimiser leaves out a step by this number on the device, and does not count it
        self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        self.optimizer.step()
        if self.ema.weights:
            self.ema.update(self._n_updates(), finite)
        return torch.stack([loss, norm, self._update_scale(loss)])

    def _update_scale(self, loss: Tensor) -> Tensor:
        """Adapt float16's scale to the gradient, if the loss was finite; return the one before."""
        one = torch.ones_like(loss)
        before: Tensor = self.scaler.scale(one)
        if self.scaler.is_enabled():
            self.scaler.update()
            # a loss says nothing about the scale
            self.scaler.update(torch.where(loss.isfinite(), self.scaler.scale(one), before))
        return before

    def _n_updates(self) -> Tensor:
        """Count the steps that the optimiser has taken, on the device, without those that were left out."""
        moments: dict[str, Tensor] = next(iter(self.optimizer.state.values()))
        return moments["step"]

    def _read(self, label: str, data: Data) -> int:
        """Look at the steps since the last look, note their losses, and count their clips.

        Raises:
            AudiopgError: one of them is not finite, and the run is to stop there.
        """
        looked = self._unread.read()
        for numbers in looked:
            problem, step = numbers.problem(), numbers.step
            if problem:
                where = f"at step {step} ({data.names(step)}; learning rate {numbers.rate:g})"
                self._on_non_finite(f"{label}: {problem} {where} with optimizer {self.config.model_dump_json()}")
            self.losses.append(math.nan if problem else numbers.loss)
        return sum(data.n_clips(numbers.step) for numbers in looked)

    def _on_non_finite(self, event: str) -> None:
        """End the run, or leave out the step, at a loss or gradient that is not finite."""
        if self.config.on_non_finite == "stop":
            msg = f"{event}; lower the learning rate, or leave out such steps (on_non_finite: skip)"
            raise AudiopgError(msg)
        self.n_skipped += 1
        say(f"{event}; no update, {self.n_skipped} so far")

    def _tell(self, label: str) -> None:
        """Report the time, the share of it spent waiting for data, and the steps without an update."""
        waiting = self.waited_s / max(self.elapsed_s, 1e-9)
        skipped = f", {self.n_skipped} of them without an update" if self.n_skipped else ""
        say(f"{label}: {self.step} steps in {self.elapsed_s:.0f} s, {waiting:.0%} of it waiting for data{skipped}")

    def _state(self) -> dict[str, Tensor]:
        """Return all that the next step depends on."""
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        state |= {f"ema.{name}": tensor for name, tensor in self.ema.weights.items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{number}.{name}": tensor for name, tensor in moments.items()}
        scaler = self.scaler.state_dict()
        state |= {f"scaler.{name}": torch.tensor(scaler[name]) for name in ("scale", "_growth_tracker") if scaler}
        if self.companion is not None:
            state |= {f"companion.{name}": tensor for name, tensor in self.companion.state_dict().items()}
        state["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        return state

    def _keep(self, checkpoints: Checkpoints, backend: "Backend", *, asked: bool) -> None:
        """Save the state when it is due, and if the process is asked to end; then end it.

        No state is saved when the rest takes less than the time between two: it would cost more bytes than it is worth.
        """
        if backend.is_main_process and (asked or (checkpoints.due() and self._rest_s() >= checkpoints.every_s)):
            clock = {"elapsed_s": repr(self.elapsed_s), "waited_s": repr(self.waited_s)}
            checkpoints.save(self.step, self._state(), clock)
        if asked:
            checkpoints.finish()
            # torchrun ends them all with the first that ends: not before the state is written
            backend.all_reduce_sum([0])
            raise KeyboardInterrupt

    def _continue(self, checkpoints: Checkpoints, backend: "Backend") -> None:
        """Load the newest state of this run, if there is one.

        Raises:
            AudiopgError: the processes do not see the same one.
        """
        found = checkpoints.newest()
        if found is not None:
            self._load(*found)
        with backend.lost_peer_errors():
            n, steps, squares = backend.all_reduce_sum([1, self.step, self.step**2])
        if n * squares != steps**2:  # they differ
            msg = f"{checkpoints.folder}: the processes find states of different steps in it; have them share a folder"
            raise AudiopgError(msg)
        if found is not None:
            say(f"{checkpoints.folder}: continuing at step {self.step}")

    def _load(self, state: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
        self.losses = state["losses"].tolist()
        self.n_skipped = sum(map(math.isnan, self.losses))
        self.elapsed_s, self.waited_s = float(header["elapsed_s"]), float(header["waited_s"])
        moments: dict[int, dict[str, Tensor]] = {}
        if self.companion is not None:
            self.companion.load_state_dict(strip_prefix(state, "companion."))
        for key, moment in strip_prefix(state, "optimizer.").items():
            number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = moment
        self.model.load_state_dict(strip_prefix(state, "model."), strict=True)
        self.ema.load_state_dict(strip_prefix(state, "ema."))
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        scaler = {name: tensor.item() for name, tensor in strip_prefix(state, "scaler.").items()}
        self.scaler.load_state_dict({**self.scaler.state_dict(), **scaler})

    def loss_table(self) -> pd.DataFrame:
        """Return the loss of each step, columns ``step, loss``; empty where a step was left out."""
        return pd.DataFrame({"step": range(self.step), "loss": self.losses})


def strip_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors under a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
