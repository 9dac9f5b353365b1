"""Nexus."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli

from mmbench.models.nexus import NEXUS
from mmbench.models.private import size_of
from tests.parity.comparison import Run, Undo, agree, differ
from tests.parity.differences import EPOCHS, NO_DROPOUT_WITH_MASKS, PADDING, Difference
from tests.parity.noise import Tape, played
from tests.parity.shells import inputs_of, library, ours, peer
from tests.parity.worlds import BINARY, THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

WEIGHTS = {"beta": 1.7, "beta_top": 0.6, "gamma": 2.5}
PATTERNS = {("a", "b", "c"): (0, 4), ("a", "c"): (2,), ("b",): (1, 3)}
WORLDS = {"two": replace(TWO, latent=7), "three": replace(THREE, latent=9), "binary": replace(BINARY, latent=7)}


@pytest.mark.parametrize("rho", [0.0, 0.6])
@pytest.mark.parametrize("world, known", [("two", ()), ("three", (PADDING,)), ("binary", ())])
def test_complete_rows(world: str, known: tuple[Difference, ...], rho: float) -> None:
    model = own(WORLDS[world], rho=rho)
    agree(model, against(model, WORLDS[world].data(8)), *known)


@pytest.mark.parametrize("pattern, known", [(("a",), ()), (("a", "b"), (NO_DROPOUT_WITH_MASKS,))])
def test_rows_of_one_pattern(pattern: tuple[str, ...], known: tuple[Difference, ...]) -> None:
    model = own(WORLDS["three"], rho=0.6)
    agree(model, against(model, Rows(THREE.data(), {pattern: range(5)})), *known)


def test_rows_of_several_patterns() -> None:
    model = own(WORLDS["three"], rho=0.6)
    agree(model, against(model, Rows(THREE.data(), PATTERNS)), NO_DROPOUT_WITH_MASKS, PADDING)


@pytest.mark.parametrize("epoch", [1, 3])
def test_warm_up(epoch: int) -> None:
    model = own(WORLDS["two"], rho=0.0, anneal=1.0)
    agree(model, against(model, TWO.data(), epoch=epoch, warmup=10), EPOCHS)


@pytest.mark.parametrize("change", [{"top_beta": 0.6 * (1 + 1e-6)}, {"gammas": {"a": 2.5, "b": 2.5 * (1 + 1e-6)}}])
def test_another_weight_is_seen(change: dict[str, Any]) -> None:
    model = own(WORLDS["two"], rho=0.0)
    differ(model, against(model, TWO.data(), **change))


def own(world: World, **settings: Any) -> NEXUS:
    """Our model, with codes of two dimensions and messages of four."""
    model = ours("nexus", world, **{"private": 2, "message": 4, **WEIGHTS, **settings})
    assert isinstance(model, NEXUS)
    return model


def against(model: NEXUS, rows: Rows | Mapping[str, Tensor], *, epoch: int = 1, warmup: int = 1, **config: Any) -> Run:
    """Our loss of the rows, and multivae's, with masks or of complete values."""
    masked = rows if isinstance(rows, Rows) else Rows(rows, {tuple(model.modalities): range(len(rows["a"]))})
    names, rho = list(model.modalities), model.settings.rho

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        model.settings = replace(model.settings, rho=0.0 if undo(NO_DROPOUT_WITH_MASKS) else rho)
        tapes = {pattern: Tape(seed) for seed, pattern in enumerate(masked.patterns)}
        progress = epoch / warmup if undo(EPOCHS) else 1.0
        losses = [
            len(index) * model.objective(masked.observed(p), noise=tapes[p], progress=progress).loss
            for p, index in masked.patterns.items()
        ]
        codes = [{p: tape[f"{n}/z"] for p, tape in tapes.items() if n in p} for n in names]
        top = masked.together({p: tape["top/z"] for p, tape in tapes.items()})
        noise = [masked.together(some) if some else torch.zeros(1, masked.count, 2) for some in codes]
        other = other_of(model, warmup=warmup, **config)
        with played([*noise, top]), dropping(model, tapes, masked, complete=not isinstance(rows, Rows)):
            theirs = other(inputs_of(model, rows, undo), epoch=epoch).loss
        return torch.stack(losses).sum() / masked.count, theirs

    return run


@contextmanager
def dropping(model: NEXUS, tapes: Mapping[Any, Tape], rows: Rows, *, complete: bool) -> Iterator[None]:
    """multivae keeps the messages, row by row, that our model keeps; with masks it draws nothing."""
    if not complete:
        yield
        return
    (pattern,) = rows.patterns
    found = model._kept(len(pattern), rows.count, tapes[pattern].child("top"))
    kept = torch.ones(len(pattern), rows.count, dtype=torch.bool) if found is None else found[:, 0]
    dropped = [not row.all() for row in kept.T]
    sizes = [int(row.sum()) for row in kept.T if not row.all()]
    orders = [torch.argsort(~row, stable=True) for row in kept.T if not row.all()]
    with (
        mock.patch.object(Bernoulli, "sample", side_effect=[torch.tensor(float(each)) for each in dropped]) as drawn,
        mock.patch("numpy.random.randint", side_effect=sizes),
        mock.patch("torch.randperm", side_effect=orders),
    ):
        yield
        assert drawn.call_count == rows.count


def other_of(model: NEXUS, **config: Any) -> Any:
    """multivae's model around our networks of both levels."""
    own, top, names = model.settings, model.top, list(model.modalities)
    shared = {
        "latent_dim": size_of(model.layout.shared),
        "modalities_specific_dim": {name: size_of(part) for name, part in model.layout.private.items()},
        "dropout_rate": own.rho,
        "msg_dim": own.message,
        "bottom_betas": dict.fromkeys(names, own.beta),
        "top_beta": own.beta_top,
        "gammas": dict.fromkeys(names, own.gamma),
    }
    networks = {
        "top_encoders": {name: message_shell(top.messages[name]) for name in names},
        "joint_encoder": message_shell(nn.Sequential(top.trunk, top.location), nn.Sequential(top.trunk, top.scale)),
        "top_decoders": {name: code_shell(top.codes[name]) for name in names},
    }
    return peer("Nexus", model, networks=networks, **{**shared, **config})


def message_shell(location: nn.Module, scale: nn.Module | None = None) -> Any:
    """multivae's encoder of vectors, with a scale or without."""
    lib = library()

    class Message(lib.BaseEncoder):
        def __init__(self) -> None:
            lib.BaseEncoder.__init__(self)
            self.location, self.scale = location, scale

        def forward(self, x: Tensor) -> Any:
            spread = {} if self.scale is None else {"log_covariance": 2 * self.scale(x).log()}
            return lib.ModelOutput(embedding=self.location(x), **spread)

    return Message()


def code_shell(body: nn.Module) -> Any:
    """multivae's decoder of vectors."""
    lib = library()

    class Code(lib.BaseDecoder):
        def __init__(self) -> None:
            lib.BaseDecoder.__init__(self)
            self.body = body

        def forward(self, z: Tensor) -> Any:
            return lib.ModelOutput(reconstruction=self.body(z))

    return Code()
