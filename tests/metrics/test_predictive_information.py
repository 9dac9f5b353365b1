"""Predictive information: the formula by hand, a Gaussian process that knows what it has not seen, and no gpytorch."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmbench.metrics import Classifiers
from mmbench.metrics._variational_gp import fit_last_layer
from mmbench.metrics.predictive_information import mutual_information

SMALL = {"predictive_information": {"samples": 50, "inducing": 20, "steps": 60}}


def test_equal_predictions_share_nothing_with_the_judge():
    p = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).expand(7, 4, 3)
    assert mutual_information(p) == pytest.approx(np.zeros(4), abs=1e-15)


def test_two_judges_sure_of_two_classes_share_one_bit():
    p = torch.tensor([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]], dtype=torch.float64)
    assert mutual_information(p).item() == pytest.approx(math.log(2), abs=1e-15)
    sure_of_each = torch.eye(5, dtype=torch.float64).unsqueeze(1)
    assert mutual_information(sure_of_each).item() == pytest.approx(math.log(5), abs=1e-15)


def test_it_is_the_mean_divergence_from_the_mean_prediction():
    """MI = mean_s KL(p_s || mean p), another form of the same number; it lies between 0 and log C."""
    random = torch.Generator().manual_seed(0)
    p = (3 * torch.randn(40, 200, 6, generator=random, dtype=torch.float64)).softmax(-1)
    found = mutual_information(p)
    divergence = (p * (p / p.mean(0)).log()).sum(-1).mean(0)
    torch.testing.assert_close(found, divergence, rtol=1e-10, atol=1e-12)
    assert (found > 0).all()
    assert (found < math.log(6)).all()


def circles(rows, classes=3, seed=0):
    random = np.random.default_rng(seed)
    targets = np.arange(rows) % classes
    angle = targets * 2 * math.pi / classes
    x = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.1 * random.normal(size=(rows, 2))
    return torch.from_numpy(x), torch.from_numpy(targets)


def test_the_process_learns_the_classes_and_is_unsure_far_from_them():
    x, targets = circles(300)
    layer = fit_last_layer(x, targets, classes=3, inducing=15, steps=150, batch_size=100, seed=0)
    other, wanted = circles(90, seed=1)
    mean, stddev = layer.marginals(other)
    assert mean.shape == stddev.shape == (90, 3)
    assert mean.dtype == torch.float64
    assert (mean.argmax(-1) == wanted).double().mean() > 0.95
    _, far = layer.marginals(torch.tensor([[30.0, 30.0]]))
    prior = layer.functions.kernel.outputscale.sqrt().item()
    assert far.tolist()[0] == pytest.approx([prior] * 3, rel=1e-3)  # far away nothing is known: the prior is back
    assert stddev.mean() < 0.8 * prior


def test_the_fit_is_a_function_of_its_arguments_and_leaves_the_generator_alone():
    x, targets = circles(60)
    before = torch.get_rng_state()
    given = {"classes": 3, "inducing": 5, "steps": 10, "batch_size": 20}
    first, again, other = (fit_last_layer(x, targets, seed=seed, **given).marginals(x)[0] for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_generations_as_good_as_the_real_rows_have_their_value_and_noise_a_larger_one(toy, score, value):
    true, noisy = score(toy(), SMALL), score(toy(scale=3.0), SMALL)
    for found in (true, noisy):
        assert [(s.given, s.target) for s in found.scores] == [
            ("", "a"), ("", "b"), ("a", "a"), ("a", "b"), ("b", "a"), ("b", "b"),
        ]  # fmt: skip
        assert all(0 <= s.value <= math.log(4) for s in found.scores)
        assert all(s.n == 300 and s.stderr > 0 for s in found.scores)
        assert {s.estimator for s in found.scores if not s.given} == {"svgp-real"}
        assert {s.estimator for s in found.scores if s.given} == {"svgp"}
    real = value(true, given="", target="a")
    assert value(noisy, given="", target="a") == real  # the same judge, on the same rows
    assert value(true, given="a", target="a") == pytest.approx(real, rel=1e-3)
    assert value(true, given="b", target="a") == pytest.approx(real, rel=1e-3)
    assert value(noisy, given="a", target="a") > 1.2 * real
    (score_of,) = [s for s in true.scores if (s.given, s.target) == ("a", "a")]
    assert dict(score_of.params) == {"classifier": "standard", "samples": 50, "inducing": 20, "steps": 60}
    assert score_of.details["accuracy"] > 0.7


def test_the_judge_is_fitted_once_and_kept(toy, score, data, tmp_path, caplog):
    train, test = data.splits["train"], data.splits["test"]

    def judged():
        held = Classifiers(data.modalities, 4, train=train, test=test, cache=tmp_path)
        found = score(toy(scale=0.3), SMALL, classifiers=held).scores
        return found, {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("last-layer-*.pt")}

    first, again = judged(), judged()
    assert first == again
    assert len(first[1]) == 2
    next(tmp_path.glob("last-layer-a-*.pt")).write_bytes(b"garbage")
    assert judged()[0] == first[0]
    assert "cannot be read" in caplog.text


def test_features_and_the_last_layer_make_the_logits(classifiers, data):
    judge = classifiers.get("a")
    x = torch.tensor(data.splits["test"].arrays["a"])
    logits = judge.network[-1](judge.features(x))
    assert (logits.argmax(-1).numpy() == judge.predict(x)).all()
    images, targets = judge.training()
    assert (images.numpy() == data.splits["train"].arrays["a"]).all()
    assert (targets.numpy() == data.splits["train"].targets["a"]).all()


def test_values_do_not_depend_on_the_batch(toy, score):
    few, many = (score(toy(scale=0.3), SMALL, batch=b) for b in (7, 300))
    for a, b in zip(few.scores, many.scores, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-5)


def test_without_gpytorch_it_is_skipped_with_the_remedy(toy, score, monkeypatch):
    monkeypatch.delitem(sys.modules, "mmbench.metrics._variational_gp", raising=False)
    monkeypatch.setitem(sys.modules, "gpytorch", None)
    (found,) = score(toy(), SMALL).scores
    assert found.status == "skipped"
    assert found.note == "the Gaussian process needs gpytorch, which is not installed; pip install 'mmbench[gp]'."


def test_it_is_not_computed_unless_asked_for():
    from mmbench.metrics.base import METRICS

    assert not METRICS["predictive_information"].default


def test_a_modality_that_is_read_by_rule_has_no_layer_and_says_so(toy, score, data):
    def reader(name):
        attributes = {"class": ("0", "1", "2", "3")}
        answer = SimpleNamespace(attributes=attributes, read=lambda x: np.zeros((len(x), 1), np.int64))
        return answer if name == "b" else None

    held = Classifiers(data.modalities, 4, **data.splits, cache=None, reader=reader)
    found = score(toy(scale=0.3), SMALL, classifiers=held).scores
    assert [(s.given, s.target, s.estimator) for s in found if s.status == "ok"] == [
        ("", "a", "svgp-real"),
        ("a", "a", "svgp"),
        ("b", "a", "svgp"),
    ]
    (skipped,) = [s for s in found if s.status == "skipped"]
    assert skipped.target == "b"
    assert skipped.note == "the modality is read by rule: no classifier's last layer can be replaced."
