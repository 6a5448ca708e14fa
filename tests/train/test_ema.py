"""The moving average of the weights."""

import torch
from support.regression import CPU, FLOAT16, Line, cusp, loss_of, training, weights
from torch import Tensor, nn

from audiopg.train.feed import Batch


def test_steps_that_the_scaler_leaves_out_do_not_move_the_average() -> None:
    run = training(10, ema_decay=0.9)
    run.ema.weights["bias"].fill_(3.0)
    run.fit(Line(), cusp, FLOAT16, "label")
    assert run.ema.weights["bias"].item() == 3


def test_the_average_counts_the_steps_that_were_taken() -> None:
    """Two overflows and then the first update: it is as new to the average as a first step is."""
    run, factors = training(3, ema_decay=0.99), iter([1e35, 1e35, 1e-3])

    def steep_at_first(run: nn.Module, batch: Batch) -> Tensor:
        return next(factors) * loss_of(run, batch)

    first = weights(run).clone()
    run.fit(Line(), steep_at_first, FLOAT16, "label")
    with run.ema.applied():
        averaged = weights(run).clone()
    assert not torch.equal(weights(run), first)
    torch.testing.assert_close(averaged, 2 / 11 * first + 9 / 11 * weights(run))


def test_the_average_of_the_weights_by_hand() -> None:
    run, plain = training(12, ema_decay=0.7), training(12)
    after: list[Tensor] = [weights(plain).clone()]
    plain.fit(Line(), loss_of, CPU, "plain", after_step=lambda _: after.append(weights(plain)))
    run.fit(Line(), loss_of, CPU, "averaged")
    assert run.losses == plain.losses
    expected = after[0]
    for number, new in enumerate(after[1:], start=1):
        decay = min(0.7, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * new
    with run.ema.applied():
        torch.testing.assert_close(weights(run), expected)
    assert torch.equal(weights(run), after[-1])
    run.ema.settle()
    torch.testing.assert_close(weights(run), expected)
