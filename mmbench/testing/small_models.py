"""What the checks of models work with: small networks in float64, random rows, every pattern, variant and stage."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from mmbench.config import parse_settings
from mmbench.modality import Batch, ModalitySpec, Tokens
from mmbench.models.architecture import Architecture
from mmbench.models.base import MultimodalVAE, Objective
from mmbench.seeding import Noise, StepNoise
from mmbench.training.stages import enter_stage, trainable

__all__ = [
    "MODALITIES",
    "ROWS",
    "TEXT",
    "Kind",
    "cases_of",
    "each_case",
    "evaluated",
    "loss_of",
    "make_model",
    "observations",
    "rows",
    "some_modalities",
    "step_noise",
    "trainable_observations",
    "variants",
]

Kind = type[MultimodalVAE]

MODALITIES = (
    ModalitySpec("a", "image", (1, 4, 4)),
    ModalitySpec("b", "image", (3, 3, 3)),
    ModalitySpec("c", "vector", (5,)),
)
TEXT = ModalitySpec("text", "tokens", (3,), Tokens(5, ignored=0))
LATENT = 6
ROWS = 6


def some_modalities(count: int) -> tuple[ModalitySpec, ...]:
    """The first `count` modalities; the fourth is a text, and beyond it they are vectors."""
    more = (ModalitySpec(f"more-{i}", "vector", (4,)) for i in range(count - len(MODALITIES) - 1))
    return (*MODALITIES, TEXT, *more)[:count]


def make_model(
    kind: Kind,
    *,
    seed: int = 0,
    reverse: bool = False,
    modalities: Sequence[ModalitySpec] | None = None,
    **settings: Any,
) -> MultimodalVAE:
    """The model with small networks in float64, by default on as many of the three modalities as it takes."""
    specs = modalities or MODALITIES[: kind.facts.modalities_max or len(MODALITIES)]
    latent = LATENT if LATENT % len(specs) == 0 else LATENT * len(specs)  # some models divide z among the modalities
    latent += len(specs) * (settings.get("private") or 0)  # private parts of a given size come beside it
    arch = Architecture(networks="small", latent_dim=latent, likelihood="normal", scale=0.5)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        ordered = specs[::-1] if reverse else specs
        own: Any = parse_settings(kind.Settings, settings, "model")
        model = kind(ordered, own, arch, kind.coders(ordered, own, arch)).double()
    model.initialise(Batch(rows(model, 9, seed=1)))
    return model


def variants(kind: Kind) -> list[dict[str, Any]]:
    """The model settings of all presets, each once: the forms of the model that its file offers by name."""
    found: list[dict[str, Any]] = []
    for name in sorted(kind.presets, key=lambda name: name != "common"):
        values = dict(kind.presets[name].get("model", {}))
        if values not in found:
            found.append(values)
    return found


def rows(model: MultimodalVAE, count: int = ROWS, *, seed: int = 0) -> dict[str, Tensor]:
    """Random rows of every modality: numbers in [0, 1], or tokens."""
    source = torch.Generator().manual_seed(seed)
    return {name: _rows(spec, count, source) for name, spec in sorted(model.modalities.items())}


def _rows(spec: ModalitySpec, count: int, source: torch.Generator) -> Tensor:
    if spec.tokens is not None:
        return torch.randint(spec.tokens.vocabulary, (count, *spec.shape), generator=source, dtype=torch.int16)
    return torch.rand(count, *spec.shape, generator=source, dtype=torch.float64)


def observations(model: MultimodalVAE) -> list[tuple[str, ...]]:
    """Every non-empty set of modalities, smallest first."""
    names = tuple(model.modalities)
    return [some for size in range(1, len(names) + 1) for some in combinations(names, size)]


def trainable_observations(model: MultimodalVAE) -> list[tuple[str, ...]]:
    """The observation patterns that the model says it can learn from."""
    return [names for names in observations(model) if model.cannot_bear(names) is None]


def evaluated(model: MultimodalVAE, values: Mapping[str, Tensor], noise: Noise, stage: str) -> Objective:
    """The objective with fresh gradients."""
    model.zero_grad(set_to_none=True)
    found = model.objective(values, noise=noise, stage=stage)
    if found.loss.requires_grad:  # a stage may have nothing to learn from a pattern
        found.loss.backward()  # type: ignore[no-untyped-call]  # torch: no types
    return found


def loss_of(model: MultimodalVAE, values: Mapping[str, Tensor], noise: Noise, stage: str) -> Tensor:
    """The loss alone, without gradients: for checks of its value."""
    with torch.no_grad():
        return model.objective(values, noise=noise, stage=stage).loss


def step_noise(key: int = 0) -> StepNoise:
    """Noise in float64."""
    return StepNoise(key, dtype=torch.float64)


def each_case(kind: Kind) -> Iterator[tuple[MultimodalVAE, dict[str, Tensor], str]]:
    """A fresh model with values, for every variant, every pattern it can learn from and every stage."""
    for settings in variants(kind):
        yield from cases_of(kind, settings)


def cases_of(
    kind: Kind, settings: Mapping[str, Any], *, modalities: Sequence[ModalitySpec] | None = None
) -> Iterator[tuple[MultimodalVAE, dict[str, Tensor], str]]:
    """A fresh model with values, for every pattern it can learn from and every stage."""
    probe = make_model(kind, modalities=modalities, **settings)
    for names in trainable_observations(probe):
        for stage in probe.stages:
            model = make_model(kind, modalities=modalities, **settings)
            enter_stage(model, stage, trainable(model))
            yield model, {n: v for n, v in rows(model).items() if n in names}, stage.name
