"""The contracts of all four components, and their numbers against ones computed otherwise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmbench_example.dataset import FREQUENCIES, Waves
from mmbench_example.metric import KLUsed, kl_by_dimension
from mmbench_example.model import MeanVAE
from mmbench_example.scheme import Fading
from torch.distributions import Normal, kl_divergence

from mmbench.datasets import DatasetSettings
from mmbench.models.posteriors import Gaussian
from mmbench.seeding import generator
from mmbench.testing import for_datasets, for_metrics, for_models, for_schemes
from mmbench.testing.contract import NotApplicable

SUITES = [
    (MeanVAE, for_models.CHECKS),
    (Waves, for_datasets.CHECKS),
    (Fading, for_schemes.CHECKS),
    (KLUsed, for_metrics.CHECKS),
]


@pytest.mark.parametrize(
    ("component", "check"),
    [pytest.param(c, check, id=f"{c.name}-{check.__name__}") for c, checks in SUITES for check in checks],
)
def test_contract(component: Any, check: Callable[[Any], None]) -> None:
    try:
        check(component)
    except NotApplicable as reason:
        pytest.skip(str(reason))  # the contract says why it does not apply


def test_the_posterior_has_the_means_of_the_parameters() -> None:
    model = for_models.make_model(MeanVAE)
    values = for_models.rows(model)
    with torch.no_grad():
        q = model.posterior({name: values[name] for name in ("a", "c")})
        (mu_a, sigma_a), (mu_c, sigma_c) = (model.encoders[name](values[name]) for name in ("a", "c"))
    assert isinstance(q, Gaussian)
    torch.testing.assert_close(q.location, (mu_a + mu_c) / 2)
    torch.testing.assert_close(q.scale, (sigma_a + sigma_c) / 2)


def test_the_kl_of_a_dimension_is_torchs() -> None:
    location, scale = torch.randn(5, 3), torch.rand(5, 3) + 0.1
    expected = kl_divergence(Normal(location, scale), Normal(torch.zeros(3), torch.ones(3)))
    torch.testing.assert_close(kl_by_dimension(Gaussian(location, scale)), expected)


def test_the_strongest_frequency_of_a_wave_is_its_class() -> None:
    split = Waves(DatasetSettings()).split("test")
    for name, array in split.arrays.items():
        strongest = np.abs(np.fft.rfft(array, axis=1))[:, 1:].argmax(1) + 1
        np.testing.assert_array_equal(strongest, np.array(FREQUENCIES)[split.targets[name]])


def test_a_fading_row_keeps_the_first_modalities() -> None:
    parts = Fading().assign(100, ("a", "b", "c"), None, 0.5, generator(0, "scheme"))
    assert [("".join(names), len(rows)) for names, rows in parts] == [("abc", 50), ("ab", 25), ("a", 25)]
