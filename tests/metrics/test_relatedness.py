import numpy as np
import pytest

from mmbench.metrics.relatedness import pairwise_w2


def only(evaluation, name):
    (found,) = [a for a in evaluation.arrays if a.name == name]
    return found


def test_scores_equal_those_of_all_pairs_taken_one_by_one(toy, score, value, data):
    found = score(toy(scale=0.5), {"relatedness": {"minibatch": 50}})
    x, c = data.splits["test"].arrays["a"].astype(float), data.splits["test"].targets["a"]
    same, different = [], []
    for at in range(0, len(x), 50):
        for i in range(at, at + 50):
            for j in range(at, at + 50):
                (same if c[i] == c[j] else different).append(np.linalg.norm(x[i] - x[j]))
    assert value(found, estimator="w2-same") == pytest.approx(np.mean(same))
    assert value(found, estimator="w2-different") == pytest.approx(np.mean(different))
    counts = only(found, "histogram/a|b")
    assert counts.value.sum(1) == pytest.approx([1, 1])
    assert counts.value[0] @ np.convolve(counts.meta["edges"], [0.5, 0.5], "valid") == pytest.approx(
        np.mean(same), rel=0.05
    )


def test_auroc_tells_related_from_unrelated_encodings(toy, score, value):
    related = value(score(toy(), {"relatedness": {}}), estimator="auroc")
    collapsed = value(score(toy(gain=0.0), {"relatedness": {}}), estimator="auroc")
    assert related > 0.7
    assert collapsed == pytest.approx(0.5)


def test_laplace_posteriors_use_their_standard_deviation(toy, score, data):
    found = only(score(toy(family="laplace", scale=0.5), {"relatedness": {"per_class": 5}}), "class_distance/a|b")
    x, c = data.splits["test"].arrays["a"].astype(float), data.splits["test"].targets["a"]
    first, second = x[c == 0][:5], x[c == 1][:5]
    spread = np.full_like(first, np.sqrt(2) * 0.5)
    assert found.value[0, 1] == pytest.approx(pairwise_w2(first, spread, second, spread).mean())
    assert found.meta["per_class"] == 5


def test_class_matrix_and_linkage_have_their_shapes_and_options(toy, score):
    found = score(toy(scale=0.5), {"relatedness": {"distance": "kl", "linkage": "single"}})
    assert only(found, "class_distance/a|b").value.shape == (4, 4)
    assert only(found, "class_distance/a|b").meta["distance"] == "kl"
    assert only(found, "linkage/a|b").value.shape == (3, 4)
    assert only(found, "linkage/a|b").meta["method"] == "single"


def test_kl_of_laplace_posteriors_is_skipped_with_its_reason(toy, score):
    found = score(toy(family="laplace"), {"relatedness": {"distance": "kl"}})
    (skipped,) = [s for s in found.scores if s.status == "skipped"]
    assert skipped.note == "symmetric KL is for Gaussians."
    assert not [a for a in found.arrays if a.name.startswith("class_distance")]


def test_a_posterior_without_closed_form_is_skipped_with_its_reason(toy, score):
    (only_score,) = score(toy(opaque=True), {"relatedness": {}}).scores
    assert only_score.status == "skipped"
    assert "closed form for diagonal posteriors only; given a it is Opaque" in only_score.note


def test_without_classes_the_same_row_is_the_same_concept(toy, score, value):
    found = score(toy(), {"relatedness": {}}, targets=False)
    assert value(found, estimator="w2-same") == pytest.approx(0)
    assert value(found, estimator="auroc") == pytest.approx(1)
    assert [a.name for a in found.arrays] == ["histogram/a|b"]
