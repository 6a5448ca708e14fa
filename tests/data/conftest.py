"""Two recordings."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.recordings import RATE_HZ


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A short and a long recording."""
    generator = np.random.Generator(np.random.Philox(1))
    for name, seconds in (("short", 0.1), ("long", 0.9)):
        soundfile.write(tmp_path / f"{name}.wav", generator.uniform(-0.5, 0.5, round(seconds * RATE_HZ)), RATE_HZ)
    return tmp_path
