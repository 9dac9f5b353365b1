"""Gradients against the loss itself: with the noise fixed, a loss is a function of the weights, and autograd's gradient
is its derivative, unless the method holds something constant. A detached tensor too many does not change any value.
"""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.models import MODELS, MultimodalVAE
from mmbench.models.execution import PLAIN
from mmbench.testing.checks import noise
from mmbench.testing.for_models import make_model, rows, variants
from mmbench.training.stages import enter_stage, trainable

STEP = 3e-8  # small, since networks with ReLUs have kinks
MORE: list[tuple[str, dict[str, Any]]] = [
    ("meme", {"own": "one", "detach_weight": False}),
    ("meme", {"own": "all", "detach_weight": False, "kl": "analytic"}),
    ("mmvae", {"objective": "elbo"}),
    ("mmvae", {"objective": "iwae", "looser": False}),
    ("mmvae", {"objective": "naive"}),
    ("mmvaeplus", {"objective": "dreg"}),
    ("mmvaeplus", {"looser": False, "learn_prior": True}),
    ("mmvaeplus", {"cross": "own"}),
    ("cmvae", {"cross": "prior", "looser": False}),
]


def held_constant(model: MultimodalVAE) -> str:
    """What a method's gradient treats as a constant; empty where nothing is."""
    settings: Any = model.settings
    if model.name == "meme" and settings.detach_weight:
        return "the weight w(z) (appendix B)"
    if model.name in ("mmvae", "mmvaeplus", "cmvae") and settings.objective.startswith("dreg"):
        return "the posteriors' parameters inside log q, and the normalised weights"
    if model.name == "telbo" and settings.training == "stop-gradient":
        return "the decoders in the ELBOs of single modalities"
    if model.name == "mfm" and settings.detach_codes:
        return "the codes as targets of the surrogates"
    if model.name == "nexus":
        return "the codes as inputs and targets of the top level"
    return ""


CASES = [(name, settings) for name, kind in MODELS.builtin().items() for settings in variants(kind)] + MORE


def slopes(model: MultimodalVAE, values: Mapping[str, Tensor], stage: str) -> tuple[float, float]:
    """The loss's derivative along a random direction of all weights that are trained: autograd's, and measured."""
    weights = [p for p in model.parameters() if p.requires_grad]
    source = torch.Generator().manual_seed(0)
    directions = [torch.randn(p.shape, generator=source, dtype=p.dtype) for p in weights]
    model.zero_grad()
    loss = model.objective(values, noise=noise(), stage=stage).loss
    if loss.requires_grad:  # a stage may have nothing to learn from a pattern
        loss.backward()
    found = sum(float((p.grad * d).sum()) for p, d in zip(weights, directions, strict=True) if p.grad is not None)
    losses = []
    with torch.no_grad():
        for step in (-STEP, 2 * STEP):
            for p, d in zip(weights, directions, strict=True):
                p.add_(step * d)
            losses.append(float(model.objective(values, noise=noise(), stage=stage).loss))
    return found, (losses[1] - losses[0]) / (2 * STEP)


def agree(pair: tuple[float, float]) -> bool:
    return pair[0] == pytest.approx(pair[1], rel=1e-6, abs=1e-6)


def all_slopes(name: str, settings: Mapping[str, Any]) -> list[tuple[float, float]]:
    """In every stage, for rows with all modalities and for rows with the first alone, where the model bears them."""
    found = []
    for stage in make_model(MODELS[name], **settings).stages:
        for count in (1, None):
            model = make_model(MODELS[name], **settings)
            names = list(model.modalities)[:count]
            if model.cannot_bear(names) is None:
                model.execution = PLAIN  # differentiate every sample, not only those that carry weight
                enter_stage(model, stage, trainable(model))
                found.append(slopes(model, {n: rows(model)[n] for n in names}, stage.name))
    return found


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_the_gradient_is_the_losss_derivative_unless_something_is_held_constant(name, settings):
    held = held_constant(make_model(MODELS[name], **settings))
    found = all_slopes(name, settings)
    assert found
    assert all(agree(pair) for pair in found) == (not held), held
