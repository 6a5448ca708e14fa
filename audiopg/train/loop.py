"""The one training loop: a loss per step number, so that a run resumes by setting a counter."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd
import torch
from torch import Tensor, nn

from audiopg import tensors
from audiopg.errors import AudiopgError
from audiopg.progress import progress, say
from audiopg.train.optim import adamw, learning_rate

if TYPE_CHECKING:
    from audiopg import config
    from audiopg.compute import Backend


Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Resume:
    """Where a run keeps its state while it lasts, and the run that the state belongs to."""

    path: Path
    run: str
    """Digest of everything the run depends on; a state of another run is not continued."""
    save_every: int


class Training:
    """A model, its optimiser, and how far it has come: the losses of all steps done."""

    def __init__(self, model: nn.Module, optimizer: "config.Optimizer", n_steps: int) -> None:
        """Start at step 0; the model is on its device already."""
        self.model = model
        self.config = optimizer
        self.n_steps = n_steps
        self.optimizer = adamw(model, optimizer)
        self.losses: list[float] = []

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    def fit(
        self,
        batch_of: Callable[[int], Batch],
        loss_of: Callable[[Batch], Tensor],
        backend: "Backend",
        label: str,
        batch_size: int,
        resume: Resume | None = None,
        after_step: Callable[[int], None] | None = None,
    ) -> None:
        """Take all steps that are left.

        Args:
            batch_of: the data of a step; it knows from the step's number alone which. In float32 always.
            loss_of: the loss of a batch, a scalar; in the backend's precision.
            backend: device and precision.
            label: what to call the run in the progress lines.
            batch_size: clips per step, for the rate shown.
            resume: where to continue from and to keep the state; None keeps none.
            after_step: called with the number of steps done, after each.

        Raises:
            AudiopgError: the loss is not finite.
        """
        if resume is not None and resume.path.exists():
            self._continue(resume)
        self.model.train()
        steps = range(self.step, self.n_steps)
        for step in progress(steps, label, total=self.n_steps, done=self.step, per_item=batch_size):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.config, step, self.n_steps)
            batch = batch_of(step)
            with backend.autocast():
                loss = loss_of(batch)
            value = loss.item()
            if not math.isfinite(value):
                msg = f"{label}: the loss is {value} at step {step}; lower the learning rate (now {self.config.lr:g})"
                raise AudiopgError(msg)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
            self.optimizer.step()
            self.losses.append(value)
            if after_step is not None:
                after_step(self.step)
            if resume is not None and self.step % resume.save_every == 0:
                self.save(resume.path, {"run": resume.run})

    def save(self, path: Path, header: Mapping[str, str]) -> None:
        """Write the whole state: weights, both moments of the optimiser, losses so far, and a text header."""
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{number}.{name}": tensor for name, tensor in moments.items()}
        state["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        tensors.write(path, state, header)

    def _continue(self, resume: Resume) -> None:
        """Take over a saved state if it belongs to this very run."""
        state, header = tensors.read(resume.path)
        if header.get("run") != resume.run:
            say(f"{resume.path}: belongs to other parameters or other code; starting from the first step")
            return
        self.losses = state.pop("losses").tolist()
        moments: dict[int, dict[str, Tensor]] = {}
        for key in [key for key in state if key.startswith("optimizer.")]:
            _, number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = state.pop(key)
        self.model.load_state_dict({key.removeprefix("model."): tensor for key, tensor in state.items()}, strict=True)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        say(f"{resume.path}: continuing at step {self.step}")

    def loss_table(self) -> pd.DataFrame:
        """Return the loss of each step, columns ``step, loss``."""
        return pd.DataFrame({"step": range(self.step), "loss": self.losses})
