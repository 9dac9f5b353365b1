import numpy as np
import pytest
import torch

from mmbench.metrics.latent import linear_probe, logistic_answers

FAST = {"latent_accuracy": {"steps": 300, "batch_size": 128, "learning_rate": 0.02}}


def probe_accuracy(samples, targets, seed=0):
    with torch.no_grad():
        layer = linear_probe(samples, targets, classes=4, steps=300, batch_size=64, learning_rate=0.02, seed=seed)
        return float((layer(samples[0].float()).argmax(-1).numpy() == targets).mean())


def test_separable_latents_are_read_and_noise_is_not():
    targets = np.random.default_rng(0).integers(0, 4, 400)
    source = torch.Generator().manual_seed(0)
    noise = torch.randn(5, 400, 4, generator=source)
    separable = torch.eye(4)[torch.from_numpy(targets)] * 4 + 0.3 * noise
    assert probe_accuracy(separable, targets) > 0.99
    fresh = torch.randn(5, 4000, 4, generator=source)
    many = np.random.default_rng(1).integers(0, 4, 4000)
    assert abs(probe_accuracy(fresh, many) - 0.25) < 0.04


def test_every_visit_of_a_row_has_a_sample_of_its_own():
    """Only the second visit's samples hold the class: a probe that looked at the first alone would stay at chance."""
    targets = np.random.default_rng(0).integers(0, 4, 400)
    samples = torch.zeros(2, 400, 4)
    samples[1] = torch.eye(4)[torch.from_numpy(targets)] * 4
    assert probe_accuracy(samples, targets) < 0.5
    assert probe_accuracy(samples.flip(0), targets) > 0.99


def test_the_probe_is_a_function_of_its_seed():
    targets, samples = np.arange(40) % 4, torch.randn(3, 40, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        options = {"classes": 4, "steps": 5, "batch_size": 16, "learning_rate": 0.1}
        first, again = (linear_probe(samples, targets, seed=1, **options).weight for _ in range(2))
        other = linear_probe(samples, targets, seed=2, **options).weight
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_logistic_regression_reads_separable_means():
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, 300)
    means = np.eye(3)[targets] * 5 + random.normal(size=(300, 3))
    assert (logistic_answers(means[:200], targets[:200], means[200:]) == targets[200:]).mean() > 0.95


def test_informed_encodings_are_read_and_collapsed_ones_are_at_chance(toy, score, value):
    informed, collapsed = score(toy(scale=0.1), FAST), score(toy(gain=0.0, scale=1.0), FAST)
    bound = value(informed, given="a", estimator="input")
    for estimator in ("linear-sample", "logistic-mean"):
        assert value(informed, given="a", estimator=estimator) > bound - 0.05
        assert value(collapsed, given="a", estimator=estimator) < 0.45, "the largest class has 0.4"


def test_the_protocol_stands_in_the_parameters(toy, score):
    found = [s for s in score(toy(), FAST).scores if s.given == "a"]
    by_estimator = {s.estimator: s.params for s in found}
    assert by_estimator["linear-sample"] == {"steps": 300, "batch_size": 128, "learning_rate": 0.02}
    assert by_estimator["logistic-mean"] == {"points": 500}
    assert by_estimator["input"] == {"classifier": "standard"}
    assert [s.estimator for s in found if "digest" in s.details] == ["input"]


def test_a_posterior_without_mean_skips_the_protocol_on_means_alone(toy, score):
    found = {s.estimator: s for s in score(toy(opaque=True), FAST).scores if s.given == "a"}
    assert found["logistic-mean"].note == "the posterior given a has no closed-form mean."
    assert found["linear-sample"].status == found["input"].status == "ok"


def test_without_classifiers_the_bound_alone_is_skipped(toy, score):
    found = {s.estimator: s.status for s in score(toy(), FAST, classifiers=None).scores if s.given == "a"}
    assert found == {"linear-sample": "ok", "logistic-mean": "ok", "input": "skipped"}


def test_without_classes_it_is_skipped(toy, score):
    (only,) = score(toy(), FAST, targets=False).scores
    assert only.note == "the rows of this dataset have no classes."


@pytest.mark.parametrize("points", [1])
def test_too_few_points_are_a_reason(toy, score, points):
    found = score(toy(), {"latent_accuracy": {"steps": 1, "points": points}})
    notes = {s.note for s in found.scores if s.estimator == "logistic-mean"}
    assert notes == {"a logistic regression needs training rows of two classes."}
