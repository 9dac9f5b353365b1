"""MHVAE, with posteriors of all subsets."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from mmbench.models.mhvae import MHVAE
from tests.parity.comparison import Run, Undo, agree, differ
from tests.parity.differences import BATCH_SUM, LEVELS_ABOVE, PADDING, POE_EPS, SUBSETS_OF_ALL, Difference
from tests.parity.noise import Tape, played
from tests.parity.shells import inputs_of, library, ours, peer
from tests.parity.worlds import BINARY, THREE, TWO, Rows, World

pytestmark = pytest.mark.parity

BETA = 1.7


@pytest.mark.parametrize("levels, above", [(2, ()), (3, (LEVELS_ABOVE,))])
@pytest.mark.parametrize("world, known", [(TWO, ()), (THREE, (PADDING,)), (BINARY, ())])
def test_complete_rows(world: World, known: tuple[Difference, ...], levels: int, above: tuple[Difference, ...]) -> None:
    model = own(world, levels=levels)
    agree(model, against(model, world.data()), BATCH_SUM, POE_EPS, *above, *known)


@pytest.mark.parametrize("pattern, known", [(("a",), ()), (("a", "b"), ()), (("a", "c"), (PADDING,))])
def test_rows_of_one_pattern(pattern: tuple[str, ...], known: tuple[Difference, ...]) -> None:
    model = own(THREE, levels=3)
    run = against(model, Rows(THREE.data(), {pattern: range(5)}))
    agree(model, run, BATCH_SUM, POE_EPS, LEVELS_ABOVE, SUBSETS_OF_ALL, *known)


def test_another_weight_is_seen() -> None:
    model = own(TWO)
    differ(model, against(model, TWO.data(), beta=BETA * (1 + 1e-6)), BATCH_SUM, POE_EPS)


def own(world: World, *, levels: int = 2) -> MHVAE:
    """Our model, of two dimensions a level."""
    model = ours("mhvae", replace(world, latent=2 * levels), beta=BETA, levels=levels)
    assert isinstance(model, MHVAE)
    return model


def against(model: MHVAE, rows: Rows | Mapping[str, Tensor], **config: Any) -> Run:
    """Our loss of rows of one pattern, and multivae's, with masks or of complete values."""
    masked = rows if isinstance(rows, Rows) else Rows(rows, {tuple(model.modalities): range(len(rows["a"]))})
    (pattern,) = masked.patterns
    by_size = [s for size in range(1, 4) for s in combinations(model.modalities, size)]

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        from multivae.models.mhvae import mhvae_model

        tape, losses = Tape(1), {}
        mine = model.objective(masked.observed(pattern), noise=tape).loss
        other = other_of(model, undo, **config)
        loss_of, poe, eps = other._loss_subset, mhvae_model.poe, 0.0 if undo(POE_EPS) else 1e-8

        def keeping(inputs: Any, top: Any, skips: Any, subset: tuple[str, ...]) -> Any:
            losses[subset], terms = loss_of(inputs, top, skips, subset)
            return losses[subset], terms

        with (
            played(noise_of(model, tape["z"], by_size, pattern)),
            mock.patch.object(mhvae_model, "poe", lambda *of: poe(*of, eps=eps)),
            mock.patch.object(other, "_loss_subset", keeping),
        ):
            theirs = other(inputs_of(model, rows, undo)).loss
        assert list(losses) == by_size
        if undo(SUBSETS_OF_ALL):
            theirs = torch.stack([losses[subset] for subset in by_size if set(subset) <= set(pattern)]).mean()
        return mine, theirs / masked.count if undo(BATCH_SUM) else theirs

    return run


def noise_of(model: MHVAE, z: Tensor, by_size: list[tuple[str, ...]], pattern: tuple[str, ...]) -> list[Tensor]:
    """In multivae's order: of each subset, by its size, the noise of each level from the highest down.

    Ours is `[subsets, B, D]`, a subset's index being one less than the sum of 2^i over its members, the i-th by name.
    Subsets that are not of the pattern get zeros.
    """
    place = {name: 2**i for i, name in enumerate(sorted(pattern))}
    found = []
    for subset in by_size:
        known = set(subset) <= set(pattern)
        index = sum(place[name] for name in subset) - 1 if known else 0
        own = z[index : index + 1] if known else torch.zeros_like(z[:1])
        found += [own[..., level] for level in reversed(model.levels)]
    return found


def other_of(model: MHVAE, undo: Undo, **config: Any) -> Any:
    """multivae's model around our networks.

    Its encoders give the features of our trunks, which all levels read; its top-down blocks pass on the level above.
    """
    lib, count = library(), len(model.levels)
    memory: dict[int, Tensor] = {}

    class Shell(lib.BaseEncoder):
        """An encoder of multivae from a function of what it reads."""

        def __init__(self, function: Any, *networks: nn.Module) -> None:
            lib.BaseEncoder.__init__(self)
            self.function, self.networks = function, nn.ModuleList(networks)

        def forward(self, x: Tensor) -> Any:
            location, scale = self.function(x)
            return lib.ModelOutput(embedding=location, log_covariance=2 * scale.log())

    class Down(nn.Module):
        """Level `above` (from 0 for z_1) and, where it remembers, all further up."""

        def __init__(self, above: int) -> None:
            super().__init__()
            self.above = above

        def forward(self, z: Tensor) -> Tensor:
            memory[self.above] = z
            parts = [memory[level] for level in range(self.above, count)]
            if not undo(LEVELS_ABOVE):
                parts[1:] = [torch.zeros_like(part) for part in parts[1:]]
            return torch.cat(parts, -1)

    def expert(network: Any, above: int) -> Any:
        return Shell(lambda x: network(x[:, :above], network.hint(x[:, above:])), network)

    def features(encoder: Any, tokens: bool) -> Any:
        def apply(x: Tensor) -> tuple[Tensor, Tensor]:
            found = encoder.trunk(x.argmax(-1) if tokens else x)
            return found, torch.ones_like(found)

        return Shell(apply, encoder.trunk)

    def top(encoder: Any) -> Any:
        return Shell(lambda x: (encoder.location(x), encoder.scale(x)), encoder.location, encoder.scale)

    sizes = [model.arch.latent_dim - part.stop for part in model.levels[:-1]]
    networks = {
        "bottom_up_blocks": {
            name: [*(nn.Identity() for _ in range(count - 2)), top(encoder)] for name, encoder in model.encoders.items()
        },
        "top_down_blocks": [Down(level) for level in range(1, count)],
        "prior_blocks": [Shell(network, network) for network in model.priors],
        "posterior_blocks": {
            name: [expert(network, above) for network, above in zip(model.experts[name], sizes, strict=True)]
            for name in model.modalities
        },
    }
    encoders = {
        name: features(model.encoders[name], spec.tokens is not None) for name, spec in model.modalities.items()
    }
    settings = {"n_latent": count, "beta": BETA, **config}
    return peer("MHVAE", model, networks=networks, encoders=encoders, **settings)
