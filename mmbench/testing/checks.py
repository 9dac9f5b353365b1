"""Small tools for tests of models: injected noise, replicated rows, gradients, and a two-sided statistical check."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmbench.models.base import MultimodalVAE
from mmbench.seeding import Noise, StepNoise

__all__ = ["ZeroNoise", "gradients", "noise", "repeated", "within"]


class ZeroNoise(Noise):
    """All samples at the location: every sample of a posterior is the same."""

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64)

    def child(self, name: str) -> "ZeroNoise":
        return self


def noise(key: int = 0) -> StepNoise:
    """Step noise in float64."""
    return StepNoise(key, dtype=torch.float64)


def repeated(values: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    """The first row of every modality, `rows` times: a batch of independent replicates."""
    return {name: x[:1].expand(rows, *x.shape[1:]).contiguous() for name, x in values.items()}


def gradients(model: MultimodalVAE) -> dict[str, Tensor]:
    """A copy of each parameter's gradient, zeros where there is none."""
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.detach().clone() for name, p in model.named_parameters()
    }


def within(samples: Tensor, exact: Tensor | float, *, sigmas: float = 5.0) -> bool:
    """Whether the mean of samples `[n, ...]` lies within `sigmas` standard errors of the exact value, everywhere."""
    error = samples.std(0) / len(samples) ** 0.5
    return bool(((samples.mean(0) - exact).abs() <= sigmas * error + 1e-12).all())
