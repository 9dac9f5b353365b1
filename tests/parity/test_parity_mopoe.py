"""MoPoE, with a component of the mixture drawn for each row."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from mmbench.models import MultimodalVAE
from mmbench.models.mopoe import subsets_of
from tests.parity.comparison import Undo, agree, differ
from tests.parity.differences import CHUNKS, PADDING, POE_EPS, PRIOR_OF_THE_OBSERVED, SINGLE_WEIGHTS, Difference
from tests.parity.noise import Tape, choosing, played
from tests.parity.shells import inputs_of, ours, peer
from tests.parity.worlds import BINARY, THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

BETA = 1.7
PATTERNS = {("a", "b", "c"): (0, 4, 5), ("a", "c"): (2, 6), ("b",): (1, 3, 7)}


def loss(other: Any, model: MultimodalVAE, rows: Rows | Mapping[str, Tensor], undo: Undo) -> Tensor:
    """multivae's loss."""
    from multivae.models.mopoe import mopoe_model

    poe, eps = mopoe_model.poe, 0.0 if undo(POE_EPS) else 1e-8
    if undo(SINGLE_WEIGHTS):
        divergence = other.calc_joint_divergence
        other.calc_joint_divergence = lambda mus, log_vars, weights: divergence(mus, log_vars, doubled(weights))
    with mock.patch.object(mopoe_model, "poe", lambda *of: poe(*of, eps=eps)):
        found: Tensor = other(inputs_of(model, rows, undo)).loss
    return found


@pytest.mark.parametrize("rows", [5, 9])
@pytest.mark.parametrize("world, known", [(TWO, ()), (THREE, (PADDING,)), (BINARY, ())])
def test_complete_rows(world: World, known: tuple[Difference, ...], rows: int) -> None:
    model, values = ours("mopoe", world, beta=BETA), world.data(rows)
    by_name = sorted("+".join(subset) for subset in subsets_of(sorted(world.names)))
    by_size = ["+".join(subset) for subset in subsets_of(list(world.names))]
    each = rows // len(by_size)  # multivae's part of the batch for each component but the last
    parts = [by_size[min(row // each, len(by_size) - 1) if each else -1] for row in range(rows)]
    chosen = numbers_for([by_name.index(name) for name in parts], len(by_name))

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1, {"component": chosen} if undo(CHUNKS) else None)
        mine, other = model.objective(values, noise=tape).loss, peer("MoPoE", model, beta=BETA)
        with tape.played("z", but=["component"]):
            return mine, loss(other, model, values, undo)

    agree(model, run, CHUNKS, POE_EPS, *known)


def test_rows_of_several_patterns() -> None:
    """With masks multivae draws a component for each row, and is given ours."""
    model = ours("mopoe", THREE, beta=BETA)
    rows = Rows(THREE.data(8), PATTERNS)

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tapes = {pattern: Tape(seed) for seed, pattern in enumerate(PATTERNS)}
        mine = torch.zeros(())
        for pattern, index in PATTERNS.items():
            rule = "none" if undo(PRIOR_OF_THE_OBSERVED) and len(pattern) < 3 else "full-only"
            model.settings = replace(model.settings, prior_expert=rule)
            part = model.objective(rows.observed(pattern), noise=tapes[pattern]).loss
            mine = mine + len(index) / rows.count * part
        z = rows.together({pattern: tapes[pattern]["z"] for pattern in PATTERNS if "z" in tapes[pattern].drawn})
        with played([z]), choosing(components(rows, tapes)):
            return mine, loss(peer("MoPoE", model, beta=BETA), model, rows, undo)

    agree(model, run, PRIOR_OF_THE_OBSERVED, POE_EPS, SINGLE_WEIGHTS, PADDING)


@pytest.mark.parametrize("pattern", [("a",), ("c",), ("a", "b")])
def test_rows_of_one_pattern(pattern: tuple[str, ...]) -> None:
    model = ours("mopoe", THREE, beta=BETA)
    rows = Rows(THREE.data(), {pattern: range(5)})

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        rule = "none" if undo(PRIOR_OF_THE_OBSERVED) else "full-only"
        model.settings = replace(model.settings, prior_expert=rule)
        tape = Tape(1)
        mine = model.objective(rows.observed(pattern), noise=tape).loss
        with played([tape["z"]]), choosing(components(rows, {pattern: tape})):
            return mine, loss(peer("MoPoE", model, beta=BETA), model, rows, undo)

    several = [SINGLE_WEIGHTS] if len(pattern) > 1 else []  # a single component's weight is 1
    agree(model, run, PRIOR_OF_THE_OBSERVED, POE_EPS, *several, *([PADDING] if "c" in pattern else []))


def test_another_weight_is_seen() -> None:
    model, values = ours("mopoe", TWO, beta=BETA), TWO.data(2)
    last = numbers_for([1, 1], 3)  # of a, a+b, b: two rows are all in multivae's last part, that of a+b

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1, {"component": last})
        mine, other = model.objective(values, noise=tape).loss, peer("MoPoE", model, beta=BETA * (1 + 1e-6))
        with tape.played("z", but=["component"]):
            return mine, loss(other, model, values, undo)

    differ(model, run, POE_EPS)


def components(rows: Rows, tapes: Mapping[tuple[str, ...], Tape]) -> Tensor:
    """The index, among all subsets of all modalities by their size, of the component that each row drew `[B]`."""
    everything = subsets_of(list(rows.values))
    index = torch.zeros(rows.count, dtype=torch.long)
    for pattern, at in rows.patterns.items():
        names = sorted(("+".join(subset), subset) for subset in subsets_of(pattern))
        for row, number in enumerate(at):
            drawn = 0
            if len(names) > 1:  # a single component is not drawn
                uniform = torch.special.ndtr(tapes[pattern]["component"][0, row])
                drawn = int(uniform * len(names))
            index[number] = everything.index(names[drawn][1])
    return index


def doubled(weights: Tensor) -> Tensor:
    """Equal weights of the available components `[E, B]`, in float64."""
    available = (weights > 0).double()
    return available / available.sum(0)


def numbers_for(indices: list[int], among: int) -> Tensor:
    """Standard normal numbers `[1, B]` from which a uniform choice among so many takes these indices."""
    return torch.special.ndtri((torch.tensor([indices], dtype=torch.float64) + 0.5) / among)
