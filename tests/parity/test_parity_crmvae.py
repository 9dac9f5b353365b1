"""CRMVAE."""

from collections.abc import Mapping
from typing import Any
from unittest import mock

import pytest
from torch import Tensor

from mmbench.models.crmvae import CRMVAE
from tests.parity.comparison import Run, Undo, agree, differ
from tests.parity.differences import ALL_MODALITIES_WEIGH, BATCH_SUM, PADDING, POE_EPS, Difference
from tests.parity.noise import Tape, played
from tests.parity.shells import inputs_of, ours, peer
from tests.parity.worlds import BINARY, THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

BETA = 1.7


@pytest.mark.parametrize("world, known", [(TWO, ()), (THREE, (PADDING,)), (BINARY, ())])
def test_complete_rows(world: World, known: tuple[Difference, ...]) -> None:
    model = own(world)
    agree(model, against(model, world.data()), BATCH_SUM, POE_EPS, *known)


@pytest.mark.parametrize("pattern, known", [(("a",), ()), (("a", "b"), ()), (("b", "c"), (PADDING,))])
def test_rows_of_one_pattern(pattern: tuple[str, ...], known: tuple[Difference, ...]) -> None:
    model = own(THREE)
    run = against(model, Rows(THREE.data(), {pattern: range(5)}))
    agree(model, run, BATCH_SUM, POE_EPS, ALL_MODALITIES_WEIGH, *known)


def test_another_weight_is_seen() -> None:
    model = own(TWO)
    differ(model, against(model, TWO.data(), beta=BETA * (1 + 1e-6)), BATCH_SUM, POE_EPS)


def own(world: World) -> CRMVAE:
    model = ours("crmvae", world, beta=BETA)
    assert isinstance(model, CRMVAE)
    return model


def against(model: CRMVAE, rows: Rows | Mapping[str, Tensor], **config: Any) -> Run:
    """Our loss of rows of one pattern, and multivae's, with masks or of complete values."""
    masked = rows if isinstance(rows, Rows) else Rows(rows, {tuple(model.modalities): range(len(rows["a"]))})
    (pattern,) = masked.patterns

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        from multivae.models.crmvae import crmvae_model

        tape = Tape(1)
        mine = model.objective(masked.observed(pattern), noise=tape).loss
        joint = tape["product of experts/z"]
        noise = [joint, *(tape[f"{name}/z"] if name in pattern else 0 * joint for name in model.modalities)]
        poe, eps = crmvae_model.poe, 0.0 if undo(POE_EPS) else 1e-8
        other = peer("CRMVAE", model, **{"beta": BETA, **config})
        with played(noise), mock.patch.object(crmvae_model, "poe", lambda *of: poe(*of, eps=eps)):
            theirs = other(inputs_of(model, rows, undo)).loss
        if undo(ALL_MODALITIES_WEIGH):
            theirs = theirs * (len(model.modalities) + 1) / (len(pattern) + 1)
        return mine, theirs / masked.count if undo(BATCH_SUM) else theirs

    return run
