"""The finite check names the step and the term, however late it reads."""

import math

import pytest
import torch
from torch import nn

from mmbench.errors import Diverged
from mmbench.training.finite import Readings, require_finite_parameters


def scalars(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(value) for value in values]


def test_values_are_read_in_order_and_together() -> None:
    readings = Readings(3)
    for step in (1, 2):
        loss, term = scalars(step, 10 * step)
        assert readings.add(step, loss, {"kl": term}) == []
    loss, other = scalars(3, 7)
    assert readings.add(3, loss, {"nll": other}) == [
        (1, {"loss": 1.0, "kl": 10.0}),
        (2, {"loss": 2.0, "kl": 20.0}),
        (3, {"loss": 3.0, "nll": 7.0}),
    ]
    assert readings.read() == []


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_bad_step_is_named_with_its_term(every: int, bad: float) -> None:
    readings = Readings(every)

    def five_steps() -> None:
        for step in range(1, 6):
            loss, term = scalars(bad if step >= 3 else 1.0, bad if step >= 3 else 0.5)
            readings.add(step, loss, {"kl": term})

    with pytest.raises(Diverged, match=f"diverged at step 3: kl is {bad}") as caught:
        five_steps()
    assert (caught.value.step, caught.value.term) == (3, "kl")


def test_a_loss_without_a_bad_term_is_named_itself() -> None:
    loss, term = scalars(math.nan, 1.0)
    with pytest.raises(Diverged, match="diverged at step 1: loss is nan"):
        Readings(1).add(1, loss, {"kl": term})


def test_bad_parameters_are_named() -> None:
    model = nn.Linear(2, 1)
    require_finite_parameters(model, 9)
    with torch.no_grad():
        model.bias.fill_(math.inf)
    with pytest.raises(Diverged, match="diverged at step 9: parameter bias is inf"):
        require_finite_parameters(model, 9)
