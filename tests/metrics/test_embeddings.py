"""Embeddings: planes that do not change, neighbours by hand, and what is said where there is nothing to show."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mmbench.metrics import Skipped
from mmbench.metrics.embeddings import nearest, plane


def blobs(count, dim, centres=3, seed=0):
    random = np.random.default_rng(seed)
    middle = random.normal(size=(centres, dim)) * 20
    classes = np.arange(count) % centres
    return middle[classes] + random.normal(size=(count, dim)), classes


def arrays(evaluation):
    return {a.name: a for a in evaluation.arrays}


def scores(evaluation):
    return {(s.given, s.target): s for s in evaluation.scores}


def test_nearest_neighbours_by_hand():
    points, others = np.array([[0.0, 0.0], [5.0, 1.0]]), np.array([[4.0, 4.0], [0.0, 1.0], [6.0, 0.0]])
    assert nearest(points, others).tolist() == [1, 2]


def test_a_plane_keeps_clusters_together_and_its_bits_on_any_number_of_threads():
    points, classes = blobs(60, 5)
    with threadpool_limits(limits=1):
        alone = plane(points, 10.0)
    with threadpool_limits(limits=2):
        together = plane(points, 10.0)
    assert alone.dtype == np.float32
    assert alone.shape == (60, 2)
    np.testing.assert_array_equal(alone, together)
    distances = np.linalg.norm(alone[:, None] - alone[None], axis=-1) + np.diag(np.full(60, np.inf))
    assert (classes[distances.argmin(1)] == classes).all()


def test_a_latent_of_one_dimension_has_a_plane_too():
    points, _ = blobs(30, 1)
    found = plane(points, 5.0)
    assert np.isfinite(found).all()
    assert (found.std(0) > 0).all()


@pytest.mark.parametrize(
    "points, reason",
    [
        (np.zeros((3, 2)), "needs 4 points"),
        (np.full((10, 2), np.nan), "not all finite"),
        (np.ones((10, 2)), "the same point"),
    ],
)
def test_what_has_no_plane_says_so(points, reason):
    with pytest.raises(Skipped, match=reason):
        plane(points, 2.0)


def test_the_same_encoding_of_both_modalities_has_its_own_row_as_neighbour(toy, score):
    found = score(toy(), {"embeddings": {"rows": 100}})  # both modalities hold the same values and encode to them
    assert {key: s.value for key, s in scores(found).items()} == {("a", "b"): 1.0, ("b", "a"): 1.0}
    assert {s.estimator for s in found.scores} == {"nearest-other"}
    assert {s.n for s in found.scores} == {100}


def test_where_neighbours_are_arbitrary_the_share_falls_to_chance(toy, score, data):
    found = score(toy(scale=1e4), {"embeddings": {"rows": 300}})  # samples are noise: no class is left in them
    targets = data.splits["test"].targets["a"]
    chance = ((np.bincount(targets) / 300) ** 2).sum()
    for s in found.scores:
        assert s.details["chance"] == pytest.approx(chance)
        assert abs(s.value - chance) < 4 * s.stderr
        assert s.value < 0.6


def test_planes_are_of_the_first_rows_whatever_the_batch(toy, score, data):
    few, many = (arrays(score(toy(scale=0.3), {"embeddings": {"rows": 50}}, batch=b)) for b in (7, 300))
    assert set(few) == {"tsne/a", "tsne/b"}
    for name, array in few.items():
        assert (array.value.shape, array.value.dtype) == ((50, 2), np.float32)
        np.testing.assert_allclose(array.value, many[name].value, atol=1e-3)
        assert array.meta["classes"] == data.splits["test"].targets["a"][:50].tolist()
        assert array.meta["perplexity"] == 30.0
        assert (array.meta["given"], array.meta["rows"], array.meta["method"]) == (name[-1], 50, "t-SNE")
    (fewer, _) = arrays(score(toy(), {"embeddings": {"rows": 6}})).values()
    assert fewer.meta["perplexity"] == 4.0  # a third of the twelve points


def test_without_classes_there_are_planes_and_a_reason(toy, score):
    found = score(toy(scale=0.3), {"embeddings": {"rows": 20}}, targets=False)
    assert {s.note for s in found.scores} == {"the rows of this dataset have no classes."}
    assert set(arrays(found)) == {"tsne/a", "tsne/b"}
    assert "classes" not in arrays(found)["tsne/a"].meta
