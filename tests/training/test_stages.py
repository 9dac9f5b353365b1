"""Stages: shares of the steps, and what is frozen in each."""

from types import ModuleType

import pytest
import torch

from mmbench.errors import MMBenchError
from mmbench.models.base import Stage
from mmbench.training.stages import enter_stage, spans, trainable


def test_spans_cover_the_steps_in_order() -> None:
    cut = spans((Stage("first", 1.0), Stage("second", 3.0)), 10)
    assert [(span.stage.name, span.first, span.end) for span in cut] == [("first", 0, 2), ("second", 2, 10)]


def test_a_stage_without_a_step_is_left_out() -> None:
    cut = spans((Stage("tiny", 0.01), Stage("rest", 0.99)), 10)
    assert [(span.stage.name, span.first, span.end) for span in cut] == [("rest", 0, 10)]


def test_progress_runs_from_zero_within_each_stage() -> None:
    _, second = spans((Stage("first", 0.5), Stage("second", 0.5)), 8)
    assert [second.progress(step) for step in range(4, 8)] == [0.0, 0.25, 0.5, 0.75]


def test_a_stage_trains_what_it_names_and_freezes_the_rest(trainee: ModuleType) -> None:
    model = trainee.model()
    trained = enter_stage(model, Stage("a", 1.0, ("encoders.a", "offset")), trainable(model))
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names == {
        "encoders.a.norm.weight",
        "encoders.a.norm.bias",
        "encoders.a.linear.weight",
        "encoders.a.linear.bias",
        "offset",
    }
    assert len(trained) == len(names)
    assert model.encoders["a"].norm.training
    assert not model.encoders["b"].norm.training
    assert not model.encoders["b"].dropout.training


def test_running_statistics_of_a_frozen_part_stand_still(trainee: ModuleType) -> None:
    model = trainee.model()
    enter_stage(model, Stage("a", 1.0, ("encoders.a",)), trainable(model))
    for name, size in (("a", 3), ("b", 2)):
        model.encoders[name](torch.randn(20, size) + 5)
    assert model.encoders["a"].norm.running_mean.abs().min() > 0.1
    assert torch.equal(model.encoders["b"].norm.running_mean, torch.zeros(1))


def test_what_the_model_holds_fixed_stays_fixed_in_every_stage(trainee: ModuleType) -> None:
    model = trainee.model()
    among = trainable(model)
    enter_stage(model, Stage("a", 0.5, ("encoders.a",)), among)
    trained = enter_stage(model, Stage("all"), among)
    assert not model.fixed.requires_grad
    assert len(trained) == len(among)
    assert all(module.training for module in model.modules())


def test_a_prefix_is_a_whole_name(trainee: ModuleType) -> None:
    model = trainee.model()
    with pytest.raises(MMBenchError, match=r"stage 'x' trains no parameter: none begins with encoders\.aa or off"):
        enter_stage(model, Stage("x", 1.0, ("encoders.aa", "off")), trainable(model))
