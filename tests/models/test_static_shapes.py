"""What training on CUDA relies on: shapes that follow from shapes change no number, nor does `progress` unsaid."""

from dataclasses import replace

import pytest
import torch

from mmbench.models.base import MODELS
from mmbench.testing.small_models import make_model, rows, some_modalities, step_noise, trainable_observations, variants


def evaluations(kind, settings, count, *, static=False, progress=1.0):
    """Loss and gradients for every pattern that the model learns from and every stage, in float64."""
    model = make_model(kind, modalities=some_modalities(count), **settings)
    model.execution = replace(model.execution, tolerance=0.0, static=static)
    values = rows(model, 12)
    for names in trainable_observations(model):
        for stage in model.stages:
            model.zero_grad()
            part = {name: values[name] for name in names}
            found = model.objective(part, noise=step_noise(3), progress=progress, stage=stage.name)
            if found.loss.requires_grad:
                found.loss.backward()
            yield found.loss.detach(), [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]


def same(one, other):
    return all(
        torch.allclose(a, b, rtol=1e-7, atol=1e-9) and all(map(torch.allclose, c, d))
        for (a, c), (b, d) in zip(one, other, strict=True)
    )


def counts(kind):
    return [count for count in (2, 3) if count <= (kind.facts.modalities_max or count)]


@pytest.mark.parametrize("name", sorted(MODELS.builtin()))
def test_static_shapes_change_neither_loss_nor_gradients(name):
    kind = MODELS[name]
    for settings in variants(kind):
        for count in counts(kind):
            assert same(evaluations(kind, settings, count), evaluations(kind, settings, count, static=True))


@pytest.mark.parametrize("name", sorted(MODELS.builtin()))
def test_the_objective_follows_progress_where_the_model_says_so(name):
    """A recorded step has its `progress` baked in."""
    kind = MODELS[name]
    for settings in variants(kind):
        model = make_model(kind, modalities=some_modalities(counts(kind)[0]), **settings)
        early, late = (evaluations(kind, settings, counts(kind)[0], progress=p) for p in (0.1, 0.7))
        assert same(early, late) is not model.follows_progress, settings


@pytest.mark.parametrize("name", ["mvae", "jmvae", "nexus", "mhvae"])
def test_annealing_is_said(name):
    assert make_model(MODELS[name], anneal=0.5).follows_progress
    assert not make_model(MODELS[name]).follows_progress
