"""CMVAE: clusters with weights and centres of their own."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from mmbench.models.cmvae import CMVAE
from tests.parity.comparison import Run, agree, differ
from tests.parity.differences import (
    BATCH_SUM,
    DREG_VALUE,
    PADDING,
    POSTERIOR_FLOOR,
    PRIOR_FLOOR,
    SOFTMAX_OF_A_PART,
    Difference,
)
from tests.parity.private_experts import auxiliary_log_scales, private_against
from tests.parity.shells import ours
from tests.parity.worlds import THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

BETA = 1.7
PATTERNS = {("a", "b", "c"): (0, 4), ("a", "c"): (2,), ("b",): (1, 3)}
WORLDS = {"two": replace(TWO, latent=7), "three": replace(THREE, latent=9)}


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("world, known", [("two", ()), ("three", (PADDING,))])
def test_looser(world: str, known: tuple[Difference, ...], k: int) -> None:
    model = own(WORLDS[world], objective="elbo" if k == 1 else "iwae", k=k)
    agree(model, against(model, WORLDS[world].data()), BATCH_SUM, *known)


def test_double_reparametrisation() -> None:
    model, values = own(WORLDS["two"], objective="dreg"), TWO.data()
    agree(model, against(model, values, loss="dreg_looser"), BATCH_SUM, DREG_VALUE)
    differ(model, against(model, values), BATCH_SUM)


@pytest.mark.parametrize("objective, known", [("iwae", ()), ("dreg", (DREG_VALUE,))])
def test_laplaces(objective: str, known: tuple[Difference, ...]) -> None:
    model = own(WORLDS["three"], arch={"posterior_scale": "softmax"}, objective=objective, family="laplace")
    run = against(model, THREE.data(), loss=f"{objective}_looser")
    agree(model, run, BATCH_SUM, PRIOR_FLOOR, POSTERIOR_FLOOR, SOFTMAX_OF_A_PART, PADDING, *known)


def test_rows_of_several_patterns() -> None:
    model = own(WORLDS["three"])
    agree(model, against(model, Rows(THREE.data(), PATTERNS)), BATCH_SUM, PADDING)


def test_other_centres_are_seen() -> None:
    model = own(WORLDS["two"])
    agree(model, against(model, TWO.data()), BATCH_SUM)
    differ(model, against(model, TWO.data(), moved=1e-6), BATCH_SUM)


def own(world: World, **settings: Any) -> CMVAE:
    """Our model with learned priors and three clusters; of four samples unless said otherwise."""
    model = ours("cmvae", world, **{"k": 4, "private": 2, "beta": BETA, "clusters": 3, **settings})
    assert isinstance(model, CMVAE)
    with torch.no_grad():
        model.auxiliary_raw_scale.copy_(torch.linspace(-0.5, 0.5, len(model.auxiliary_raw_scale)))
        model.cluster_logits.copy_(torch.linspace(-0.7, 0.4, len(model.cluster_logits)))
    return model


def against(model: CMVAE, rows: Any, *, moved: float = 0.0, **config: Any) -> Run:
    """Our loss and multivae's, whose centres are moved by so much."""

    def given_priors(other: Any) -> None:
        del other.r_logvars_priors, other.mean_clusters  # lists of parameters, which would cut the gradient to ours
        other.r_logvars_priors = auxiliary_log_scales(model, model.auxiliary_raw_scale)
        other.mean_clusters = [centre.unsqueeze(0) + moved for centre in model.centres]
        other._pc_params = model.cluster_logits

    config = {"beta": BETA, "loss": "iwae_looser", "number_of_clusters": len(model.centres), **config}
    return private_against("CMVAE", model, rows, given_priors, **config)
