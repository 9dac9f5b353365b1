"""DMVAE."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.models.dmvae import DMVAE, PRODUCT
from mmbench.models.private import size_of
from tests.parity.comparison import Run, Undo, agree, differ
from tests.parity.differences import PADDING, SHARED_KL_ONCE, Difference
from tests.parity.noise import Tape, played
from tests.parity.shells import inputs_of, ours, peer
from tests.parity.worlds import BINARY, THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

BETA, PRIVATE_BETA = 1.7, 0.6
PATTERNS = {("a", "b", "c"): (0, 4), ("a", "c"): (2,), ("b",): (1, 3)}
WORLDS = {"two": replace(TWO, latent=7), "three": replace(THREE, latent=9), "binary": replace(BINARY, latent=7)}


@pytest.mark.parametrize("world, known", [("two", ()), ("three", (PADDING,)), ("binary", ())])
def test_complete_rows(world: str, known: tuple[Difference, ...]) -> None:
    model = own(WORLDS[world])
    agree(model, against(model, WORLDS[world].data()), SHARED_KL_ONCE, *known)


@pytest.mark.parametrize(
    "pattern, known", [(("a",), ()), (("a", "b"), (SHARED_KL_ONCE,)), (("b", "c"), (SHARED_KL_ONCE, PADDING))]
)
def test_rows_of_one_pattern(pattern: tuple[str, ...], known: tuple[Difference, ...]) -> None:
    model = own(WORLDS["three"])
    agree(model, against(model, Rows(THREE.data(), {pattern: range(5)})), *known)


def test_rows_of_several_patterns() -> None:
    model = own(WORLDS["three"])
    agree(model, against(model, Rows(THREE.data(), PATTERNS)), SHARED_KL_ONCE, PADDING)


@pytest.mark.parametrize(
    "change",
    [
        {"beta": BETA * (1 + 1e-6)},
        {"modalities_specific_betas": {"a": PRIVATE_BETA, "b": PRIVATE_BETA * (1 + 1e-6)}},
    ],
)
def test_another_weight_is_seen(change: dict[str, Any]) -> None:
    model = own(WORLDS["two"])
    differ(model, against(model, TWO.data(), **change), SHARED_KL_ONCE)


def own(world: World) -> DMVAE:
    """Our model in its default form, with private parts of two dimensions."""
    model = ours("dmvae", world, beta=BETA, private_beta=PRIVATE_BETA, private=2)
    assert isinstance(model, DMVAE)
    return model


def against(model: DMVAE, rows: Rows | Mapping[str, Tensor], **config: Any) -> Run:
    """Our loss of the rows, and multivae's, with masks or of complete values."""
    masked = rows if isinstance(rows, Rows) else Rows(rows, {tuple(model.modalities): range(len(rows["a"]))})
    names, default = list(model.modalities), DMVAE.Settings().form
    config = {
        "split": size_of(model.layout.shared),
        "modalities_specific_dim": dict.fromkeys(names, 2),
        "modalities_specific_betas": dict.fromkeys(names, PRIVATE_BETA),
        "beta": BETA,
        **config,
    }

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        model.settings = replace(model.settings, form="multivae" if undo(SHARED_KL_ONCE) else default)
        tapes = {pattern: Tape(seed) for seed, pattern in enumerate(masked.patterns)}
        losses = [len(i) * model.objective(masked.observed(p), noise=tapes[p]).loss for p, i in masked.patterns.items()]
        with played([z for source in (PRODUCT, *names) for z in noise_of(model, masked, tapes, source)]):
            theirs = peer("DMVAE", model, **config)(inputs_of(model, rows, undo)).loss
        return torch.stack(losses).sum() / masked.count, theirs

    return run


def noise_of(model: DMVAE, rows: Rows, tapes: Mapping[tuple[str, ...], Tape], source: str) -> list[Tensor]:
    """The noise of z from a source and of each modality's private code beside it, zero in rows that lack them.

    Ours has one sample of each private code for every source, `[sources, B, D]`: the observed modalities by name, and
    the product last.
    """
    holding = {p: tape for p, tape in tapes.items() if source in (PRODUCT, *p)}
    place = {p: sorted(p).index(source) if source in p else len(p) for p in holding}
    shared = {p: tape[f"{source}/z"] for p, tape in holding.items()}
    found = [rows.together(shared) if shared else torch.zeros(1, rows.count, size_of(model.layout.shared))]
    for name, part in model.layout.private.items():
        own = {p: tape[f"private/{name}/z"][place[p] :][:1] for p, tape in holding.items() if name in p}
        found.append(rows.together(own) if own else torch.zeros(1, rows.count, size_of(part)))
    return found
