"""Curves of a run in progress, in DVCLive's layout, kept apart from the results: they depend on the clock."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from audiopg.train.loop import Training

EVERY_S = 1.0


class Curves:
    """A folder with one table per curve, ``plots/metrics/NAME.tsv``, and the newest values in ``metrics.json``."""

    def __init__(self, folder: Path) -> None:
        """Open the folder; nothing is sent anywhere, committed, or written outside of it."""
        os.environ["DVC_STUDIO_OFFLINE"] = "true"
        from dvclive.live import Live  # noqa: PLC0415  (takes a second, and reads the variable)

        class Here(Live):
            """Draws curves; looks at no repository, which may be empty, broken or somebody else's."""

            def _init_dvc(self) -> None:
                self._dvc_file = "dvc.yaml"

        (folder / "metrics.json").unlink(missing_ok=True)  # a killed run may have left an incomplete one
        self._live = Here(str(folder), resume=True, save_dvc_exp=False, dvcyaml=False)
        self._n_clips, self._elapsed_s, self._waited_s = 0, 0.0, 0.0

    def begin(self, training: "Training") -> None:
        """Drop the points after the current step: the run continues from an earlier state."""
        self._elapsed_s, self._waited_s = training.elapsed_s, training.waited_s
        for path in Path(self._live.plots_dir, "metrics").glob("*.tsv"):
            try:
                table = pd.read_csv(path, sep="\t")
                table[table["step"] < training.step].to_csv(path, sep="\t", index=False)
            except (ValueError, KeyError):  # a killed run left an incomplete header
                path.unlink()

    def note(self, training: "Training", rate: float, n_clips: int, *, last: bool) -> None:
        """Add a point to each curve, at most once a second, and always at the last step.

        Args:
            training: after the step.
            rate: its learning rate.
            n_clips: its clips.
            last: whether no step follows.
        """
        self._n_clips += n_clips
        passed_s = training.elapsed_s - self._elapsed_s
        if passed_s < EVERY_S and not last:
            return
        self._live.step = training.step - 1
        self._live.log_metric("loss", training.losses[-1])
        self._live.log_metric("learning_rate", rate)
        self._live.log_metric("clips_per_s", self._n_clips / passed_s)
        self._live.log_metric("waiting_share", (training.waited_s - self._waited_s) / passed_s)
        self._live.make_summary()  # type: ignore[no-untyped-call]
        self._n_clips, self._elapsed_s, self._waited_s = 0, training.elapsed_s, training.waited_s
