"""The loop: order of a step, what is logged, stages, seeds, and what it leaves alone."""

import math
import time
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from mmbench.errors import Diverged, InvalidSetting
from mmbench.modality import Batch, Step
from mmbench.models.base import Objective, Stage
from mmbench.seeding import StepNoise
from mmbench.training import loop
from mmbench.training.callbacks import Callback
from mmbench.training.curves import TestTerms, TrainTerms
from mmbench.training.loop import Trained, fit
from mmbench.training.objective import step_objective
from mmbench.training.settings import TrainSettings


def trained(trainee: ModuleType, *, seed: int = 0, **given: Any) -> tuple[Any, Trained]:
    model = trainee.model()
    settings = given.pop("settings", trainee.SETTINGS)
    return model, fit(model, given.pop("loader", trainee.loader()), settings, seed=seed, **given)


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in model.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class Spy:
    """Writes down the order in which the parts of a step are called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.norms: list[float] = []
        original = {"step": loop.make_optimiser, "objective": step_objective, "clip": nn.utils.clip_grad_norm_}

        def make_optimiser(parameters: Any, settings: Any) -> Any:
            optimiser = original["step"](parameters, settings)
            zero_grad, step = optimiser.zero_grad, optimiser.step

            def spied_step() -> None:
                self.calls.append("step")
                norms = [p.grad.norm() for p in parameters if p.grad is not None]
                self.norms.append(torch.stack(norms).norm().item())
                step()

            optimiser.zero_grad = lambda: (self.calls.append("zero_grad"), zero_grad())
            optimiser.step = spied_step
            return optimiser

        def objective(*args: Any, **given: Any) -> Objective:
            self.calls.append("objective")
            found = original["objective"](*args, **given)
            found.loss.register_hook(lambda grad: self.calls.append("backward"))
            return found

        def clip(*args: Any) -> Any:
            self.calls.append("clip")
            return original["clip"](*args)

        monkeypatch.setattr(loop, "make_optimiser", make_optimiser)
        monkeypatch.setattr(loop, "step_objective", objective)
        monkeypatch.setattr(nn.utils, "clip_grad_norm_", clip)
        add = loop.Readings.add
        monkeypatch.setattr(loop.Readings, "add", lambda *args: (self.calls.append("finite check"), add(*args))[1])


def test_order_of_a_step_and_norm_at_the_step(trainee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    trained(trainee, settings=TrainSettings(batch_size=10, steps=12, clip=0.01))
    assert spy.calls == ["zero_grad", "objective", "finite check", "backward", "clip", "step"] * 12
    assert max(spy.norms) <= 0.01 * (1 + 1e-4)
    assert min(spy.norms) > 0.009  # the unclipped norms are far above, so all of them are clipped


def test_without_clip_norms_are_larger(trainee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    trained(trainee, settings=TrainSettings(batch_size=10, steps=12))
    assert "clip" not in spy.calls
    assert min(spy.norms) > 0.1


def test_the_first_loss_is_that_of_the_initial_weights_on_the_first_step(trainee: ModuleType) -> None:
    _, found = trained(trainee, settings=TrainSettings(batch_size=10, steps=1, log_every=1))
    model = trainee.model()
    model.initialise(Batch({n: v[:70] for n, v in trainee.loader().first_rows(80).items()}))
    model.train()
    data = next(trainee.loader().epoch(0))
    key = loop.stream(0, "noise", 0)
    torch.manual_seed(key)
    expected = step_objective(model, data, noise=StepNoise(key)).loss.item()
    assert {curve.name: curve.values.tolist() for curve in found.curves}["train/loss"] == [expected]


def test_training_learns(trainee: ModuleType) -> None:
    _, found = trained(trainee, settings=TrainSettings(batch_size=10, epochs=30, steps=None, lr=0.02, log_every=10))
    assert found.steps == 300
    assert found.rows == 3000
    (loss,) = (curve for curve in found.curves if curve.name == "train/loss")
    assert loss.values[-5:].mean() < loss.values[0] - 0.5


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(trainee: ModuleType) -> None:
    torch.manual_seed(1)
    first, a = trained(trainee)
    torch.manual_seed(2)  # the global state plays no part
    second, b = trained(trainee)
    third, _ = trained(trainee, seed=1)
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(third))
    for x, y in zip(a.curves, b.curves, strict=True):
        assert (x.name, x.steps.tolist(), x.values.tolist()) == (y.name, y.steps.tolist(), y.values.tolist())


def test_global_state_is_left_as_it_was(trainee: ModuleType) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    trained(trainee)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_model_is_initialised_once_from_observed_rows(trainee: ModuleType) -> None:
    model, _ = trained(trainee)
    (batch,) = model.initialised_with
    values = trainee.arrays()
    assert batch.names == ("a", "b")
    assert batch.rows == 70  # `b` is observed in 70 rows, `a` in 80
    assert torch.equal(batch.values["a"], torch.from_numpy(values["a"][:70]))
    assert torch.equal(batch.values["b"][50:], torch.from_numpy(values["b"][80:]))


def test_a_modality_that_no_row_holds_is_a_sentence(trainee: ModuleType) -> None:
    class Empty:
        steps_per_epoch = 1

        def first_rows(self, n: int) -> dict[str, torch.Tensor]:
            return {"a": torch.zeros(3, 3), "b": torch.zeros(0, 2)}

    with pytest.raises(InvalidSetting, match="no training row holds 'b'"):
        trained(trainee, loader=Empty())


class Keeper(Callback):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.train: list[TrainTerms] = []
        self.test: list[TestTerms] = []

    def trained(self, terms: TrainTerms) -> None:
        self.train.append(terms)

    def tested(self, terms: TestTerms) -> None:
        self.test.append(terms)


def test_test_terms_come_from_other_data_than_training_terms(trainee: ModuleType) -> None:
    """With learning rate 0+ the model stands still, so both kinds can be computed by hand from their own data."""
    settings = TrainSettings(batch_size=100, steps=1, log_every=1, optimizer="sgd", lr=1e-30)
    keeper = Keeper()
    model, found = trained(trainee, settings=settings, test=trainee.held_out, callbacks=[keeper])
    (train,), (test,) = keeper.train, keeper.test
    noise = StepNoise(loop.stream(0, "test noise")).child("0")
    with torch.no_grad():
        held_out = step_objective(model, Step(tuple(trainee.held_out())), noise=noise)
    assert test.values["loss"] == pytest.approx(held_out.loss.item(), rel=1e-6)
    assert test.rows == 100
    assert train.values["loss"] != pytest.approx(test.values["loss"], rel=1e-2)
    curves = {curve.name: curve.values.tolist() for curve in found.curves}
    assert curves["train/loss"] == [train.values["loss"]]
    assert curves["test/loss"] == [test.values["loss"]]


def test_test_terms_leave_no_trace_in_the_training(trainee: ModuleType) -> None:
    without, _ = trained(trainee)
    with_test, found = trained(trainee, test=trainee.held_out)
    assert same(weights(without), weights(with_test))
    (curve,) = (curve for curve in found.curves if curve.name == "test/loss")
    assert curve.steps.tolist() == [10, 20, 30, 40, 45]  # ends of epochs and the end
    assert {mode for _, _, mode in with_test.calls} == {True, False}


def test_test_terms_every_so_many_steps(trainee: ModuleType) -> None:
    _, found = trained(trainee, settings=TrainSettings(batch_size=10, steps=20, test_every=8), test=trainee.held_out)
    (curve,) = (curve for curve in found.curves if curve.name == "test/loss")
    assert curve.steps.tolist() == [8, 16, 20]


def test_time_for_test_terms_is_no_training_time(trainee: ModuleType) -> None:
    def slow() -> list[Batch]:
        time.sleep(0.5)
        return trainee.held_out()

    began = time.perf_counter()
    _, found = trained(trainee, settings=TrainSettings(batch_size=10, steps=10, test_every=5), test=slow)
    wall = time.perf_counter() - began
    assert wall > 1.0
    assert found.seconds < wall - 1.0
    assert found.pairs_per_s == pytest.approx(100 / found.seconds)


def test_stages_follow_one_another(trainee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (Stage("encoders", 0.5, ("encoders",)), Stage("all", 0.5))
    monkeypatch.setattr(trainee.Tiny, "stages", stages)

    class Watch(Callback):
        def __init__(self, model: nn.Module) -> None:
            self.model = model
            self.decoder: list[torch.Tensor] = []

        def stepped(self, step: int, rows: int) -> None:
            self.decoder.append(self.model.decoders["a"].weight.detach().clone())

    model = trainee.model()
    watch = Watch(model)
    fit(model, trainee.loader(), TrainSettings(batch_size=10, steps=20), seed=0, callbacks=[watch])
    assert same(watch.decoder[:1] * 10, watch.decoder[:10])
    assert not torch.equal(watch.decoder[9], watch.decoder[10])
    progresses = [(progress, stage) for progress, stage, _ in model.calls]
    assert progresses[0] == (0.0, "encoders")
    assert (0.9, "encoders") in progresses
    assert (0.0, "all") in progresses
    assert {stage for _, stage in progresses} == {"encoders", "all"}
    assert all(p.requires_grad for name, p in model.named_parameters() if name != "fixed")
    assert not model.training


def test_divergence_names_step_and_term_and_leaves_the_weights_of_the_step_before(
    trainee: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, _ = trained(trainee, settings=TrainSettings(batch_size=10, steps=7))
    objective = trainee.Tiny.objective

    def poisoned(self: Any, values: Any, **given: Any) -> Objective:
        found = objective(self, values, **given)
        if len([1 for progress, _, _ in self.calls if progress == given["progress"]]) and given["progress"] == 0.35:
            return Objective(found.loss * math.nan, {**found.terms, "kl": torch.tensor(math.inf)})
        return found

    monkeypatch.setattr(trainee.Tiny, "objective", poisoned)
    model = trainee.model()
    with pytest.raises(Diverged, match="training diverged at step 8: kl is inf"):
        fit(model, trainee.loader(), TrainSettings(batch_size=10, steps=20), seed=0)
    assert same([p.detach() for p in reference.parameters()], [p.detach() for p in model.parameters()])


def test_a_bad_gradient_of_the_last_step_is_found(trainee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    class Infinite(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
            return grads[0] * math.nan

    objective = trainee.Tiny.objective

    def poisoned(self: Any, values: Any, **given: Any) -> Objective:
        found = objective(self, values, **given)
        return Objective(Infinite.apply(found.loss), found.terms)

    monkeypatch.setattr(trainee.Tiny, "objective", poisoned)
    with pytest.raises(Diverged, match=r"training diverged at step 1: parameter .* is nan"):
        trained(trainee, settings=TrainSettings(batch_size=10, steps=1))
