"""Parts of batches, and making them one ahead."""

import threading
import time
from dataclasses import replace

import pytest
import torch
from support.regression import CPU, Killed, Line

from audiopg import config
from audiopg.config import Config
from audiopg.errors import AudiopgError
from audiopg.train import feed
from audiopg.train.feed import Feed, ahead, check_division, parts


@pytest.mark.parametrize("n_parts", [1, 2, 3, 7])
@pytest.mark.parametrize("n_clips", [1, 2, 5, 16, 21])
def test_parts_are_the_batch_in_order(n_clips: int, n_parts: int) -> None:
    cut = parts(n_clips, n_parts)
    assert len(cut) == n_parts
    real = [part for part in cut if part.share]
    assert [place for part in real for place in part.places] == list(range(n_clips))
    assert all(part.share == len(part.places) / n_clips for part in real)
    assert max(len(part.places) for part in real) - min(len(part.places) for part in real) <= 1
    assert all(part.places == range(1) for part in cut if not part.share)
    if n_clips >= n_parts:
        assert len(real) == n_parts


def test_processes_share_a_batch_between_them() -> None:
    seen = []
    for rank in range(3):
        data = Line((16,))
        list(Feed(data, range(2), 2, replace(CPU, rank=rank, world_size=3)))
        seen.append([list(places) for step, places in data.seen if step == 1])
    assert sorted(place for own in seen for part in own for place in part) == list(range(16))
    assert all(len(own) == 2 for own in seen)


def test_what_is_made_ahead_is_the_same_and_one_ahead() -> None:
    made: list[int] = []
    begun = [threading.Event() for _ in range(6)]

    def make(number: int) -> int:
        made.append(number)
        begun[number].set()
        return number * number

    used = []
    for number, thing in enumerate(ahead(make, range(6))):
        used.append(thing)
        if number < 5:
            assert begun[number + 1].wait(10)  # while this one is in use
        assert not any(event.is_set() for event in begun[number + 2 :])
    assert used == [0, 1, 4, 9, 16, 25]
    assert made == list(range(6))


def test_several_threads_make_things_ahead_and_give_them_in_order() -> None:
    at_once, order = threading.Barrier(3, timeout=10), []

    def make(number: int) -> int:
        if number < 3:
            at_once.wait()  # three are in the making at a time, or this fails
        order.append(number)
        return number

    things = ahead(make, range(20), 3)
    assert next(things) == 0
    assert list(things) == list(range(1, 20))
    assert sorted(order) == list(range(20))


def test_no_more_is_made_ahead_than_two_for_each_thread() -> None:
    made: list[int] = []
    things = ahead(lambda number: made.append(number) or number, range(20), 3)
    for number in range(5):
        assert next(things) == number
        time.sleep(0.05)
        assert len(made) <= number + 1 + 6


def test_all_parts_of_a_step_are_made_in_one_thread() -> None:
    threads: dict[int, set[int]] = {}

    class Watched(Line):
        def part(self, step: int, places: range) -> feed.Batch:
            threads.setdefault(step, set()).add(threading.get_ident())
            return super().part(step, places)

    list(Feed(Watched((16,)), range(9), 4, replace(CPU, n_feeders=3)))
    assert all(len(found) == 1 for found in threads.values())


def test_an_error_ahead_comes_where_its_result_would_have_come() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise Killed
        return number

    things = ahead(make, range(5))
    assert [next(things), next(things)] == [0, 1]
    with pytest.raises(Killed):
        next(things)


def test_a_feed_gives_the_parts_of_its_steps_in_order() -> None:
    data, again = Line((16, 5)), Line((16, 5))
    found = list(Feed(data, range(4), 2, CPU))
    expected = [(step, part) for step in range(4) for part in parts(again.n_clips(step), 2)]
    assert len(found) == len(expected)
    for (share, tensors), (step, part) in zip(found, expected, strict=True):
        assert share == part.share
        for one, other in zip(tensors, again.part(step, part.places), strict=True):
            assert (one is None and other is None) or torch.equal(one, other)


def test_a_feed_works_beside_its_reader() -> None:
    threads = set()

    class Watched(Line):
        def part(self, step: int, places: range) -> feed.Batch:
            threads.add(threading.current_thread())
            return super().part(step, places)

    list(Feed(Watched((16,)), range(3), 1, CPU))
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_a_batch_that_cannot_be_cut_evenly_is_refused(tiny: Config) -> None:
    recipe: config.Pretrain = tiny.pretrain.model_copy(update={"batch_size": 16, "accumulate": 2})
    check_division("pretrain", recipe, replace(CPU, world_size=4))
    message = r"params\.yaml: pretrain\.batch_size = 16 cannot be cut evenly for 3 processes × accumulate = 2; use a"
    with pytest.raises(AudiopgError, match=message):
        check_division("pretrain", recipe, replace(CPU, world_size=3))
