"""The ONNX graph gives what `embed` gives, in a runtime that knows nothing of torch."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from audiopg.config import Config
from audiopg.models.readout import Pooling, ReadOut
from audiopg.models.vit import untrained
from audiopg.pretrained import AudioEncoder, graph

SIZES = ((1, 20_480), (3, 33_333), (2, 5_000), (1, 1), (1, 100_001))


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "pooling"), [((6,), "bands"), ((3, 7), "moments"), ((7,), "mean")])
def test_any_number_of_sounds_of_any_length(
    tiny: Config, tmp_path: Path, layers: tuple[int, ...], pooling: Pooling
) -> None:
    encoder = AudioEncoder(untrained(tiny.encoder, 3).eval(), tiny.features, 1.28, ReadOut(layers, pooling))
    graph.write(encoder, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    draw = np.random.Generator(np.random.Philox(1))
    for size in SIZES:
        waveform = draw.uniform(-0.5, 0.5, size).astype(np.float32)
        (found,) = session.run(["embedding"], {"waveform": waveform})
        expected = encoder.embed(waveform, 16_000)
        assert found.shape == expected.shape
        assert (torch.from_numpy(found) - expected).abs().max() < 1e-5 * expected.abs().max()
