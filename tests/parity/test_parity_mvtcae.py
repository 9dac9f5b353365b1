"""MVTCAE."""

from collections.abc import Mapping
from typing import Any
from unittest import mock

import pytest
from torch import Tensor

from mmbench.models import MultimodalVAE
from tests.parity.comparison import Undo, agree, differ
from tests.parity.differences import ALL_MODALITIES_WEIGH, PADDING, POE_EPS, Difference
from tests.parity.noise import Tape
from tests.parity.shells import inputs_of, ours, peer
from tests.parity.worlds import BINARY, THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

ALPHA, BETA = 0.3, 1.7


def outputs(model: MultimodalVAE, rows: Rows | Mapping[str, Tensor], tape: Tape, undo: Undo, **changed: Any) -> Any:
    """What multivae gives for the rows."""
    from multivae.models.mvtcae import mvtcae_model

    other = peer("MVTCAE", model, **{"alpha": ALPHA, "beta": BETA, **changed})
    poe, eps = mvtcae_model.poe, 0.0 if undo(POE_EPS) else 1e-8
    with tape.played("z"), mock.patch.object(mvtcae_model, "poe", lambda *of: poe(*of, eps=eps)):
        return other(inputs_of(model, rows, undo))


@pytest.mark.parametrize("world, known", [(TWO, ()), (THREE, (PADDING,)), (BINARY, ())])
def test_complete_rows(world: World, known: tuple[Difference, ...]) -> None:
    model, values = ours("mvtcae", world, alpha=ALPHA, beta=BETA), world.data()

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        return model.objective(values, noise=tape).loss, outputs(model, values, tape, undo).loss

    agree(model, run, POE_EPS, *known)


@pytest.mark.parametrize("pattern", [("a",), ("c",), ("a", "b"), ("a", "c"), ("b", "c")])
def test_rows_of_one_pattern(pattern: tuple[str, ...]) -> None:
    model = ours("mvtcae", THREE, alpha=ALPHA, beta=BETA)
    rows = Rows(THREE.data(), {pattern: range(5)})

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        mine = model.objective(rows.observed(pattern), noise=tape).loss
        found = outputs(model, rows, tape, undo)
        if not undo(ALL_MODALITIES_WEIGH):
            return mine, found.loss
        part = found.metrics
        fit, apart = sum(part[name] for name in pattern), sum(part[f"kld_{name}"] for name in pattern)
        divergence = ALPHA / len(pattern) * apart + (1 - ALPHA) * part["joint_divergence"]
        return mine, ((1 - ALPHA / len(pattern)) * fit + BETA * divergence) / rows.count

    agree(model, run, POE_EPS, ALL_MODALITIES_WEIGH, *([PADDING] if "c" in pattern else []))


@pytest.mark.parametrize("change", [{"alpha": ALPHA * (1 + 1e-6)}, {"beta": BETA * (1 + 1e-6)}])
def test_another_weight_is_seen(change: dict[str, float]) -> None:
    model, values = ours("mvtcae", TWO, alpha=ALPHA, beta=BETA), TWO.data()

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        return model.objective(values, noise=tape).loss, outputs(model, values, tape, undo, **change).loss

    differ(model, run, POE_EPS)
