"""Canonical correlations: scikit-learn's, closed forms, hand-made numbers, and what happens against noise."""

import numpy as np
import pytest
from scipy.linalg import eig
from sklearn.cross_decomposition import CCA

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.metrics.cca import Moments, canonical_directions, eigenpairs, moments, principal_axes
from mmbench.metrics.cca_protocols import FOLDS, RIDGES, _folds, choose_ridge, fit

NO_RIDGE = (0.0, 0.0)


def related(rows, dx=6, dy=4, shared=3, noise=1.0, seed=0):
    """Views that share a few factors with strengths of their own, mixed by fixed matrices."""
    mixing = np.random.default_rng(100)
    a, b = mixing.normal(size=(shared, dx)), mixing.normal(size=(shared, dy))
    random = np.random.default_rng(seed)
    z = random.normal(size=(rows, shared)) * np.array([2.0, 1.0, 0.5])[:shared]
    return z @ a + noise * random.normal(size=(rows, dx)), z @ b + noise * random.normal(size=(rows, dy))


def noise(rows, dx, dy, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, dx)), random.normal(size=(rows, dy))


def batches(x, y, size=50):
    return lambda: ((x[at : at + size], y[at : at + size]) for at in range(0, len(x), size))


def test_moments_of_batches_are_numpys_of_all_rows():
    x, y = related(237)
    x += 1e4  # where sums of squares would have lost seven digits
    m = moments(batches(x, y, 31)())
    both = np.concatenate([x, y], 1)
    np.testing.assert_allclose(m.mean, both.mean(0), rtol=1e-12)
    np.testing.assert_allclose(m.covariance, np.cov(both.T), rtol=1e-9, atol=1e-9)
    assert (m.count, m.width) == (237, 6)


def test_moments_of_one_pair_are_refused():
    with pytest.raises(InvalidSetting, match="two pairs or more, got 1"):
        moments([(np.zeros((1, 2)), np.zeros((1, 2)))])


def test_canonical_correlations_are_scikit_learns():
    x, y = related(500)
    found = canonical_directions(moments([(x, y)]), 4, ridge=NO_RIDGE)
    theirs = CCA(n_components=4, scale=False, max_iter=20000, tol=1e-14).fit(x, y)
    u, v = theirs.transform(x, y)
    np.testing.assert_allclose(found.correlations, [np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(4)], atol=1e-6)
    for ours, other in ((found.project_x(x), u), (found.project_y(y), v)):
        alike = np.abs([np.corrcoef(ours[:, i], other[:, i])[0, 1] for i in range(4)])
        np.testing.assert_allclose(alike, 1, atol=1e-4)


def test_eigenvalues_come_in_pairs_and_the_rest_are_zero():
    values, vectors = eigenpairs(moments([related(300)]), ridge=NO_RIDGE)
    assert values.shape == (10,)
    np.testing.assert_allclose(values, -values[::-1], atol=1e-10)
    np.testing.assert_allclose(values[4:6], 0, atol=1e-10)  # 6 + 4 values: four pairs
    assert (values[:3] > 0.1).all()
    mirrored = np.concatenate([vectors[:6, 0], -vectors[6:, 0]])  # of the smallest eigenvalue, up to sign
    np.testing.assert_allclose(np.abs(vectors[:, -1] / mirrored), 1, atol=1e-7)


def test_projections_have_unit_variance_and_correlate_with_their_partner_alone():
    x, y = related(400)
    found = canonical_directions(moments([(x, y)]), 4, ridge=NO_RIDGE)
    u, v = found.project_x(x), found.project_y(y)
    np.testing.assert_allclose(np.cov(u.T), np.eye(4), atol=1e-10)
    np.testing.assert_allclose(np.cov(v.T), np.eye(4), atol=1e-10)
    np.testing.assert_allclose(np.cov(u.T, v.T)[:4, 4:], np.diag(found.correlations), atol=1e-10)
    np.testing.assert_allclose(u.mean(0), 0, atol=1e-12)


def test_a_ridge_is_counted_in_the_unit_variance():
    x, y = related(400)
    m = moments([(x, y)])
    found = canonical_directions(m, 2, ridge=(0.5, 0.25))
    for weight, covariance, ridge in (
        (found.weight_x, m.covariance[:6, :6], 0.5),
        (found.weight_y, m.covariance[6:, 6:], 0.25),
    ):
        np.testing.assert_allclose(
            weight.T @ (covariance + ridge * np.eye(len(covariance))) @ weight, np.eye(2), atol=1e-10
        )
    assert found.correlations[0] < canonical_directions(m, 2, ridge=NO_RIDGE).correlations[0]


def test_invertible_maps_of_a_view_change_nothing():
    x, y = related(300)
    random = np.random.default_rng(5)
    moved = x @ random.normal(size=(6, 6)) + 7.0
    plain = canonical_directions(moments([(x, y)]), 4, ridge=NO_RIDGE)
    mapped = canonical_directions(moments([(moved, y)]), 4, ridge=NO_RIDGE)
    np.testing.assert_allclose(mapped.correlations, plain.correlations, atol=1e-9)
    np.testing.assert_allclose(mapped.cosines(moved, y), plain.cosines(x, y), atol=1e-8)


def test_gaussian_views_have_the_correlation_that_was_put_in():
    """x_i and y_i standard normal with correlations (0.9, 0.5, 0): the canonical correlations of the covariance."""
    rho = np.diag([0.9, 0.5, 0.0])
    exact = Moments(10, 3, np.zeros(6), np.block([[np.eye(3), rho], [rho, np.eye(3)]]))
    values, _ = eigenpairs(exact, ridge=NO_RIDGE)
    np.testing.assert_allclose(values, [0.9, 0.5, 0, 0, -0.5, -0.9], atol=1e-12)


@pytest.mark.statistical
def test_samples_of_gaussian_views_come_close_to_it():
    random = np.random.default_rng(0)
    x, e = random.normal(size=(2, 20000, 2))
    y = x * np.array([0.8, -0.3]) + e * np.sqrt(1 - np.array([0.8, -0.3]) ** 2)
    mix = np.array([[1.0, 2.0], [0.5, -1.0]])
    found = canonical_directions(moments([(x, y @ mix)]), 2, ridge=NO_RIDGE)
    np.testing.assert_allclose(found.correlations, [0.8, 0.3], atol=0.02)


def test_two_values_by_hand():
    """x = (+-2, +-1) and y = x_1 / 2: the one direction is (1, 0) over its standard deviation."""
    x = np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])
    y = x[:, :1] / 2
    found = canonical_directions(moments([(x, y)]), 40, ridge=NO_RIDGE)
    assert found.correlations == pytest.approx([1.0])
    sd = np.sqrt(16 / 3)  # of x_1, divided by N - 1
    np.testing.assert_allclose(np.abs(found.weight_x), [[1 / sd], [0]], atol=1e-12)
    np.testing.assert_allclose(np.abs(found.weight_y), [[2 / sd]], atol=1e-12)
    np.testing.assert_allclose(found.cosines(x, y), 1)
    np.testing.assert_allclose(found.cosines(x, -y), -1)


def test_mmvae_has_scipys_lengths_and_other_cosines():
    x, y = related(800)
    found = fit(batches(x, y), np.arange(800), protocol="mmvae", directions=3)
    ours = fit(batches(x, y), np.arange(800), protocol="full", directions=3)
    both = np.concatenate([found.directions.weight_x, found.directions.weight_y])
    np.testing.assert_allclose(np.linalg.norm(both, axis=0), 1)
    c = np.cov(np.concatenate([x, y], 1).T)
    off, own = c.copy(), np.zeros_like(c)
    off[:6, :6] = off[6:, 6:] = 0
    own[:6, :6], own[6:, 6:] = c[:6, :6], c[6:, 6:]
    values, vectors = eig(off, own)
    order = np.argsort(-values.real)[:3]
    np.testing.assert_allclose(np.abs(vectors[:, order].real), np.abs(both), atol=1e-8)
    np.testing.assert_allclose(found.directions.correlations, ours.directions.correlations)
    assert np.abs(found.directions.cosines(x, y) - ours.directions.cosines(x, y)).max() > 0.05
    assert (found.protocol, found.ridge, found.held_out) == ("mmvae", 1e-12, None)


def test_the_mmvae_cosine_depends_on_the_scale_of_a_value_and_ours_does_not():
    x, y = related(800)
    scaled = x * np.array([10.0, 1, 1, 1, 1, 0.1])
    for protocol, same in (("full", True), ("mmvae", False)):
        plain, moved = (fit(batches(v, y), np.arange(800), protocol=protocol, directions=3) for v in (x, scaled))
        apart = np.abs(plain.directions.cosines(x, y) - moved.directions.cosines(scaled, y)).max()
        assert same or apart > 0.05
        assert bool(apart < 1e-6) is same


def test_against_noise_few_images_correlate_perfectly_and_nothing_is_left_on_other_images():
    """60 images of 70 values: without reduction and ridge the training correlation is 1, and means nothing."""
    (x, y), (other_x, other_y) = noise(60, 70, 5), noise(4000, 70, 5, seed=1)
    bare = canonical_directions(moments([(x, y)]), 5, ridge=(1e-9, 1e-9))
    np.testing.assert_allclose(bare.correlations, 1, atol=1e-6)
    assert bare.cosines(x, y).mean() > 0.99
    assert abs(bare.cosines(other_x, other_y).mean()) < 0.05
    small = fit(batches(x, y), np.arange(60), protocol="small")
    found = small.directions.cosines(other_x, other_y)
    assert abs(found.mean()) < 4 * found.std() / np.sqrt(4000)
    assert abs(small.held_out) < 0.3  # what the ridge was chosen by does not believe in it either


def test_few_images_that_do_share_factors_are_told_from_noise():
    x, y = related(60, dx=70, dy=5)
    other_x, other_y = related(2000, dx=70, dy=5, seed=1)
    small = fit(batches(x, y), np.arange(60), protocol="small")
    assert small.directions.cosines(other_x, other_y).mean() > 0.3
    assert small.components == (50, 5)
    assert small.ridge in RIDGES


def test_the_ridge_is_the_best_on_images_left_out():
    x, y = related(80, dx=30, dy=10, noise=3.0)
    images = np.repeat(np.arange(40), 2)
    ridge, held_out = choose_ridge(x, y, images, 5)
    alone = {r: choose_ridge(x, y, images, 5, grid=(r,))[1] for r in RIDGES}
    assert held_out == pytest.approx(max(alone.values()))
    assert alone[ridge] == pytest.approx(held_out)
    assert ridge > min(RIDGES)


def test_all_pairs_of_an_image_are_left_out_together():
    images = np.random.default_rng(0).integers(0, 30, 400)
    fold = _folds(images)
    assert set(fold) == set(range(FOLDS))
    for image in range(30):
        assert len(set(fold[images == image])) == 1
    np.testing.assert_array_equal(fold, _folds(images + 1000))


def test_captions_of_one_image_on_both_sides_would_make_noise_look_right():
    """Views of noise, ten captions an image that differ a little: pairs left out one by one look correlated."""
    random = np.random.default_rng(0)
    x = np.repeat(random.normal(size=(100, 40)), 10, axis=0)
    y = np.repeat(random.normal(size=(100, 40)), 10, axis=0) + 0.1 * random.normal(size=(1000, 40))
    _, together = choose_ridge(x, y, np.repeat(np.arange(100), 10), 5)
    _, apart = choose_ridge(x, y, np.arange(1000), 5)
    assert apart > 0.4
    assert together < 0.15


def test_reduced_directions_are_those_of_the_coordinates():
    x, y = related(200)
    m = moments([(x, y)])
    axes_x, axes_y = principal_axes(m.covariance[:6, :6], 3), principal_axes(m.covariance[6:, 6:], 2)
    by_hand = moments([((x - x.mean(0)) @ axes_x, (y - y.mean(0)) @ axes_y)])
    np.testing.assert_allclose(m.reduced(axes_x, axes_y).covariance, by_hand.covariance, atol=1e-10)
    singular = np.linalg.svd(x - x.mean(0))[2][:3].T
    np.testing.assert_allclose(np.abs(singular), np.abs(axes_x), atol=1e-8)


def test_axes_without_variance_are_left_out():
    x = np.zeros((20, 4))
    x[:, 1], x[:, 3] = np.arange(20), np.arange(20) % 3
    assert principal_axes(np.cov(x.T), 4).shape == (4, 2)
    with pytest.raises(CannotBear, match="all training rows of a view are the same"):
        principal_axes(np.zeros((4, 4)), 2)


def test_fits_do_not_depend_on_the_batches():
    x, y = related(120, dx=20)
    first, second = (fit(batches(x, y, size), np.arange(120)) for size in (7, 120))
    np.testing.assert_allclose(first.directions.cosines(x, y), second.directions.cosines(x, y), atol=1e-8)
    assert first.ridge == second.ridge


def test_plenty_of_images_need_no_reduction():
    x, y = related(120)
    assert fit(batches(x, y), np.arange(120)).protocol == "full"
    assert fit(batches(x[:90], y[:90]), np.arange(90)).protocol == "small"


@pytest.mark.parametrize("protocol", ["full", "mmvae"])
def test_fewer_images_than_values_are_refused_by_name(protocol):
    x, y = related(100)
    images = np.repeat(np.arange(10), 10)  # a hundred pairs, but ten images of 6 + 4 values
    with pytest.raises(CannotBear, match=f"`{protocol}` needs more training images .* 10 images of 6 \\+ 4 values"):
        fit(batches(x, y), images, protocol=protocol)
    assert fit(batches(x, y), images, protocol="small").images == 10


def test_covariances_that_are_none_are_refused_with_the_remedy():
    m = Moments(10, 2, np.zeros(3), np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    with pytest.raises(CannotBear, match=r"not positive definite.*use the protocol `small`"):
        canonical_directions(m, 1, ridge=(1e-12, 1e-12))


def test_too_few_images_are_refused():
    x, y = related(40)
    with pytest.raises(CannotBear, match="needs 5 training images or more, there are 4"):
        fit(batches(x, y), np.arange(40) % 4)
