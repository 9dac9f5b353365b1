import math
from dataclasses import dataclass, field

import pytest
import torch

from mmbench.config import setting
from mmbench.errors import InvalidSetting, UnknownName
from mmbench.metrics import METRICS, Metric, Outcome, Skipped

ALL = {
    "classifier_accuracy": {},
    "cross_coherence": {},
    "joint_coherence": {"samples": 300},
    "latent_accuracy": {"steps": 50},
    "log_likelihood": {"k": 5, "rows": 100},
    "relatedness": {},
    "samples": {},
}


@dataclass(frozen=True)
class NoSettings:
    stage: str = setting("none", help="Where to give up.")
    value: float = setting(1.0, help="What to find.")


@dataclass
class Fickle(Metric):
    """Gives up at a chosen stage, or finds a chosen value."""

    settings: NoSettings
    seen: list = field(default_factory=list)
    name = "fickle"
    description = "-"
    Settings = NoSettings

    def prepare(self, context):
        self._at("prepare")

    def update(self, view):
        self._at("update")

    def compute(self):
        self._at("compute")
        value = {1.0: 1.0, 2.0: math.nan}[self.settings.value]
        return Outcome((self.score(value, "x", stderr=math.inf),))

    def _at(self, stage):
        if stage == self.settings.stage:
            raise Skipped(f"not at {stage}.")


@pytest.fixture
def fickle(monkeypatch):
    list(METRICS)
    monkeypatch.setitem(METRICS._components, "fickle", Fickle)


def table(evaluation):
    return [(s.metric, s.given, s.target, s.estimator, dict(s.params).get("class"), s.value) for s in evaluation.scores]


def test_every_builtin_metric_is_registered_with_help_on_its_settings():
    from dataclasses import fields

    assert set(METRICS.builtin()) >= set(ALL)
    for name in ALL:
        metric = METRICS[name]
        assert metric.name == name
        assert metric.description.endswith(".")
        assert all(f.metadata["help"] for f in fields(metric.Settings))
        assert metric.Settings.__dataclass_params__.frozen


def test_all_metrics_find_something_on_a_sound_model(toy, score):
    found = score(toy(scale=0.3), ALL)
    assert {s.metric for s in found.scores} | {a.metric for a in found.arrays} == set(ALL)
    assert not [s for s in found.scores if s.status != "ok"]
    assert all(s.n > 0 for s in found.scores)


def test_values_do_not_depend_on_the_batch_size(toy, score):
    few, many = (score(toy(scale=0.3), ALL, batch=b) for b in (7, 64))
    for a, b in zip(table(few), table(many), strict=True):
        assert a[:-1] == b[:-1]
        assert a[-1] == pytest.approx(b[-1], abs=1e-9)
    for a, b in zip(few.arrays, many.arrays, strict=True):
        assert (a.metric, a.name) == (b.metric, b.name)
        assert a.value == pytest.approx(b.value, abs=1e-6)


def test_values_do_not_depend_on_which_other_metrics_run(toy, score):
    together = score(toy(scale=0.3), ALL)
    for name, settings in ALL.items():
        alone = score(toy(scale=0.3), {name: settings})
        assert table(alone) == [row for row in table(together) if row[0] == name]


def test_the_same_seed_gives_the_same_scores_and_another_seed_others(toy, score):
    first, again, other = (table(score(toy(scale=0.8), ALL, seed=s)) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_the_model_gets_its_modes_back_and_no_gradients(toy, score):
    model = toy()
    model.train()
    model.encoders["a"].dropout.eval()
    before = {name: module.training for name, module in model.named_modules()}
    score(model, ALL)
    assert {name: module.training for name, module in model.named_modules()} == before
    assert all(p.grad is None for p in model.parameters())
    assert torch.is_grad_enabled()


def test_the_modes_come_back_after_a_failure(toy, score):
    def broken():
        raise RuntimeError("torn data")

    model = toy()
    with pytest.raises(RuntimeError, match="torn data"):
        score(model, {"relatedness": {}}, test=broken)
    assert model.training
    assert torch.is_grad_enabled()


def test_the_global_generator_is_left_alone(toy, score):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    score(toy(), ALL)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("stage", ["prepare", "update", "compute"])
def test_a_metric_that_does_not_apply_stops_nothing_else(fickle, toy, score, stage):
    found = score(toy(), {"fickle": {"stage": stage}, "classifier_accuracy": {}})
    skipped = [s for s in found.scores if s.metric == "fickle"]
    assert [(s.value, s.status, s.note, s.version) for s in skipped] == [(None, "skipped", f"not at {stage}.", 1)]
    assert len([s for s in found.scores if s.metric == "classifier_accuracy"]) == 3


def test_a_value_that_is_no_number_is_recorded_as_skipped(fickle, toy, score):
    (found,) = score(toy(), {"fickle": {"value": 2.0}}).scores
    assert (found.value, found.stderr, found.status, found.note) == (
        None,
        None,
        "skipped",
        "the value came out as nan.",
    )
    (found,) = score(toy(), {"fickle": {"value": 1.0}}).scores
    assert (found.value, found.stderr, found.status) == (1.0, None, "ok")


def test_unknown_metrics_and_settings_are_named(toy, score):
    with pytest.raises(UnknownName, match="unknown metric 'cross_coherense'; did you mean 'cross_coherence'"):
        score(toy(), {"cross_coherense": {}})
    with pytest.raises(UnknownName, match=r"unknown setting of 'metrics.relatedness' 'binz'; did you mean 'bins'"):
        score(toy(), {"relatedness": {"binz": 3}})
    with pytest.raises(InvalidSetting, match=r"metrics.log_likelihood.k must lie in \[1, ...\], got 0"):
        score(toy(), {"log_likelihood": {"k": 0}})


def test_an_empty_test_split_is_a_reason_for_every_metric_on_rows(toy, score):
    found = score(toy(), {n: s for n, s in ALL.items() if n != "joint_coherence"}, test=list)
    assert found.arrays == ()
    assert {s.note for s in found.scores} == {"the test split has no complete rows."}


def test_diverged_encodings_are_a_reason(toy, score):
    found = score(toy(gain=math.nan), ALL)
    notes = {s.note for s in found.scores if s.metric == "relatedness"}
    assert notes == {"the encodings given a are not all finite."}
