import numpy as np
import pytest
import torch

from mmbench.metrics.coherence import accuracy_by_class, macro, share
from mmbench.seeding import RowNoise, stream


def test_share_and_its_error():
    assert share(np.array([True, True, True, False])) == pytest.approx((0.75, np.sqrt(0.75 * 0.25 / 4)))


def test_macro_weighs_classes_equally_and_leaves_empty_ones_out():
    labels, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    by_class = accuracy_by_class(labels, predicted, 3)
    assert {c: (p, n) for c, (p, _, n) in by_class.items()} == {0: (0.75, 4), 1: (0.5, 2)}
    assert macro(by_class)[0] == pytest.approx(0.625)


def test_an_identity_generator_is_as_coherent_as_the_classifier_is_right(toy, score, value):
    """OBJECTIVES 2.17, item 20: nothing is lost in generation, so only the classifier errs."""
    found = score(toy(), {"cross_coherence": {}, "classifier_accuracy": {}})
    accuracy = value(found, metric="classifier_accuracy", target="b")
    assert 0.5 < accuracy < 1
    assert value(found, metric="cross_coherence", given="a", target="b", estimator="micro") == accuracy


def test_an_uninformed_generator_is_no_better_than_one_class(toy, score, value):
    found = score(toy(gain=0.0), {"cross_coherence": {}, "classifier_accuracy": {}})
    micro = value(found, given="a", target="b", estimator="micro")
    assert micro <= value(found, estimator="majority")
    assert value(found, given="a", target="b", estimator="macro") == pytest.approx(0.25)


def test_majority_is_the_largest_share(toy, score, value, data):
    found = score(toy(), {"classifier_accuracy": {}})
    largest = np.bincount(data.splits["test"].targets["a"]).max() / 300
    assert value(found, estimator="majority") == pytest.approx(largest)


def test_another_classifier_of_the_same_strength_judges_the_same_score(toy, score, classifiers):
    judged = [s for s in score(toy(), {"classifier_accuracy": {}}).scores if s.estimator == "classifier"]
    held = [classifiers.get(s.target) for s in judged]
    assert [s.params for s in judged] == [{"classifier": "standard"}] * 2
    assert [s.details for s in judged] == [{"digest": j.digest, "originals": j.accuracy} for j in held]


def test_classes_average_to_micro_by_their_rows_and_to_macro_equally(toy, score, value):
    found = score(toy(scale=0.5), {"cross_coherence": {}})
    classes = [s for s in found.scores if s.estimator == "class" and s.given == "a"]
    assert [s.params["class"] for s in classes] == [0, 1, 2, 3]
    assert sum(s.n for s in classes) == 300
    micro = sum(s.value * s.n for s in classes) / 300
    assert micro == pytest.approx(value(found, estimator="micro", given="a"))
    assert np.mean([s.value for s in classes]) == pytest.approx(value(found, estimator="macro", given="a"))


def test_predicted_labels_compare_with_the_answer_on_the_input(toy, score, value, classifiers, data):
    """Generated b equals the input a; where both classifiers agree, the prediction is matched."""
    found = score(toy(), {"cross_coherence": {"label": "predicted"}})
    x = torch.tensor(data.splits["test"].arrays["a"])
    agreement = (classifiers.get("a").predict(x) == classifiers.get("b").predict(x)).mean()
    assert value(found, given="a", target="b", estimator="micro-predicted") == pytest.approx(agreement)


def test_joint_coherence_is_the_agreement_on_the_same_prior_samples(toy, score, value, classifiers):
    found = score(toy(), {"joint_coherence": {"samples": 700}})
    noise = RowNoise(stream(0, "evaluation", "joint_coherence"), range(700), dtype=torch.float64)
    z = toy().prior().sample(1, 700, noise)[0]
    first, second = classifiers.get("a").predict(z), classifiers.get("b").predict(z)
    (only,) = found.scores
    assert only.value == pytest.approx((first == second).mean())
    assert only.details["commonest"] == pytest.approx(np.bincount(np.append(first, second)).max() / 1400)
    assert (only.n, only.given, only.target, only.params["prior"]) == (700, "", "", "standard")


def test_a_collapsed_generator_is_seen_by_its_commonest_answer(toy, score, classifiers):
    model = toy()
    for decoder in model.decoders.values():
        decoder.weight.data.zero_()
    answers = [classifiers.get(name).predict(torch.zeros(1, 6))[0] for name in "ab"]
    (only,) = score(model, {"joint_coherence": {"samples": 50}}).scores
    assert (only.value, only.details["commonest"]) == ((1, 1) if answers[0] == answers[1] else (0, 0.5))


@pytest.mark.parametrize("metric", ["cross_coherence", "joint_coherence", "classifier_accuracy"])
def test_without_classes_or_classifiers_it_is_skipped_with_its_reason(toy, score, metric):
    (only,) = score(toy(), {metric: {}}, targets=False).scores
    assert (only.value, only.status, only.note) == (None, "skipped", "the rows of this dataset have no classes.")
    (only,) = score(toy(), {metric: {}}, classifiers=None).scores
    assert only.note == "there are no classifiers for this dataset."
