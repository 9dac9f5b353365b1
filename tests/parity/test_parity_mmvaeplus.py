"""MMVAE+ with auxiliary priors in cross terms."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from mmbench.models.mmvaeplus import MMVAEPlus
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
from tests.parity.worlds import BINARY, THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

BETA = 1.7
PATTERNS = {("a", "b", "c"): (0, 4), ("a", "c"): (2,), ("b",): (1, 3)}
WORLDS = {"two": replace(TWO, latent=7), "three": replace(THREE, latent=9), "binary": replace(BINARY, latent=7)}


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("world, known", [("two", ()), ("three", (PADDING,)), ("binary", ())])
def test_looser(world: str, known: tuple[Difference, ...], k: int) -> None:
    model = own(WORLDS[world], objective="elbo" if k == 1 else "iwae", k=k)
    agree(model, against(model, WORLDS[world].data()), BATCH_SUM, *known)


def test_double_reparametrisation() -> None:
    """The gradient alone tells `dreg` from `iwae`."""
    model, values = own(WORLDS["two"], objective="dreg"), TWO.data()
    agree(model, against(model, values, loss="dreg_looser"), BATCH_SUM, DREG_VALUE)
    differ(model, against(model, values), BATCH_SUM)


@pytest.mark.parametrize("objective, known", [("iwae", ()), ("dreg", (DREG_VALUE,))])
def test_laplaces(objective: str, known: tuple[Difference, ...]) -> None:
    model = own(WORLDS["three"], arch={"posterior_scale": "softmax"}, objective=objective, family="laplace")
    run = against(model, THREE.data(), loss=f"{objective}_looser")
    agree(model, run, BATCH_SUM, PRIOR_FLOOR, POSTERIOR_FLOOR, SOFTMAX_OF_A_PART, PADDING, *known)


@pytest.mark.parametrize("objective, known", [("iwae", ()), ("dreg", (DREG_VALUE,))])
def test_rows_of_several_patterns(objective: str, known: tuple[Difference, ...]) -> None:
    model = own(WORLDS["three"], objective=objective)
    run = against(model, Rows(THREE.data(), PATTERNS), loss=f"{objective}_looser")
    agree(model, run, BATCH_SUM, PADDING, *known)


@pytest.mark.parametrize("pattern, known", [(("a",), ()), (("a", "b"), ()), (("b", "c"), (PADDING,))])
def test_rows_of_one_pattern(pattern: tuple[str, ...], known: tuple[Difference, ...]) -> None:
    model = own(WORLDS["three"])
    agree(model, against(model, Rows(THREE.data(), {pattern: range(5)})), BATCH_SUM, *known)


def test_another_weight_is_seen() -> None:
    model = own(WORLDS["two"])
    differ(model, against(model, TWO.data(), beta=BETA * (1 + 1e-6)), BATCH_SUM)


def own(world: World, **settings: Any) -> MMVAEPlus:
    """Our model with learned auxiliary priors; of four samples unless said otherwise."""
    model = ours("mmvaeplus", world, **{"k": 4, "private": 2, "beta": BETA, **settings})
    assert isinstance(model, MMVAEPlus)
    with torch.no_grad():
        model.auxiliary_raw_scale.copy_(torch.linspace(-0.5, 0.5, len(model.auxiliary_raw_scale)))
    return model


def against(model: MMVAEPlus, rows: Any, **config: Any) -> Run:
    """Our loss and multivae's."""

    def given_priors(other: Any) -> None:
        shared = other.logvars_priors["shared"]
        del other.logvars_priors  # a ParameterDict, which would cut the gradient to our parameter
        other.logvars_priors = auxiliary_log_scales(model, model.auxiliary_raw_scale) | {"shared": shared}

    return private_against("MMVAEPlus", model, rows, given_priors, **{"beta": BETA, "loss": "iwae_looser", **config})
