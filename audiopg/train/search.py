"""The choice of a fine-tuning's learning rate and number of epochs, by recordings that are left out of its training."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from audiopg import compute, config, storage


class Search:
    """The candidates of one fold and initialisation, and what each has reached so far."""

    def __init__(self, recipe: config.Finetune, file: Path, run: str) -> None:
        """Take the recipe with its candidates.

        Args:
            recipe: has the candidates; where there is one only, nothing is tried.
            file: remembers what is known, for a run that is interrupted.
            run: digest of everything that the run depends on.
        """
        self.file = file
        self.run = run
        self.candidates = [_with(recipe, lr, n_epochs) for lr, n_epochs in recipe.candidates]
        self.figures = self._remembered()

    def best(self, figure_of: Callable[[config.Finetune], float], backend: compute.Backend) -> config.Finetune:
        """Return the best candidate, the earlier one of two equals.

        Args:
            figure_of: trains a candidate, and scores recordings that did not train it.
            backend: one of its processes keeps what is known.
        """
        if len(self.candidates) == 1:
            return self.candidates[0]
        for candidate in self.candidates[len(self.figures) :]:
            self.figures.append(figure_of(candidate))
            if backend.is_main_process:
                storage.write_json(self.file, {"run": self.run, "figures": self.figures})
        return self.candidates[self.figures.index(max(self.figures))]

    def table(self) -> pd.DataFrame:
        """List the candidates that were compared, columns ``lr, n_epochs, figure``; none where there is one only."""
        rows = [
            (candidate.optimizer.lr, candidate.n_epochs, round(figure, 6))
            for candidate, figure in zip(self.candidates, self.figures, strict=False)
        ]
        return pd.DataFrame(rows, columns=["lr", "n_epochs", "figure"])

    def forget(self) -> None:
        """Remove what is remembered, after the run."""
        self.file.unlink(missing_ok=True)

    def _remembered(self) -> list[float]:
        """Read what an interrupted run with the same inputs has found."""
        known = storage.read_json(self.file) if self.file.exists() else {}
        return list(known["figures"]) if known.get("run") == self.run else []


def _with(recipe: config.Finetune, lr: float, n_epochs: int) -> config.Finetune:
    """Return the recipe with another learning rate and number of epochs."""
    optimizer = recipe.optimizer.model_copy(update={"lr": lr})
    return recipe.model_copy(update={"optimizer": optimizer, "n_epochs": n_epochs})
