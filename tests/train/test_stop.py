"""SIGTERM and Ctrl-C: held back until the step is over."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from support.regression import CPU, Line, checkpoints, loss_of, training, weights

from audiopg.train.stop import Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_after_the_step_and_keeps_it(number: signal.Signals, tmp_path: Path) -> None:
    whole = training()
    whole.fit(Line(), loss_of, CPU, "whole")
    first, before = training(), signal.getsignal(number)

    def terminate(step: int) -> None:
        if step == 13:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        first.fit(Line(), loss_of, CPU, "first", checkpoints(tmp_path), after_step=terminate)
    assert signal.getsignal(number) is before
    assert first.step == 13
    second, data = training(), Line()
    second.fit(data, loss_of, CPU, "second", checkpoints(tmp_path))
    assert data.seen[0][0] == 13
    assert second.losses == whole.losses
    assert torch.equal(weights(second), weights(whole))


def test_sigterm_in_the_last_step_is_heard_and_no_step_is_run_again(tmp_path: Path) -> None:
    whole = training(12)

    def stop_at_twelve(step: int) -> None:
        if step == 12:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        whole.fit(Line(), loss_of, CPU, "a", checkpoints(tmp_path), stop_at_twelve)
    again, data = training(12), Line()
    again.fit(data, loss_of, CPU, "b", checkpoints(tmp_path))
    assert not data.seen
    assert torch.equal(weights(again), weights(whole))


def test_sigterm_is_held_back_however_often_and_after_the_run_does_what_it_did_before(tmp_path: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked
            assert not heard
            os.kill(os.getpid(), signal.SIGTERM)
            assert not heard
        training(1).fit(Line(), loss_of, CPU, "x", checkpoints(tmp_path))
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(heard) == 1
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_ctrl_c_ends_at_once() -> None:
    # tests that run in several processes ignore Ctrl-C in all but the first
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def twice() -> None:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.asked
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)

    try:
        with pytest.raises(KeyboardInterrupt):
            twice()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
