"""What each of several processes runs in a test: regressions of every kind, and what came of them."""

import json
import sys
from pathlib import Path
from typing import Any

from regression import Line, loss_of, training, weights

from audiopg import cli, compute, config
from audiopg.errors import AudiopgError
from audiopg.train.checkpoints import Checkpoints

RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "parts": {"accumulate": 2},
    "averaged": {"ema_decay": 0.9},
    "skipping": {"on_non_finite": "skip"},
}
BROKEN = {"skipping": [4, 9]}
SIZES = (16, 7, 1)  # the last leaves a process without a clip


def run(folder: Path, what: str) -> None:
    """Fit every regression, or do what else is asked for; the first process writes what came of it."""
    backend = compute.backend(config.Compute(device="cpu", precision="float32", compile=False), 1, trains=True)
    if what == "stop":
        training().fit(Line(broken=[3]), loss_of, backend, "label")
    if what == "lose" and backend.rank == 1:
        training(2).fit(Line(), loss_of, backend, "label")
        msg = "this one fails alone"
        raise AudiopgError(msg)
    if what == "clock":
        timed = training(None, budget_s=0.5)
        timed.fit(Line(), loss_of, backend, "timed")
        n_steps, elapsed_s = (backend.total([value])[0] / 2 for value in (timed.step, timed.elapsed_s))
        assert (n_steps, elapsed_s) == (timed.step, timed.elapsed_s)
    found = {}
    for name, changes in RUNS.items():
        fitted = training(12, **changes)
        kept = Checkpoints(folder / f"resume-{name}", "run", 5)
        fitted.fit(Line(SIZES, broken=BROKEN.get(name, ())), loss_of, backend, name, kept)
        fitted.average.settle()
        found[name] = {"losses": list(map(repr, fitted.losses)), "weights": weights(fitted).tolist()}
    if backend.leads:
        (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    cli.app = lambda: run(Path(sys.argv[1]), sys.argv[2])  # type: ignore[assignment]
    cli.main()
