"""The linear-Gaussian dataset: its density against scipy's, moments of its rows, and content by settings alone."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mmbench.config import parse_settings
from mmbench.datasets import DATASETS
from mmbench.datasets.digits import Digits, DigitsSettings
from mmbench.datasets.linear_gaussian import LinearGaussianData, LinearGaussianSettings
from mmbench.datasets.observation import observe
from mmbench.errors import CannotBear, InvalidSetting, UnknownName


def made(**settings: Any) -> LinearGaussianData:
    return LinearGaussianData(parse_settings(LinearGaussianSettings, settings, "data"))


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [some for size in range(1, len(names) + 1) for some in itertools.combinations(names, size)]


def joint(data: LinearGaussianData) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of all modalities side by side, from the weights alone."""
    names = [spec.name for spec in data.modalities]
    blocks = [[data.weight(a) @ data.weight(b).T for b in names] for a in names]
    covariance = np.block(blocks)
    return np.concatenate([data.bias(n) for n in names]), covariance + data.settings.noise**2 * np.eye(len(covariance))


@pytest.mark.parametrize("settings", [{"modalities": 2}, {}, {"modalities": 4, "dim": 3, "latent": 6, "noise": 0.05}])
def test_the_density_of_every_set_is_scipys(settings: dict[str, Any]) -> None:
    data = made(rows=10, **settings)
    mean, covariance = joint(data)
    rows = {name: x[:50].astype(np.float64) for name, x in data.split("test").arrays.items()}
    for some in subsets(tuple(rows)):
        index = np.concatenate([np.arange(data.settings.dim) + data.settings.dim * (int(n[1:]) - 1) for n in some])
        expected = multivariate_normal(mean[index], covariance[np.ix_(index, index)])
        found = data.log_density({name: rows[name] for name in some})
        assert found.dtype == np.float64
        assert found == pytest.approx(expected.logpdf(np.concatenate([rows[n] for n in some], axis=1)), rel=1e-8)


def test_a_conditional_is_the_difference_of_two_densities() -> None:
    """log N(x_b; conditional mean and covariance given x_a), by the formulas for conditional Gaussians."""
    data = made(modalities=2, rows=10)
    mean, covariance = joint(data)
    a, b = np.arange(8), np.arange(8, 16)
    rows = {name: x[:20].astype(np.float64) for name, x in data.split("test").arrays.items()}
    gain = covariance[np.ix_(b, a)] @ np.linalg.inv(covariance[np.ix_(a, a)])
    means = mean[b] + (rows["m1"] - mean[a]) @ gain.T
    rest = covariance[np.ix_(b, b)] - gain @ covariance[np.ix_(a, b)]
    expected = multivariate_normal(np.zeros(8), rest).logpdf(rows["m2"] - means)
    found = data.log_density(rows) - data.log_density({"m1": rows["m1"]})
    assert found == pytest.approx(expected, rel=1e-8)


def test_the_order_of_the_values_does_not_matter_and_float32_is_taken_as_it_is() -> None:
    data = made(rows=10)
    rows = data.split("test").arrays
    turned = dict(reversed(list(rows.items())))
    assert np.array_equal(data.log_density(rows), data.log_density(turned))
    exact = {name: x.astype(np.float64) for name, x in rows.items()}
    assert np.array_equal(data.log_density(rows), data.log_density(exact))


@pytest.mark.parametrize("names", [(), ("m4",), ("m1", "m9")])
def test_the_density_of_nothing_or_of_strangers_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidSetting, match=r"a non-empty set of \['m1', 'm2', 'm3'\], got"):
        made().log_density({name: np.zeros((2, 8)) for name in names})


@pytest.mark.statistical
@pytest.mark.parametrize("which", ["train", "test"])
def test_rows_have_the_moments_of_the_density(which: Any) -> None:
    """x^T C^-1 x of N rows of dimension D is chi-square with N D degrees: its mean a row is D, variance 2 D."""
    data = made()
    rows = np.concatenate(list(data.split(which).arrays.values()), axis=1).astype(np.float64)
    mean, covariance = joint(data)

    def distance(covariance: np.ndarray, mean: np.ndarray) -> float:
        squared = ((rows - mean) @ np.linalg.inv(covariance) * (rows - mean)).sum(1)
        return float(abs(squared.mean() - 24) / np.sqrt(2 * 24 / len(rows)))

    assert distance(covariance, mean) < 4
    assert distance(covariance - 0.05 * np.eye(24), mean) > 4, "the check must be able to fail"
    assert distance(covariance, mean + 0.1) > 4
    error = np.abs(np.cov(rows.T) - covariance) / np.sqrt(np.outer(*[np.diag(covariance)] * 2) * 2 / len(rows))
    assert error.max() < 5


def test_the_columns_of_the_weights_are_not_orthogonal() -> None:
    weight = made().weight("m1")
    gram = weight.T @ weight
    assert np.abs(gram - np.diag(np.diag(gram))).max() > 0.3


def test_content_depends_on_the_settings_alone() -> None:
    first, again = made(), made()
    for which in ("train", "test"):
        for name, x in first.split(which).arrays.items():
            assert np.array_equal(x, again.split(which).arrays[name])
    assert first.provenance() == again.provenance() == made(pairs=1).provenance()
    others = [{"noise": 0.6}, {"modalities": 4}, {"latent": 3}, {"dim": 9}, {"rows": 4999}]
    assert len({made(**other).provenance()["digest"] for other in [{}, *others]}) == 6


def test_fewer_rows_and_modalities_are_a_part_of_more() -> None:
    little, large = made(rows=30, modalities=2), made(rows=60, modalities=5)
    for which, rows in (("train", 30), ("test", 1000)):
        for name, x in little.split(which).arrays.items():
            assert np.array_equal(x, large.split(which).arrays[name][:rows])


def test_rows_belong_together_whatever_the_seed() -> None:
    data = made(rows=40)
    table = data.pairing("train", 0)
    assert table.names == ("m1", "m2", "m3")
    assert (table.table == np.arange(40)[:, None]).all()
    assert table.checksum == data.pairing("train", 5).checksum
    assert len(data.pairing("test", 0).table) == 1000


def test_it_has_no_classes_and_cannot_be_paired_anew() -> None:
    data = made(rows=40)
    assert data.classes is None
    assert data.split("train").targets == {}
    with pytest.raises(InvalidSetting, match=r"data\.pairs must lie in \[1, 1\]"):
        made(pairs=2)
    with pytest.raises(CannotBear, match="the dataset has no classes"):
        observe(data, "mnar", 0.5, seed=0)
    assert observe(data, "mcar", 0.5, seed=0).counts["m1+m2+m3"] == 20


@pytest.mark.parametrize("settings", [{"modalities": 1}, {"modalities": 9}, {"dim": 0}, {"noise": 0}, {"rows": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting, match=rf"data\.{next(iter(settings))} must"):
        made(**settings)
    with pytest.raises(UnknownName, match="did you mean 'modalities'"):
        made(modalites=3)


def test_it_is_registered_and_other_datasets_know_no_density() -> None:
    assert DATASETS["linear-gaussian"] is LinearGaussianData
    assert Digits(DigitsSettings()).log_density({}) is None
