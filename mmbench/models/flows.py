"""Normalising flows over the latent: invertible maps u = F(z) with a tractable Jacobian, and posteriors made of them.

    log q(z) = log N(F(z); mu, diag sigma^2) + log |det dF/dz|,    a sample is F^-1(mu + sigma eps).

The maps are those of the package `zuko` (Rozet et al. 2022), composed of affine transforms of each dimension given
others. Their parameters come from masked networks (Germain et al., MADE, ICML 2015), the order turns from transform to
transform, and log scales are kept within +-log 1000.

    maf        each dimension given all before it (Papamakarios, Pavlakou & Murray, Masked Autoregressive Flow for
               Density Estimation, NIPS 2017): F takes one pass through each network, F^-1 as many as D dimensions;
    coupling   the second half given the first (Dinh, Sohl-Dickstein & Bengio, Density estimation using Real NVP, ICLR
               2017): F takes one pass through each network, F^-1 two;
    none       the identity: the posterior is the Gaussian.

An inverse autoregressive flow is `maf` with F and F^-1 exchanged. It samples in one pass, but what is trained here is
the density of given z, which would take D passes each.
"""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from mmbench.models.posteriors import Gaussian, Transported

__all__ = ["FLOWS", "Flow", "FlowPosterior"]

FLOWS = ("maf", "coupling", "none")

SMALL = 0.01
"""What the last layers' weights are multiplied with at the start, so that F is close to the identity."""


@final
class Flow(nn.Module):
    """An invertible map of `[..., D]`, close to the identity at the start.

    Args:
        kind: one of `FLOWS`.
        dim: D.
        transforms: how many are composed.
        hidden, layers: width and number of the hidden layers of each one's network.
    """

    def __init__(self, kind: str, dim: int, *, transforms: int, hidden: int, layers: int) -> None:
        super().__init__()
        orders = torch.arange(dim), torch.arange(dim).flip(0)
        made = [] if kind == "none" else range(transforms)
        self.transforms = nn.ModuleList(
            _autoregressive()(
                dim, passes=2 if kind == "coupling" else None, order=orders[i % 2], hidden_features=[hidden] * layers
            )
            for i in made
        )
        for transform in self.transforms:
            _shrink(transform)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """F(z) `[..., D]` and log |det dF/dz| `[...]`."""
        log_det = z.new_zeros(z.shape[:-1])
        for transform in self.transforms:
            z, found = transform().call_and_ladj(z)
            log_det = log_det + found
        return z, log_det

    def inverse(self, u: Tensor) -> Tensor:
        """F^-1(u), `[..., D]`."""
        for transform in list(self.transforms)[::-1]:
            u = transform().inv(u)
        return u


@final
@dataclass(frozen=True)
class FlowPosterior(Transported):
    """The Gaussian `base` over u = F(z), as a posterior over z."""

    base: Gaussian
    flow: Flow

    @property
    def shape(self) -> tuple[int, int]:
        return self.base.shape

    def rows(self, index: Tensor) -> "FlowPosterior":
        return FlowPosterior(self.base.rows(index), self.flow)

    def transport(self, eps: Tensor) -> Tensor:
        return self.flow.inverse(self.base.transport(eps))

    def log_prob(self, z: Tensor) -> Tensor:
        found: tuple[Tensor, Tensor] = self.flow(z)
        u, log_det = found
        return self.base.log_prob(u) + log_det


def _autoregressive() -> Any:
    """zuko's transform; its import switches torch's argument checks off for the whole process, which is undone."""
    from torch.distributions import Distribution

    checks: bool = Distribution._validate_args  # torch has a setter, but no public way to ask
    from zuko.flows import MaskedAutoregressiveTransform

    Distribution.set_default_validate_args(checks)
    return MaskedAutoregressiveTransform


def _shrink(transform: Any) -> None:
    """Bring a transform close to the identity; its first dimension, which is given nothing, all the way."""
    with torch.no_grad():
        if hasattr(transform, "hyper"):
            last = transform.hyper[-1]
            last.weight.mul_(SMALL)
            last.bias.zero_()
        else:  # of a single dimension zuko makes a transform without a network
            for parameter in transform.parameters():
                parameter.zero_()
