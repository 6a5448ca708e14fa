"""How much work the batched renderer starts on a CUDA device: the same for few clips and many, and no wait.

The device is simulated: an operator of torch counts as one launch. Whoever changes the renderer changes the numbers
here: downwards.
"""

from typing import Any

import pytest
import torch
from simulated_cuda import Counts, Kind
from support.sounds import short

from audiopg import config
from audiopg.synth.arrange import arrange
from audiopg.synth.batched import player
from audiopg.synth.parameters import draw
from audiopg.synth.playlist import Playlist
from audiopg.synth.sources.primitive import Grid

MADE_WITH = "2.14"  # the torch of the launches; the waits are the same with any
LAUNCHES = {"paper": 178, "world": 408}
FIRST = {"paper": 0, "world": 64}  # from here on 4 clips have sources of all kinds, a room and both filters


def arranged(synth: config.Synth, first: int, n_clips: int) -> Playlist:
    return arrange(draw(synth, 42, range(first, first + n_clips)), Grid(synth.n_samples, synth.sample_rate_hz))


def launches(playlist: Playlist, counts: Counts) -> int:
    """Render, check that nothing waits, and count the launches."""
    counts.clear()
    player.render(playlist, torch.device("cuda"))
    assert counts.by("line", Kind.SYNC) == {}
    return counts.total(Kind.LAUNCH)


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_batch_has_as_many_launches_as_any_other(
    name: str, request: pytest.FixtureRequest, simulated_cuda: Counts
) -> None:
    synth = request.getfixturevalue(name)
    found = {n: launches(arranged(synth, FIRST[name], n), simulated_cuda) for n in (4, 16)}
    assert found[4] == found[16]
    if torch.__version__.startswith(MADE_WITH):
        assert found[16] == LAUNCHES[name]


@pytest.mark.parametrize("name", LAUNCHES)
def test_launches_do_not_grow_with_the_length_of_clips(
    name: str, request: pytest.FixtureRequest, simulated_cuda: Counts
) -> None:
    whole = request.getfixturevalue(name)
    found = {s: launches(arranged(short(whole, s), FIRST[name], 8), simulated_cuda) for s in (0.32, 1.28, 5.12)}
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("count", ["events", "voices"])
def test_launches_do_not_grow_with_what_sounds(count: str, world: config.Synth, simulated_cuda: Counts) -> None:
    def changed(n: int) -> config.Synth:
        changes: dict[str, Any] = {f"{count}__count": {"min": n, "max": n, "scale": "integer"}}
        return short(world, 0.64, **changes)

    few, many = (arranged(changed(n), FIRST["world"], 16) for n in (1, 6))
    assert len(many.events.clip) > 4 * len(few.events.clip)
    assert launches(few, simulated_cuda) == launches(many, simulated_cuda)


def test_more_clips_than_fit_at_once_are_played_in_chunks(
    short_paper: config.Synth, simulated_cuda: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(player.SAMPLES, "cuda", 8 * short_paper.n_samples)
    found = [launches(arranged(short_paper, 0, n), simulated_cuda) for n in (8, 16, 32)]
    assert found[1] - found[0] == (found[2] - found[1]) / 2
    assert found[0] == LAUNCHES["paper"] or not torch.__version__.startswith(MADE_WITH)


def test_nothing_sounding_is_no_wait(short_world: config.Synth, simulated_cuda: Counts) -> None:
    assert launches(arranged(short_world, 0, 0), simulated_cuda) < 10
