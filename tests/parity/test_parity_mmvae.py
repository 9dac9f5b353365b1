"""MMVAE: the looser and the tight bound, DReG, Gaussians and Laplaces."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.models.execution import Execution
from mmbench.models.mmvae import MMVAE
from tests.parity.comparison import Run, Undo, agree, differ
from tests.parity.differences import (
    BATCH_SUM,
    DREG_VALUE,
    LEFT_OUT,
    PADDING,
    POSTERIOR_FLOOR,
    PRIOR_FLOOR,
    Difference,
)
from tests.parity.noise import Tape, played
from tests.parity.shells import inputs_of, ours, peer
from tests.parity.weights import kept
from tests.parity.worlds import BINARY, THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

PATTERNS = {("a", "b", "c"): (0, 4), ("a", "c"): (2,), ("b",): (1, 3)}


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("world, known", [(TWO, ()), (THREE, (PADDING,)), (BINARY, ())])
def test_looser(world: World, known: tuple[Difference, ...], k: int) -> None:
    model = own(world, objective="elbo" if k == 1 else "iwae", k=k)
    agree(model, against(model, world.data()), BATCH_SUM, *known)


@pytest.mark.parametrize("world, known", [(TWO, ()), (THREE, (PADDING,))])
def test_tight(world: World, known: tuple[Difference, ...]) -> None:
    """multivae has the method `iwae`, which none of its settings asks for."""
    model = own(world, looser=False)
    agree(model, against(model, world.data(), tight=True), BATCH_SUM, *known)


def test_double_reparametrisation() -> None:
    """The gradient alone tells `dreg` from `iwae`."""
    model, values = own(TWO, objective="dreg"), TWO.data()
    agree(model, against(model, values, loss="dreg_looser"), BATCH_SUM, DREG_VALUE)
    differ(model, against(model, values, loss="iwae_looser"), BATCH_SUM)


@pytest.mark.parametrize("objective, known", [("iwae", ()), ("dreg", (DREG_VALUE,))])
def test_laplaces_with_a_learned_prior(objective: str, known: tuple[Difference, ...]) -> None:
    model = own(THREE, arch={"posterior_scale": "softmax"}, objective=objective, family="laplace", learn_prior=True)
    with torch.no_grad():
        model.prior_raw_scale.copy_(torch.linspace(-0.5, 0.5, THREE.latent))
    run = against(model, THREE.data(), loss=f"{objective}_looser")
    agree(model, run, BATCH_SUM, PRIOR_FLOOR, POSTERIOR_FLOOR, PADDING, *known)


def test_samples_of_no_weight() -> None:
    """A sharp likelihood and 16 samples: most carry nothing."""
    world = World(TWO.modalities, scale=0.05)
    model, values = own(world, k=16), world.data()
    sharp = against(model, values)

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        model.execution = Execution(tolerance=-1.0 if undo(LEFT_OUT) else 1e-5)
        return sharp(undo)

    agree(model, run, BATCH_SUM, LEFT_OUT)


@pytest.mark.parametrize("objective, known", [("iwae", ()), ("dreg", (DREG_VALUE,))])
def test_rows_of_several_patterns(objective: str, known: tuple[Difference, ...]) -> None:
    model = own(THREE, objective=objective)
    run = against(model, Rows(THREE.data(), PATTERNS), loss=f"{objective}_looser")
    agree(model, run, BATCH_SUM, PADDING, *known)


@pytest.mark.parametrize("pattern, known", [(("a",), ()), (("a", "b"), ()), (("b", "c"), (PADDING,))])
def test_rows_of_one_pattern(pattern: tuple[str, ...], known: tuple[Difference, ...]) -> None:
    model = own(THREE)
    agree(model, against(model, Rows(THREE.data(), {pattern: range(5)})), BATCH_SUM, *known)


def test_another_weight_is_seen() -> None:
    model = own(TWO)
    changed = {"uses_likelihood_rescaling": True, "rescale_factors": {"a": 1.0, "b": 1 + 1e-6}}
    differ(model, against(model, TWO.data(), **changed), BATCH_SUM)


def own(world: World, **settings: Any) -> MMVAE:
    """Our model, of four samples unless said otherwise."""
    model = ours("mmvae", world, **{"k": 4, **settings})
    assert isinstance(model, MMVAE)
    return model


def against(
    model: MMVAE,
    rows: Rows | Mapping[str, Tensor],
    *,
    loss: str = "iwae_looser",
    tight: bool = False,
    **config: Any,
) -> Run:
    """Our loss of the rows, and multivae's, with masks or of complete values."""
    masked = rows if isinstance(rows, Rows) else Rows(rows, {tuple(model.modalities): range(len(rows["a"]))})

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        for encoder in model.encoders.values():
            encoder.scale.floor = 1e-6 if undo(POSTERIOR_FLOOR) else 1e-4
        tapes = {pattern: Tape(seed) for seed, pattern in enumerate(masked.patterns)}
        losses = [len(i) * model.objective(masked.observed(p), noise=tapes[p]).loss for p, i in masked.patterns.items()]
        noise = [
            masked.together({p: tape[f"{name}/z"] for p, tape in tapes.items() if name in p})
            for name in model.modalities
            if any(name in pattern for pattern in masked.patterns)
        ]
        other, inputs = other_of(model, undo, loss=loss, **config), inputs_of(model, rows, undo)
        with played(noise), kept(other, "compute_k_lws") as weights:
            found = other(inputs, compute_loss=not tight, detailed_output=True)
        theirs = other.iwae(found.qz_xs, found.zss, found.recon, inputs).loss if tight else found.loss
        if loss == "dreg_looser" and undo(DREG_VALUE):
            theirs = theirs - weights.dreg_excess()
        return torch.stack(losses).sum() / masked.count, theirs / masked.count if undo(BATCH_SUM) else theirs

    return run


def other_of(model: MMVAE, undo: Undo, **config: Any) -> Any:
    """multivae's model, whose prior is ours: the parameter itself."""
    normal = model.settings.family == "normal"
    config |= {"K": model.settings.k, "learn_prior": model.settings.learn_prior}
    other = peer("MMVAE", model, prior_and_posterior_dist="normal" if normal else "laplace_with_softmax", **config)
    other.prior_log_var = model.prior_raw_scale
    if undo(PRIOR_FLOOR) and not normal:

        class WithoutFloor(type(other)):
            @property
            def pz_params(self) -> tuple[Tensor, Tensor]:
                return self.prior_mean, self.prior_log_var.softmax(-1) * self.latent_dim

        other.__class__ = WithoutFloor
    return other
