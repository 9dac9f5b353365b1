"""MVAE."""

from itertools import combinations
from unittest import mock

import pytest
import torch
from torch import Tensor

from mmbench.models import MultimodalVAE
from tests.parity.comparison import Undo, agree, differ, equal
from tests.parity.differences import (
    BERNOULLI_VALUES,
    COUNTED_TWICE,
    EPOCHS,
    PADDING,
    ROWS_OF_A_TERM,
    SUBSET_OF_BATCH,
    Difference,
)
from tests.parity.noise import Tape, played
from tests.parity.shells import inputs_of, ours, peer
from tests.parity.worlds import BINARY, THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

BETA = 1.7
PATTERNS = {("a", "b", "c"): (0, 4), ("a", "c"): (2,), ("b",): (1, 3)}


def terms(model: MultimodalVAE) -> list[str]:
    """Names of the samples of all fixed subsets, in the order of multivae."""
    return [f"{subset}/z" for subset in ("+".join(sorted(model.modalities)), *model.modalities)]


@pytest.mark.parametrize("world, known", [(TWO, ()), (THREE, (PADDING,)), (BINARY, ())])
def test_complete_rows(world: World, known: tuple[Difference, ...]) -> None:
    model, values = ours("mvae", world, beta=BETA, subsets=0), world.data()

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        mine = model.objective(values, noise=tape).loss
        with tape.played(*terms(model)):
            return mine, peer("MVAE", model, warmup=0, beta=BETA)(inputs_of(model, values, undo)).loss

    agree(model, run, *known)


def test_grey_values() -> None:
    model, values = ours("mvae", BINARY), {name: 0.1 + 0.8 * x for name, x in BINARY.data().items()}

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape, other = Tape(1), peer("MVAE", model, warmup=0)
        mine = model.objective(values, noise=tape).loss
        checked = not undo(BERNOULLI_VALUES)
        with tape.played(*terms(model)), mock.patch("torch.distributions.Distribution._validate_args", checked):
            return mine, other(inputs_of(model, values, undo)).loss

    equal(model, run, BERNOULLI_VALUES)
    with pytest.raises(ValueError, match="support"):
        equal(model, run)


@pytest.mark.parametrize("drawn", [(0,), (2, 0)])
def test_random_subsets(drawn: tuple[int, ...]) -> None:
    model, values = ours("mvae", THREE, subsets=len(drawn)), THREE.data()
    pairs = list(combinations(sorted(model.modalities), 2))
    chosen = {f"subset {j}/subset": index_of(i, len(pairs)).expand(1, 5) for j, i in enumerate(drawn)}

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1, chosen if undo(SUBSET_OF_BATCH) else None)
        mine = model.objective(values, noise=tape).loss
        other = peer("MVAE", model, warmup=0, k=len(drawn))
        with (
            tape.played(*terms(model), *(f"subset {j}/z" for j in range(len(drawn))), but=tuple(chosen)),
            mock.patch("multivae.models.mvae.mvae_model.choice", return_value=list(drawn)),
        ):
            assert other.subsets == pairs
            return mine, other(inputs_of(model, values, undo)).loss

    agree(model, run, SUBSET_OF_BATCH, PADDING)


def test_warm_up() -> None:
    model, values = ours("mvae", TWO, anneal=1.0), TWO.data()

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        mine = model.objective(values, noise=tape, progress=(3 - 1 + 0.25) / 10 if undo(EPOCHS) else 1.0).loss
        other = peer("MVAE", model, warmup=10)
        with tape.played(*terms(model)):
            return mine, other(inputs_of(model, values, undo), epoch=3, batch_ratio=0.25).loss

    agree(model, run, EPOCHS)


@pytest.mark.parametrize("pattern", [("a", "b"), ("a", "c"), ("b", "c")])
def test_rows_of_one_pattern(pattern: tuple[str, ...]) -> None:
    model = ours("mvae", THREE, beta=BETA, subsets=0)
    rows = Rows(THREE.data(), {pattern: range(5)})

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        mine = model.objective(rows.observed(pattern), noise=tape).loss
        with tape.played("+".join(pattern) + "/z", *(f"{name}/z" for name in pattern)):
            return mine, peer("MVAE", model, warmup=0, beta=BETA)(inputs_of(model, rows, undo)).loss

    agree(model, run, *([PADDING] if "c" in pattern else []))


def test_rows_of_several_patterns() -> None:
    model = ours("mvae", THREE, beta=BETA, subsets=0)
    rows, other = Rows(THREE.data(), PATTERNS), peer("MVAE", model, warmup=0, beta=BETA)

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tapes = {pattern: Tape(seed) for seed, pattern in enumerate(PATTERNS)}
        losses = {p: model.objective(rows.observed(p), noise=tapes[p]).loss for p in PATTERNS}
        mine = sum(len(index) / rows.count * losses[p] for p, index in PATTERNS.items())
        subsets = [tuple(model.modalities), *((name,) for name in model.modalities)]
        with played([noise_of(rows, tapes, subset) for subset in subsets]):
            found = other(inputs_of(model, rows, undo))
        theirs = found.loss
        if undo(ROWS_OF_A_TERM):
            holding = {s: sum(len(index) for p, index in PATTERNS.items() if set(p) & set(s)) for s in subsets}
            theirs = sum(holding[s] / rows.count * found.metrics["_".join(s)] for s in subsets)
        if undo(COUNTED_TWICE):
            alone = [p for p in PATTERNS if len(p) == 1]
            for pattern in alone:
                with played([tapes[pattern][f"{pattern[0]}/z"]] * 2):
                    twice = other(inputs_of(model, rows.of(pattern), undo)).loss
                theirs = theirs - len(PATTERNS[pattern]) / rows.count * twice / 2
        assert isinstance(mine, Tensor)
        return mine, theirs

    agree(model, run, ROWS_OF_A_TERM, COUNTED_TWICE, PADDING)


@pytest.mark.parametrize(
    "change",
    [{"beta": BETA * (1 + 1e-6)}, {"uses_likelihood_rescaling": True, "rescale_factors": {"a": 1.0, "b": 1 + 1e-6}}],
)
def test_another_weight_is_seen(change: dict[str, object]) -> None:
    """What is compared can fail: a millionth in one weight is enough."""
    model, values = ours("mvae", TWO, beta=BETA, subsets=0), TWO.data()

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        mine = model.objective(values, noise=tape).loss
        other = peer("MVAE", model, **{"warmup": 0, "beta": BETA, **change})
        with tape.played(*terms(model)):
            return mine, other(inputs_of(model, values, undo)).loss

    differ(model, run)


def noise_of(rows: Rows, tapes: dict[tuple[str, ...], Tape], subset: tuple[str, ...]) -> Tensor:
    """The noise of a subset's ELBO in the rows that hold any of it: that of the part of it that each row holds."""
    parts = {
        pattern: tapes[pattern]["+".join(sorted(set(pattern) & set(subset))) + "/z"]
        for pattern in rows.patterns
        if set(pattern) & set(subset)
    }
    held = torch.stack([rows.masks[name] for name in subset]).any(0)
    return rows.together(parts)[:, held]


def index_of(i: int, among: int) -> Tensor:
    """The standard normal number from which a uniform choice among so many takes index i."""
    return torch.special.ndtri(torch.tensor([[(i + 0.5) / among]], dtype=torch.float64))
