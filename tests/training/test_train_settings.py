"""Settings of training, and the optimisers they describe, against one step by hand."""

import pytest
import torch
from torch import nn

from mmbench.config import parse_settings
from mmbench.errors import InvalidSetting, UnknownName
from mmbench.training.settings import TrainSettings, make_optimiser


def one_step(gradient: float, **given: object) -> float:
    """How far a parameter at 1.0 moves in the first step."""
    parameter = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimiser = make_optimiser([parameter], parse_settings(TrainSettings, given, "train"))
    parameter.grad = torch.full_like(parameter, gradient)
    optimiser.step()
    return parameter.item() - 1.0


@pytest.mark.parametrize("gradient", [-3.0, 0.02, 5.0])
def test_adam_begins_with_a_step_of_lr_against_the_sign(gradient: float) -> None:
    assert one_step(gradient, lr=0.01) == pytest.approx(-0.01 * gradient / (abs(gradient) + 1e-8), rel=1e-6)


def test_sgd_steps_along_the_gradient() -> None:
    assert one_step(2.0, optimizer="sgd", lr=0.1) == pytest.approx(-0.2)


def test_weight_decay_of_adamw_is_decoupled_and_that_of_sgd_is_in_the_gradient() -> None:
    assert one_step(1e-30, optimizer="adamw", lr=0.1, weight_decay=0.5) == pytest.approx(-0.05)
    assert one_step(0.0, optimizer="sgd", lr=0.1, weight_decay=0.5) == pytest.approx(-0.05)


def test_amsgrad_keeps_the_largest_second_moment() -> None:
    def after_a_spike(amsgrad: bool) -> float:
        parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimiser = make_optimiser([parameter], TrainSettings(amsgrad=amsgrad, beta1=0.0, beta2=0.5, lr=1.0))
        for gradient in (100.0, *[1.0] * 20):
            parameter.grad = torch.full_like(parameter, gradient)
            before = parameter.item()
            optimiser.step()
        return abs(parameter.item() - before)

    assert after_a_spike(False) == pytest.approx(1.0, rel=0.02)
    assert after_a_spike(True) < 0.05


def test_a_parameter_without_gradient_is_left_alone() -> None:
    used, unused = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimiser = make_optimiser([used, unused], TrainSettings(weight_decay=0.1))
    for _ in range(3):
        optimiser.zero_grad()
        used.sum().backward()
        optimiser.step()
    assert unused.item() == 1.0
    assert used.item() < 1.0


def test_length_of_training() -> None:
    assert TrainSettings(steps=7).total_steps(10) == 7
    assert TrainSettings(steps=None, epochs=3).total_steps(10) == 30


@pytest.mark.parametrize("given", [{"steps": 5, "epochs": 2}, {"steps": None, "epochs": None}])
def test_steps_and_epochs_exclude_each_other(given: dict[str, int | None]) -> None:
    with pytest.raises(InvalidSetting, match=r"needs either train\.steps or train\.epochs"):
        TrainSettings(**given)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"lr": 0}, InvalidSetting, r"train\.lr must be greater than 0"),
        ({"lr": "fast"}, InvalidSetting, r"train\.lr must be a number, got 'fast'"),
        ({"epochs": "0", "steps": "none"}, InvalidSetting, r"train\.epochs must lie in \[1, \.\.\.\], got 0"),
        ({"batch_size": 0}, InvalidSetting, r"train\.batch_size must lie in"),
        ({"optimizer": "adm"}, UnknownName, r"did you mean 'adam'"),
        ({"learning_rate": 1.0}, UnknownName, r"unknown setting of 'train' 'learning_rate'"),
    ],
)
def test_bad_settings_get_a_sentence(given: dict[str, object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        parse_settings(TrainSettings, given, "train")
