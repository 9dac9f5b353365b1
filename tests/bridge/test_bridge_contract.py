"""The models of multivae keep the contract of models, but for what is named here; each exception has a check in its
place, and must be one.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from mmbench.errors import CannotBear
from mmbench.metrics.likelihood import log_likelihood
from mmbench.models.base import MODELS, MultimodalVAE
from mmbench.models.bridge.kinds import KINDS, REFUSED
from mmbench.models.bridge.package import load
from mmbench.testing import claims, for_models
from mmbench.testing.contract import Broken, NotApplicable
from mmbench.testing.small_models import evaluated, make_model, rows, step_noise
from mmbench.testing.small_models import some_modalities as modalities_of

pytestmark = pytest.mark.parity

EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("CMVAE", "gradients_reach_what_a_stage_trains_and_nothing_else"): "one private dimension",
    ("MMVAEPlus", "gradients_reach_what_a_stage_trains_and_nothing_else"): "one private dimension",
    ("Nexus", "partial_test_holds"): "fresh weights",
    ("TELBO", "the_density_holds"): "one modality or all",
    ("JNF", "posterior_rows_are_independent"): "Hamiltonian Monte Carlo",
}
"""(model, check) -> why it does not hold: the tests below, by the same words."""

SLOW = (for_models.fifty_steps_at_a_tenfold_learning_rate_stay_finite, claims.the_number_of_modalities_holds)
HAMILTONIAN = (for_models.every_set_of_modalities_has_a_posterior, for_models.posterior_rows_are_independent)


def is_slow(name: str, check: Callable[[Any], None]) -> bool:
    return check in SLOW or (name == "JNF" and check in HAMILTONIAN)


def cases() -> list[Any]:
    return [
        pytest.param(name, check, id=f"{name}-{check.__name__}", marks=pytest.mark.slow if is_slow(name, check) else [])
        for name in sorted(KINDS)
        for check in for_models.CHECKS
    ]


@pytest.mark.parametrize(("name", "check"), cases())
def test_model(name: str, check: Callable[[Any], None]) -> None:
    kind = MODELS[f"multivae:{name}"]
    if (name, check.__name__) in EXCEPTIONS:
        with pytest.raises(Broken):
            check(kind)
        return
    try:
        check(kind)
    except NotApplicable as reason:
        pytest.skip(str(reason))  # the contract says why it does not apply


def test_every_model_of_the_package_is_offered_or_refused_with_a_reason() -> None:
    theirs = {name for name in load().__all__ if not name.endswith("Config") and name[:4] not in ("Auto", "Base")}
    assert theirs == set(KINDS) | set(REFUSED)
    for name, reason in REFUSED.items():
        with pytest.raises(CannotBear, match=rf"'multivae:{name}' is not offered: {reason[:20]}"):
            MODELS[f"multivae:{name}"]


# In the place of the exceptions ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["CMVAE", "MMVAEPlus"])
def test_one_private_dimension_has_a_softmax_that_cannot_be_learned_and_two_have_one_that_can(name: str) -> None:
    """Their default scales are D softmax(raw) over the private dimensions, the constant 1 where there is one."""
    kind = MODELS[f"multivae:{name}"]
    for size in (1, 2):
        model = make_model(kind, modalities=modalities_of(2), modalities_specific_dim=size)
        evaluated(model, rows(model), step_noise(), "main")
        learned = {n: p.grad for n, p in model.named_parameters() if "priors.a" in n and p.requires_grad}
        assert len(learned) == 1
        assert all(bool(grad is not None and grad.abs().max() > 0) == (size == 2) for grad in learned.values())


def test_fresh_weights_of_nexus_pass_little_on_but_do() -> None:
    """Five networks lie between x_a and its reconstruction from the upper latent: it changes by less than 1e-4."""
    model = make_model(MODELS["multivae:Nexus"])
    first, second = rows(model), rows(model, seed=1)
    for source in model.modalities:
        found = [model.posterior({source: x[source]}).rsample(2, step_noise()) for x in (first, second)]
        for target in model.modalities:
            means = [model.likelihood(target, z).mean for z in found]
            assert 0 < (means[0] - means[1]).abs().max() < 1e-4


def test_telbo_takes_one_modality_or_all_and_so_every_set_of_two() -> None:
    model = make_model(MODELS["multivae:TELBO"]).eval()
    with pytest.raises(CannotBear, match="no posterior given a, b: the package takes one modality or all"):
        model.posterior({name: x for name, x in rows(model).items() if name != "c"})
    pair = make_model(MODELS["multivae:TELBO"], modalities=modalities_of(2)).eval()
    for target, given in [(("a",), ()), (("a", "b"), ()), (("a",), ("b",))]:
        assert log_likelihood(pair, rows(pair), target, given, k=2, noise=step_noise()).value.isfinite().all()


@pytest.mark.slow
def test_hamiltonian_monte_carlo_of_jnf_depends_on_the_batch_and_on_nothing_else() -> None:
    model: MultimodalVAE = make_model(MODELS["multivae:JNF"]).eval()
    values = {name: x for name, x in rows(model).items() if name != "c"}
    q = model.posterior(values)
    first, again, other = (q.rsample(2, step_noise(key)) for key in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (2, 6, 6)
