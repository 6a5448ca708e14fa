"""Rooms: first reflections by image sources, and the tail's decay and loudness."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.sounds import RATE, Floats, bare

from audiopg.synth.arrange import arrange
from audiopg.synth.batched import reverberation as batched_reverberation
from audiopg.synth.batched.player import Chunk
from audiopg.synth.compiled import reverberation
from audiopg.synth.compiled.reverberation import reverberate
from audiopg.synth.playlist import Playlist
from audiopg.synth.room import N_LOOPS, Room, lay_out
from audiopg.synth.score import Score
from audiopg.synth.sources.primitive import Grid

PLACES = [0.2, 0.3, 0.4, 0.7, 0.6, 0.5]


def rooms(
    size_m: list[float], rt60_s: list[float], damping: float = 0.0, places: list[float] = PLACES, n: int = 2 * RATE
) -> Score:
    """Score of clips in rooms; what sounds in them is beside the point."""
    n_clips = len(size_m)
    score = bare("pulse", [440.0] * n_clips, {"shape": 0}, Grid(n, RATE))
    return replace(
        score,
        room_size_m=np.array(size_m),
        room_rt60_s=np.array(rt60_s),
        room_treble_damping=np.full(n_clips, damping),
        room_places=np.tile(places, (n_clips, 1)),
    )


def answers(score: Score, dry: Floats) -> list[Floats]:
    """What each room makes of a sound, by the compiled and the batched code, shape (B, T)."""
    grid = Grid(dry.shape[1], RATE)
    room = lay_out(score, RATE)
    compiled = dry.astype(np.float32)
    for clip in range(len(score)):
        reverberate(compiled[clip], np.empty(grid.n_samples, dtype=np.float32), room, clip)
    playlist: Playlist = arrange(score.rows(slice(None)), Grid(2 * RATE, RATE))._replace(n_samples=grid.n_samples)
    by_torch = torch.from_numpy(dry.astype(np.float32))
    Chunk(playlist, slice(0, len(score)), torch.device("cpu")).add_rooms(by_torch)
    return [compiled.astype(np.float64), by_torch.double().numpy()]


def impulse(n_clips: int, n_samples: int) -> Floats:
    dry = np.zeros((n_clips, n_samples))
    dry[:, 0] = 1
    return dry


def absorbed(size_m: float, rt60_s: float) -> float:
    """Eyring: T60 = 0.161 V / (-S ln(1 - α))."""
    x, y, z = size_m, 0.7 * size_m, 0.45 * size_m
    return 1 - math.exp(-0.161 * x * y * z / (2 * (x * y + y * z + x * z) * rt60_s))


@pytest.mark.parametrize(("size_m", "rt60_s"), [(3.0, 0.15), (8.0, 0.6), (20.0, 1.5)])
def test_six_reflections_come_from_the_images_of_the_source(size_m: float, rt60_s: float) -> None:
    """Each image is the source in the mirror of a wall: later by the longer way, weaker by it and by the wall."""
    room = lay_out(rooms([size_m], [rt60_s]), RATE)
    box = size_m * np.array([1, 0.7, 0.45])
    source, microphone = np.array(PLACES[:3]) * box, np.array(PLACES[3:]) * box
    direct_m = math.dist(source, microphone)
    expected = []
    for axis in range(3):
        for wall_m in (0, box[axis]):
            image = source.copy()
            image[axis] += 2 * (wall_m - source[axis])
            way_m = math.dist(image, microphone)
            delay = round((way_m - direct_m) / 343 * RATE)
            expected.append((delay, math.sqrt(1 - absorbed(size_m, rt60_s)) * direct_m / way_m))
    found = sorted(zip(room.reflection_delay[0].tolist(), room.reflection_gain[0].tolist(), strict=True))
    np.testing.assert_allclose(found, sorted(expected))


def test_reflections_are_heard_before_the_tail() -> None:
    score = rooms([8.0], [0.6])
    room = lay_out(score, RATE)
    first_of_tail = room.loop_delay.min()
    for wet in answers(score, impulse(1, RATE)):
        expected = np.zeros(first_of_tail)
        expected[0] = 1
        np.add.at(
            expected,
            room.reflection_delay[0][room.reflection_delay[0] < first_of_tail],
            room.reflection_gain[0][room.reflection_delay[0] < first_of_tail],
        )
        np.testing.assert_allclose(wet[0, :first_of_tail], expected, atol=1e-7)
        assert wet[0, first_of_tail:].any()


def tail(wet: Floats, room: Room, row: int) -> Floats:
    """The answer to an impulse without direct sound and reflections."""
    out = wet[row].copy()
    out[0] -= 1
    np.subtract.at(out, room.reflection_delay[row], room.reflection_gain[row])
    return out


@pytest.mark.parametrize(("size_m", "rt60_s"), [(2.0, 0.15), (3.0, 0.4), (8.0, 0.6), (20.0, 0.5), (20.0, 1.5)])
def test_the_tail_falls_by_60_db_in_its_time(size_m: float, rt60_s: float) -> None:
    """Schroeder's backward integral from -5 to -35 dB, within 5 % (measured: 3.4 % at most)."""
    score = rooms([size_m], [rt60_s])
    for wet in answers(score, impulse(1, 2 * RATE)):
        left = np.cumsum(tail(wet, lay_out(score, RATE), 0)[::-1] ** 2)[::-1]
        left_db = 10 * np.log10(left / left[0] + 1e-300)
        inside = np.flatnonzero((left_db < -5) & (left_db > -35))
        slope = np.polyfit(inside / RATE, left_db[inside], 1)[0]
        assert -60 / slope == pytest.approx(rt60_s, rel=0.05)


@pytest.mark.parametrize(("size_m", "rt60_s"), [(3.0, 0.3), (8.0, 0.6), (20.0, 1.5)])
def test_the_tail_is_as_loud_as_the_diffuse_field(size_m: float, rt60_s: float) -> None:
    """Energy over that of the direct sound: 16 π r² (1 - α) / (S α), within 1 dB (measured: 0.7)."""
    x, y, z = size_m, 0.7 * size_m, 0.45 * size_m
    surface, alpha = 2 * (x * y + y * z + x * z), absorbed(size_m, rt60_s)
    for places in (PLACES, [0.15, 0.2, 0.8, 0.8, 0.7, 0.3]):
        score = rooms([size_m], [rt60_s], places=places)
        box = np.array([x, y, z])
        direct_m = math.dist(np.array(places[:3]) * box, np.array(places[3:]) * box)
        expected_db = 10 * math.log10(16 * math.pi * direct_m**2 * (1 - alpha) / (surface * alpha))
        for wet in answers(score, impulse(1, 3 * RATE)):
            energy = (tail(wet, lay_out(score, RATE), 0) ** 2).sum()
            assert 10 * math.log10(energy) == pytest.approx(expected_db, abs=1)


def test_treble_dies_sooner_where_the_walls_damp_it() -> None:
    bright, dull = (
        tail(answers(rooms([8.0], [0.8], damping), impulse(1, 2 * RATE))[0], lay_out(rooms([8.0], [0.8]), RATE), 0)
        for damping in (0.0, 0.3)
    )
    spectra = [np.abs(np.fft.rfft(x[4000:12_000])) ** 2 for x in (bright, dull)]
    assert spectra[1][:100].sum() == pytest.approx(spectra[0][:100].sum(), rel=0.3)
    assert spectra[1][3000:].sum() < 0.05 * spectra[0][3000:].sum()
    # a loop's gain at the Nyquist frequency is 1 - 2 · damping of that at 0 Hz
    room = lay_out(rooms([8.0], [0.8], 0.3), RATE)
    assert room.treble_damping[0] == 0.3


@pytest.mark.parametrize("length", [3200, 4050, 20_000])
def test_a_room_does_not_depend_on_the_length_of_its_transform(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    score = rooms([2.0, 11.0], [0.3, 1.2], damping=0.2)
    dry = np.random.default_rng(0).uniform(-1, 1, (2, 3001))
    before = answers(score, dry)
    monkeypatch.setattr(batched_reverberation, "LEAST_LENGTH", length)
    np.testing.assert_allclose(answers(score, dry)[1], before[1], atol=1e-6)
    np.testing.assert_allclose(before[0], before[1], atol=1e-5)


@pytest.mark.parametrize(("least", "length"), [(2, 2), (7, 8), (256, 256), (3001, 3072), (163_839, 163_840)])
def test_transforms_have_lengths_that_are_fast(least: int, length: int) -> None:
    assert batched_reverberation._fast_length(least) == length


def test_a_room_is_a_network_of_loops_sample_by_sample() -> None:
    """Longer than the compiled code's memory, so that its loops are moved; in float64, a sample at a time."""
    n = 2 * reverberation.HISTORY + 999
    score = rooms([5.0], [0.5], damping=0.25)
    room = lay_out(score, RATE)
    dry = np.random.default_rng(0).uniform(-1, 1, (1, n))
    delay, gain, rho = room.loop_delay[0], room.loop_gain[0], room.treble_damping[0]
    past = int(delay.max()) + 1
    loops = np.zeros((past + n, N_LOOPS))
    mirror = np.eye(N_LOOPS) - 2 / N_LOOPS
    signs = np.array([1, -1] * (N_LOOPS // 2))
    expected = np.convolve(dry[0], [1])
    for at, wall in zip(room.reflection_delay[0].tolist(), room.reflection_gain[0].tolist(), strict=True):
        expected[at:] += wall * dry[0, : n - at]
    lanes = np.arange(N_LOOPS)
    for t in range(n):
        now = past + t
        arriving = gain * ((1 - rho) * loops[now - delay, lanes] + rho * loops[now - delay - 1, lanes])
        loops[now] = mirror @ arriving + dry[0, t] / math.sqrt(N_LOOPS)
        expected[t] += room.late_gain[0] * (signs @ arriving)
    for wet in answers(score, dry):
        np.testing.assert_allclose(wet[0], expected, atol=2e-5)


def test_a_clip_without_a_room_stays_dry() -> None:
    score = rooms([8.0, np.nan], [0.6, 0.6])
    dry = np.random.default_rng(0).uniform(-1, 1, (2, RATE))
    wet = answers(score, dry)[1]
    np.testing.assert_array_equal(wet[1], dry[1].astype(np.float32))
    assert not np.allclose(wet[0], dry[0])
    room = lay_out(score, RATE)
    for gains in (room.reflection_gain, room.late_gain):
        assert not gains[1].any()


@pytest.mark.parametrize("n_samples", [1, 100, 900])
def test_rooms_may_echo_later_than_a_clip_lasts(n_samples: int) -> None:
    score = rooms([20.0, 2.0], [1.5, 0.15])
    for wet in answers(score, impulse(2, n_samples)):
        assert np.isfinite(wet).all()
        assert wet[0, 0] == 1
