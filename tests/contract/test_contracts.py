"""Every registered component keeps the contract of its kind; a component that breaks it is found out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch

from mmbench.datasets import DATASETS, SCHEMES
from mmbench.errors import CannotBear
from mmbench.metrics.base import METRICS
from mmbench.models import MODELS, Objective, Stage
from mmbench.models.mvae import MVAE
from mmbench.models.posteriors import Point
from mmbench.testing import claims, for_datasets, for_metrics, for_models, for_schemes
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

    def objective(self, values, **options):
        found = super().objective(values, **options)
        return Objective(found.loss * len(next(iter(values.values()))), found.terms)


class OwnRandomness(MVAE):
    """Draws past the noise it is given."""

    def objective(self, values, **options):
        found = super().objective(values, **options)
        return Objective(found.loss * (1 + 0.01 * torch.rand(())), found.terms)


class AttachedTerms(MVAE):
    """Logs a term with its graph."""

    def objective(self, values, **options):
        found = super().objective(values, **options)
        return Objective(found.loss, {"loss": found.loss})


class ForgottenDecoder(MVAE):
    """Decodes without a gradient for the decoders."""

    def log_likelihood(self, name, x, z):
        with torch.no_grad():
            return super().log_likelihood(name, x, z)


class SilentFacts(MVAE):
    """Has no common preset."""

    presets: ClassVar = {"source": {}}


class PartialOnlyInWord(MVAE):
    """Claims to learn from every pattern, and refuses one."""

    def cannot_bear(self, names):
        return "a is needed" if tuple(names) == ("b",) else None


class PartialInVain(MVAE):
    """Takes every pattern, and learns nothing from rows with one modality."""

    def objective(self, values, **options):
        found = super().objective(values, **options)
        return found if len(values) > 1 else Objective(found.loss.detach())


class PartialInSecret(MVAE):
    """Claims to need complete rows, and takes others."""

    facts: ClassVar = replace(MVAE.facts, partial_train_holds=False)

    def cannot_bear(self, names):
        return None


class CompleteRefused(MVAE):
    """Refuses complete rows."""

    def cannot_bear(self, names):
        return "too many" if len(names) == len(self.modalities) else None


class BlindGenerator(MVAE):
    """Claims to generate any modality from any other, and looks at none."""

    def posterior(self, values):
        return super().posterior({name: torch.zeros_like(x) for name, x in values.items()})


class BimodalAtHeart(MVAE):
    """Claims any number of modalities, and takes three at most."""

    def __init__(self, modalities: Any, *rest: Any) -> None:
        if len(modalities) > 3:
            raise CannotBear("three are enough")
        super().__init__(modalities, *rest)


class MoreThanItSays(MVAE):
    """Claims two modalities at most, and takes more."""

    facts: ClassVar = replace(MVAE.facts, modalities_max=2)

    def __init__(self, *parts: Any) -> None:
        object.__setattr__(self, "facts", MVAE.facts)
        super().__init__(*parts)


class CodesForDensities(MVAE):
    """Claims a density, and has codes."""

    def posterior(self, values):
        return Point(super().posterior(values).mean)


class NamelessDensity(MVAE):
    """Claims a kind of density that does not exist."""

    facts: ClassVar = replace(MVAE.facts, density="some")


class SecretDensity(MVAE):
    """Claims to have no density, and has one."""

    facts: ClassVar = replace(MVAE.facts, density="none")


class SinglesAndMore(MVAE):
    """Claims log likelihoods of single modalities only."""

    facts: ClassVar = replace(MVAE.facts, density="single modalities")


class ConditionalsAndMore(MVAE):
    """Claims conditionals only."""

    facts: ClassVar = replace(MVAE.facts, density="conditionals")


class ReasonlessRefusal(MVAE):
    """Refuses its density without a word."""

    facts: ClassVar = replace(MVAE.facts, density="none")

    def generative_prior(self, given):
        raise CannotBear("")


class PrivateInWord(MVAE):
    """Claims private latents."""

    facts: ClassVar = replace(MVAE.facts, private_latents=True)


class TwinStages(MVAE):
    """Two stages of one name."""

    stages = (Stage(), Stage())


class EmptyStage(MVAE):
    """A stage without a share of the steps."""

    stages = (Stage(), Stage("second", 0.0))


class MisspeltStage(MVAE):
    """A stage that trains what does not exist."""

    stages = (Stage(), Stage("second", 1.0, ("encodes",)))


class StagesOfItsOwn(MVAE):
    """An instance with other stages than its class shows."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.stages = (Stage("first"), Stage("second"))


class UndatedReference(MVAE):
    """Cites a work without its year."""

    facts: ClassVar = replace(MVAE.facts, references=("Wu & Goodman, Multimodal Generative Models",))


@pytest.mark.parametrize(
    ("component", "check"),
    [
        (SummedLoss, for_models.every_row_counts_alike_and_none_influences_another),
        (OwnRandomness, for_models.the_same_noise_gives_the_same_bits_and_other_noise_others),
        (AttachedTerms, for_models.the_objective_is_a_finite_scalar_with_detached_terms),
        (ForgottenDecoder, for_models.gradients_reach_what_a_stage_trains_and_nothing_else),
        (SilentFacts, for_models.facts_and_presets_are_complete),
        (UndatedReference, for_models.facts_and_presets_are_complete),
        (PrivateInWord, for_models.the_layout_divides_the_latent),
        (PartialOnlyInWord, claims.partial_training_holds_or_is_refused),
        (PartialInVain, claims.partial_training_holds_or_is_refused),
        (PartialInSecret, claims.partial_training_holds_or_is_refused),
        (CompleteRefused, claims.partial_training_holds_or_is_refused),
        (BlindGenerator, claims.partial_test_holds),
        (BimodalAtHeart, claims.the_number_of_modalities_holds),
        (MoreThanItSays, claims.the_number_of_modalities_holds),
        (CodesForDensities, claims.the_density_holds),
        (NamelessDensity, claims.the_density_holds),
        (SecretDensity, claims.the_density_holds),
        (SinglesAndMore, claims.the_density_holds),
        (ConditionalsAndMore, claims.the_density_holds),
        (ReasonlessRefusal, claims.the_density_holds),
        (TwinStages, claims.the_stages_hold),
        (EmptyStage, claims.the_stages_hold),
        (MisspeltStage, claims.the_stages_hold),
        (StagesOfItsOwn, claims.the_stages_hold),
    ],
)
def test_a_broken_model_is_found_out(component: Any, check: Check) -> None:
    with pytest.raises(Broken):
        check(component)


def test_every_claim_is_checked_with_the_contract() -> None:
    assert set(claims.CHECKS) <= set(for_models.CHECKS)
