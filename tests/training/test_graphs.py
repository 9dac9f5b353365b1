"""Recorded steps: on the CPU a stand-in does the work again on the same buffers, and the bits must be the same."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mmbench.models.base import Stage
from mmbench.seeding import StepNoise
from mmbench.training.checkpoint import Checkpoints
from mmbench.training.graphs import BufferedNoise, Capture
from mmbench.training.loop import fit
from mmbench.training.settings import TrainSettings


class Again(Capture):
    """Does the work again on each replay, as a graph would; counts what was recorded and replayed."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def warm(self, work: Callable[[], None]) -> None:
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            work()

        return replay


class Refuses(Again):
    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing")


class Loader:
    """Complete rows alone: 3 steps of 30 and a short one of 10 an epoch."""

    def __new__(cls, trainee: Any, rows: int = 100) -> Any:
        import numpy as np

        from mmbench.datasets.base import Pattern
        from mmbench.datasets.loader import Loader as Real

        index = np.arange(rows)
        return Real(trainee.arrays(), (Pattern(("a", "b"), np.stack([index, index], 1)),), batch_size=30, seed=0)


def quiet(trainee: Any) -> Any:
    """The tiny model without dropout, whose objective says that it does not follow progress."""
    model = trainee.model()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def train(trainee: Any, capture: Capture | None, model: Any = None, **given: Any) -> Any:
    model = model or quiet(trainee)
    settings = given.pop("settings", TrainSettings(batch_size=30, steps=20, log_every=1, clip=5.0))
    trained = fit(model, Loader(trainee), settings, seed=0, capture=capture, **given)
    return model, trained


def assert_same(one: Any, other: Any) -> None:
    for (name, a), (_, b) in zip(one[0].state_dict().items(), other[0].state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    for x, y in zip(one[1].curves, other[1].curves, strict=True):
        assert (x.name, x.values.tolist()) == (y.name, y.values.tolist())


def test_training_ends_with_the_same_bits_and_curves_and_the_short_batch_has_its_own_recording(trainee):
    capture = Again()
    assert_same(train(trainee, capture), train(trainee, None))
    assert capture.recorded == 2
    assert capture.replayed == 20 - 2 * 3, "each signature is taken three times before it is replayed"


def test_stages_are_recorded_anew(trainee):
    def staged() -> Any:
        model = quiet(trainee)
        model.stages = (Stage("first", 0.5, ("encoders",)), Stage("second", 0.5, ("decoders",)))
        return model

    capture, settings = Again(), TrainSettings(batch_size=30, steps=40, log_every=1)
    assert_same(train(trainee, capture, staged(), settings=settings), train(trainee, None, staged(), settings=settings))
    assert capture.recorded == 4


def test_a_resumed_training_ends_with_the_same_bits(trainee, tmp_path):
    whole = train(trainee, None)
    checkpoints = Checkpoints(tmp_path, trainee.OWNER)

    class Stop(Exception):
        pass

    from mmbench.training.callbacks import Callback

    class After(Callback):
        def stepped(self, step: int, rows: int) -> None:
            if step == 13:
                raise Stop

    with pytest.raises(Stop):
        train(trainee, Again(), checkpoints=checkpoints, checkpoint_seconds=0.0, callbacks=[After()])
    assert_same(train(trainee, Again(), checkpoints=checkpoints), whole)


def test_dropout_is_never_recorded(trainee):
    capture = Again()
    assert_same(train(trainee, capture, trainee.model()), train(trainee, None, trainee.model()))
    assert capture.recorded == 0


def test_an_objective_that_follows_progress_is_never_recorded(monkeypatch, trainee):
    model, capture = quiet(trainee), Again()
    monkeypatch.setattr(type(model), "follows_progress", True)
    train(trainee, capture, model)
    assert capture.recorded == 0


def test_what_cannot_be_recorded_is_taken_as_it_is_and_said(trainee, caplog):
    assert_same(train(trainee, Refuses()), train(trainee, None))
    assert caplog.messages == [
        "steps are not recorded but taken as they are: operation not permitted when stream is capturing"
    ]


def test_patterns_whose_counts_vary_are_taken_as_they_are(trainee):
    """The mixed schedule of the trainee: other numbers of rows of each pattern in nearly every step."""
    ends = []
    for capture in (Again(), None):
        model = quiet(trainee)
        fit(model, trainee.loader(), trainee.SETTINGS, seed=0, capture=capture)
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*ends)


def test_buffered_noise_is_the_same_noise_in_the_same_tensors():
    noise = BufferedNoise(StepNoise(1))
    first = noise.child("a").normal("z", (2, 3))
    uniform = noise.child("a").uniform("u", (1, 3))
    noise.close()
    noise.refill(StepNoise(2))
    assert torch.equal(first, StepNoise(2).child("a").normal("z", (2, 3)))
    assert noise.child("a").normal("z", (2, 3)) is first
    assert torch.equal(noise.child("a").uniform("u", (1, 3)), StepNoise(2).child("a").uniform("u", (1, 3)))
    assert not torch.equal(uniform, noise.child("a").uniform("u", (1, 3)))
    with pytest.raises(Exception, match="not asked for before"):
        noise.normal("new", (1, 2))
