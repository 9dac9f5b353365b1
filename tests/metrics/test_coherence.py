from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from mmbench.metrics import Classifiers, View
from mmbench.metrics.coherence import accuracy_by_class, agreeing, commonest, directions, macro, share
from mmbench.modality import ModalitySpec
from mmbench.models import Coder
from mmbench.seeding import RowNoise, stream


def test_share_and_its_error():
    assert share(np.array([True, True, True, False])) == pytest.approx((0.75, np.sqrt(0.75 * 0.25 / 4)))


def test_macro_weighs_classes_equally_and_leaves_empty_ones_out():
    labels, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    by_class = accuracy_by_class(labels, predicted, 3)
    assert {c: (p, n) for c, (p, _, n) in by_class.items()} == {0: (0.75, 4), 1: (0.5, 2)}
    assert macro(by_class)[0] == pytest.approx(0.625)


@pytest.mark.parametrize(("modalities", "count"), [(1, 0), (2, 2), (3, 9), (4, 28), (5, 75)])
def test_directions_are_all_sets_of_others_to_all_targets(modalities, count):
    names = "abcde"[:modalities]
    found = directions(names)
    assert len(found) == len(set(found)) == count == modalities * (2 ** (modalities - 1) - 1)
    assert all(target not in given and list(given) == sorted(given) for given, target in found)
    assert [len(given) for given, _ in found] == sorted(len(given) for given, _ in found)


def test_what_is_not_recognised_agrees_with_nothing():
    answers = np.array([[0, 1, -1, 2, -1], [0, 2, -1, 2, 1]])
    assert agreeing(answers).tolist() == [True, False, False, True, False]
    assert commonest(answers) == 3 / 10
    assert commonest(np.full((2, 4), -1)) == 0


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


# Several modalities and exact readers ---------------------------------------------------------------------------------
class Largest:
    """Reads which of the first four values is the largest, if it is at all large."""

    attributes: ClassVar = {"place": ("first", "second", "third", "fourth")}

    def read(self, x):
        return np.where(x[:, :4].max(1) > 0.1, x[:, :4].argmax(1), -1)[:, None].astype(np.int64)


@pytest.fixture
def several(toy, data):
    """Makes a toy model over some modalities that all hold the same values, and the data that go with it."""

    def make(names, **options):
        modalities = tuple(ModalitySpec(name, "vector", (6,)) for name in names)
        two = toy(**options)
        coders = {n: Coder(two.encoders["a"], two.decoders["a"]) for n in names}
        model = type(two)(modalities, two.settings, two.arch, coders)
        x = data.splits["test"].arrays["a"]
        place = Largest().read(x)[:, 0]
        split = SimpleNamespace(
            arrays=dict.fromkeys(names, x[place >= 0]), targets=dict.fromkeys(names, place[place >= 0])
        )
        return model, type(data)(modalities, {"train": split, "test": split})

    return make


def judged(score, model, held, metrics, read):
    """Evaluates with readers for the modalities `read`, and classifiers for the others."""

    def reader(name):
        return Largest() if name in read else None

    return score(
        model,
        metrics,
        train=held.rows("train", 64),
        test=held.rows("test", 64),
        modalities=held.modalities,
        classifiers=Classifiers(held.modalities, 4, **held.splits, cache=None, reader=reader),
    )


@pytest.mark.parametrize("names", ["ab", "abc", "abcde"])
def test_every_direction_is_scored_and_exact_where_all_is_read(several, score, names):
    model, held = several(names)
    found = judged(score, model, held, {"cross_coherence": {}}, read=names).scores
    micro = {(s.given, s.target): s for s in found if s.estimator == "micro"}
    assert list(micro) == [("+".join(given), target) for given, target in directions(names)]
    assert all(s.value == 1 and s.params == {"classifier": "exact"} for s in micro.values())


def test_the_predicted_label_is_that_of_one_input(several, score):
    model, held = several("abc")
    found = judged(score, model, held, {"cross_coherence": {"label": "predicted"}}, read="abc").scores
    micro = [(s.given, s.target) for s in found if s.estimator == "micro-predicted"]
    assert micro == [(a, b) for a in "abc" for b in "abc" if a != b]


def test_joint_coherence_names_all_kinds_of_judges_and_counts_nothing_that_is_not_read(several, score):
    model, held = several("abc")
    for read, name in (("abc", "exact"), ("a", "exact+standard")):
        (only,) = judged(score, model, held, {"joint_coherence": {"samples": 400}}, read=read).scores
        assert only.params["classifier"] == name
    (only,) = judged(score, model, held, {"joint_coherence": {"samples": 400}}, read="abc").scores
    noise = RowNoise(stream(0, "evaluation", "joint_coherence"), range(400), dtype=torch.float64)
    z = model.prior().sample(1, 400, noise)[0, :, :4].numpy()
    assert only.value == pytest.approx((z.max(1) > 0.1).mean())
    assert 0.8 < only.value < 1
    model.decoders["a"].weight.data.zero_()  # the decoder of all three: nothing is shown
    (only,) = judged(score, model, held, {"joint_coherence": {"samples": 50}}, read="abc").scores
    assert (only.value, only.details["commonest"]) == (0, 0)


def test_a_view_holds_generations_from_single_modalities_alone(several):
    model, held = several("abc", scale=0.5)
    (rows, *_) = held.rows("test", 64)()
    view = View(model, rows.values, rows.targets, rows.rows, seed=0)
    assert view.reconstruction(("a",), "b") is view.reconstruction(("a",), "b")
    first, again = view.reconstruction(("a", "c"), "b"), view.reconstruction(("a", "c"), "b")
    assert first is not again
    assert torch.equal(first, again)
    assert view.sample(("a", "c")) is view.sample(("a", "c"))
