"""Every registered component keeps the contract of its kind; a component that breaks it is found out."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
import torch

from mmbench.datasets import DATASETS, SCHEMES
from mmbench.metrics.base import METRICS
from mmbench.models import MODELS, Objective
from mmbench.models.mvae import MVAE
from mmbench.testing import for_datasets, for_metrics, for_models, for_schemes
from mmbench.testing.contract import Broken, NotApplicable

Check = Callable[[Any], None]


def cases(components: Any, checks: Sequence[Check]) -> list[Any]:
    """One parameter set for each component and check."""
    return [
        pytest.param(component, check, id=f"{name}-{check.__name__}")
        for name, component in components.builtin().items()
        for check in checks
    ]


def keep(component: Any, check: Check) -> None:
    try:
        check(component)
    except NotApplicable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize(("component", "check"), cases(MODELS, for_models.CHECKS))
def test_model(component: Any, check: Check) -> None:
    keep(component, check)


@pytest.mark.parametrize(("component", "check"), cases(SCHEMES, for_schemes.CHECKS))
def test_scheme(component: Any, check: Check) -> None:
    keep(component, check)


@pytest.mark.parametrize(("component", "check"), cases(DATASETS, for_datasets.CHECKS))
def test_dataset(component: Any, check: Check) -> None:
    keep(component, check)


@pytest.mark.parametrize(("component", "check"), cases(METRICS, for_metrics.CHECKS))
def test_metric(component: Any, check: Check) -> None:
    keep(component, check)


# The suite can fail ---------------------------------------------------------------------------------------------------
class SummedLoss(MVAE):
    """A sum over the batch where the contract wants a mean."""

    def objective(self, values, **options):  # type: ignore[no-untyped-def]
        found = super().objective(values, **options)
        return Objective(found.loss * len(next(iter(values.values()))), found.terms)


class OwnRandomness(MVAE):
    """Draws past the noise it is given."""

    def objective(self, values, **options):  # type: ignore[no-untyped-def]
        found = super().objective(values, **options)
        return Objective(found.loss * (1 + 0.01 * torch.rand(())), found.terms)


class AttachedTerms(MVAE):
    """Logs a term with its graph."""

    def objective(self, values, **options):  # type: ignore[no-untyped-def]
        found = super().objective(values, **options)
        return Objective(found.loss, {"loss": found.loss})


class ForgottenDecoder(MVAE):
    """Decodes without a gradient for the decoders."""

    def log_likelihood(self, name, x, z):  # type: ignore[no-untyped-def]
        with torch.no_grad():
            return super().log_likelihood(name, x, z)


class SilentFacts(MVAE):
    """Has no common preset."""

    presets: ClassVar = {"source": {}}


@pytest.mark.parametrize(
    ("component", "check"),
    [
        (SummedLoss, for_models.every_row_counts_alike_and_none_influences_another),
        (OwnRandomness, for_models.the_same_noise_gives_the_same_bits_and_other_noise_others),
        (AttachedTerms, for_models.the_objective_is_a_finite_scalar_with_detached_terms),
        (ForgottenDecoder, for_models.gradients_reach_what_a_stage_trains_and_nothing_else),
        (SilentFacts, for_models.facts_and_presets_are_complete),
    ],
)
def test_a_broken_model_is_found_out(component: Any, check: Check) -> None:
    with pytest.raises(Broken):
        check(component)
