"""The figures of a task: names of classes are drawn as they are."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from audiopg.report import figures

# matplotlib would draw the first two as formulas, and refuse the third, which is none
NAMES = ["$x$", "$1 and $2", r"$\nope$", "a_b^c", "50 %", r"\$", "plain"]
INITS = ["pretrained", "scratch"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were written."""
    save, drawn = figures.save, list[Figure]()

    def keep(figure: Figure, path: Path) -> None:
        save(figure, path)
        drawn.append(figure)

    monkeypatch.setattr(figures, "save", keep)
    return drawn


def test_names_of_classes_are_no_formulas(drawn: list[Figure], tmp_path: Path) -> None:
    pairs = pd.DataFrame(
        [(init, name, name) for init in INITS for name in NAMES], columns=["init", "actual", "predicted"]
    )
    scores = pd.DataFrame([(init, name, 3, 0.5) for init in INITS for name in NAMES])
    figures.confusion(pairs, tmp_path / "confusion.png")
    figures.classes(scores.set_axis(["init", "class", "n_clips", "score"], axis=1), "recall", tmp_path / "classes.png")
    assert len(drawn) == 2
    for figure in drawn:
        texts = {text: text.get_text().removesuffix(" (3)") for text in figure.findobj(Text)}
        named = [text for text, name in texts.items() if name in NAMES]
        assert {texts[text] for text in named} == set(NAMES)
        assert not any(text.get_parse_math() for text in named)
