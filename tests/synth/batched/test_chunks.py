"""Chunks of the batched renderer: they change no bit, and bound the memory."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from audiopg import config
from audiopg.synth.arrange import arrange
from audiopg.synth.batched import events, player, sources
from audiopg.synth.parameters import draw
from audiopg.synth.playlist import Playlist
from audiopg.synth.sources.primitive import Grid

CPU = torch.device("cpu")


def arranged(synth: config.Synth, n_clips: int) -> Playlist:
    return arrange(draw(synth, 42, range(n_clips)), Grid(synth.n_samples, synth.sample_rate_hz))


@pytest.mark.parametrize("n_samples", [1, 30_000, 1 << 40])
@pytest.mark.parametrize("what", ["clips", "sources", "events"])
def test_chunks_change_no_bit(what: str, n_samples: int, preset: config.Synth, monkeypatch: pytest.MonkeyPatch) -> None:
    playlist = arranged(preset, 12)
    whole = player.render(playlist, CPU)
    if what == "events":
        monkeypatch.setattr(events, "SAMPLES", n_samples)
    else:
        monkeypatch.setitem(*((player.SAMPLES if what == "clips" else sources.NUMBERS), "cpu", n_samples))
    assert torch.equal(player.render(playlist, CPU), whole)


class Largest(TorchDispatchMode):
    """Remembers the size of the largest memory that an operator returned, in bytes."""

    n_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ARG002
        """Run an operator."""
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.n_bytes = max(self.n_bytes, result.untyped_storage().nbytes())
        return result


def largest(playlist: Playlist) -> int:
    with Largest() as found:
        player.render(playlist, CPU)
    return found.n_bytes


def test_memory_grows_with_the_waveforms_alone(short_world: config.Synth, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest tensor of many chunks is the result itself, or the largest of any chunk."""
    monkeypatch.setitem(player.SAMPLES, "cpu", 4 * short_world.n_samples)
    n_clips = 64
    parts = [draw(short_world, 42, range(at, at + 4)) for at in range(0, n_clips, 4)]
    grid = Grid(short_world.n_samples, short_world.sample_rate_hz)
    of_a_chunk = max(largest(arrange(score, grid)) for score in parts)
    result = n_clips * short_world.n_samples * 4
    assert largest(arranged(short_world, n_clips)) <= max(of_a_chunk, result)
    monkeypatch.setitem(player.SAMPLES, "cpu", n_clips * short_world.n_samples)
    assert largest(arranged(short_world, n_clips)) > 2 * max(of_a_chunk, result)


def test_sources_are_made_few_at_a_time(short_world: config.Synth, monkeypatch: pytest.MonkeyPatch) -> None:
    playlist = arranged(short_world, 32)

    def made(n_numbers: int) -> int:
        monkeypatch.setitem(sources.NUMBERS, "cpu", n_numbers)
        with Largest() as found:
            sources.Sources(playlist, CPU).of(playlist.events)
        return found.n_bytes

    assert made(1) < made(1 << 40) / 2


def test_a_chunk_of_full_length_needs_less_than_a_gpu_has(world: config.Synth, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor of 16 clips of 10.24 s, as chunked for a GPU, has more than 512 MiB."""
    for limits in (player.SAMPLES, sources.NUMBERS):
        monkeypatch.setitem(limits, "cpu", limits["cuda"])
    assert largest(arranged(world, 16)) <= 512 << 20
