"""Scoring without autograd and differentiating what carries weight: the same values and gradients as the plain path."""

import pytest
import torch

from mmbench.modality import ModalitySpec
from mmbench.models import MODELS, Architecture, MultimodalVAE, build
from mmbench.models.bounds import NEGLIGIBLE, refined
from mmbench.seeding import StepNoise
from mmbench.testing.checks import gradients, noise
from mmbench.testing.for_models import make_model, rows

CASES = [
    ("meme", {"own": "one"}),
    ("meme", {"own": "one", "c": 1.0}),
    ("meme", {"own": "one", "kl": "analytic", "reduction": "sum"}),
    ("meme", {"own": "one", "logq": "sum"}),
    ("meme", {"own": "one", "detach_weight": False}),
    ("meme", {"own": "all"}),
    ("mmvae", {"objective": "iwae", "looser": True}),
    ("mmvae", {"objective": "iwae", "looser": False}),
    ("mmvae", {"objective": "dreg"}),
    ("mmvae", {"objective": "dreg-released", "family": "laplace", "learn_prior": True}),
]


def loss_and_gradients(model: MultimodalVAE, values, threshold: float):  # type: ignore[no-untyped-def]
    model.negligible = threshold
    model.zero_grad()
    loss = model.objective(values, noise=noise()).loss
    loss.backward()
    return loss.detach(), torch.cat([g.flatten() for g in gradients(model).values()])


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_gradients_equal_the_plain_paths_up_to_the_threshold(name, settings):
    """A threshold below 0 differentiates every sample: the plain path. Sharp likelihoods leave few samples weight."""
    model = make_model(MODELS[name], k=8, **settings)
    object.__setattr__(model.arch, "scale", 0.1)
    values = {n: rows(model, 20)[n] for n in list(model.modalities)[:2]}
    plain_loss, plain = loss_and_gradients(model, values, -1.0)
    for threshold in (0.0, NEGLIGIBLE):
        loss, found = loss_and_gradients(model, values, threshold)
        assert torch.allclose(loss, plain_loss, rtol=1e-12)
        assert (found - plain).norm() <= 100 * max(threshold, 1e-12) * plain.norm()
    _, rough = loss_and_gradients(model, values, 0.3)
    assert (rough - plain).norm() > 1e-4 * plain.norm(), "the threshold must act"


def test_only_the_chosen_entries_are_differentiated():
    weight = torch.tensor(2.0, requires_grad=True)
    scores = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    carrying = torch.tensor([[True, False], [True, True]])
    seen = []

    def differentiate(samples: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        seen.extend(zip(samples.tolist(), which.tolist(), strict=True))
        return scores[samples, which] * weight / 2

    found = refined(scores, carrying, differentiate)
    assert torch.equal(found, scores)
    assert seen == [(0, 0), (1, 0), (1, 1)]
    found.sum().backward()
    assert weight.grad == pytest.approx((1.0 + 3.0 + 4.0) / 2)


def test_convolutional_decoders_in_float32_agree_too():
    """The released networks: picked rows are decoded in another grouping, which float32 may round differently."""
    specs = (ModalitySpec("grey", "image", (1, 28, 28)), ModalitySpec("colour", "image", (3, 32, 32)))
    arch = Architecture(networks="released", latent_dim=8)
    torch.manual_seed(0)
    kind = MODELS["mmvae"]
    model = kind(specs, kind.Settings(k=3), arch, {spec.name: build(spec, arch) for spec in specs})
    values = {spec.name: torch.rand(5, *spec.shape) for spec in specs}
    results = []
    for threshold in (-1.0, NEGLIGIBLE):
        model.negligible = threshold
        model.zero_grad()
        loss = model.objective(values, noise=StepNoise(0)).loss
        loss.backward()
        results.append(torch.cat([g.flatten() for g in gradients(model).values()]))
    assert (results[0] - results[1]).norm() <= 1e-4 * results[0].norm()
