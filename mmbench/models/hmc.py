"""Hamiltonian Monte Carlo: samples of an unnormalised density by its gradient (Neal, MCMC using Hamiltonian dynamics,
Handbook of Markov Chain Monte Carlo, 2011, arXiv:1206.1901).

One chain for each sample of each row, all at once, and each with nothing of its own but its start and its noise: a
row's samples do not depend on its batch. A transition draws a momentum, follows L leapfrog steps, and is accepted with
probability min(1, exp(H_before - H_after)). Dimensions are measured in a given scale, which is the mass matrix
diag(scale^-2).

The step starts at a quarter of the period of a Gaussian of that scale, pi / (2 L), where the first transition forgets
its start, and never grows beyond. In the first half of the transitions each chain fits its own step to an acceptance
of 0.8 (Robbins & Monro 1951); in the second half it is fixed, so that the target is left invariant. Each transition's
step is within a fifth of the chain's, lest a trajectory close upon itself. What comes out of the last transition is the
sample: approximate, as good as the start and the number of transitions make it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.seeding import Noise

__all__ = ["Chains", "hamiltonian"]

WANTED = 0.8
JITTER = 0.2

LogDensity = Callable[[Tensor], Tensor]
"""z `[K, B, D]` to log densities `[K, B]` up to a constant a row."""


@dataclass(frozen=True)
class Chains:
    """Where the chains end.

    Attributes:
        z: the last states `[K, B, D]`, without a graph.
        acceptance: mean probability of acceptance of each chain's second half, `[K, B]`.
        step: each chain's step in units of the scale, `[K, B]`.
    """

    z: Tensor
    acceptance: Tensor
    step: Tensor


def hamiltonian(
    log_density: LogDensity, start: Tensor, scale: Tensor, *, steps: int, leapfrogs: int, noise: Noise
) -> Chains:
    """Take `steps` transitions of `leapfrogs` steps each.

    A state whose density is not finite is never entered. Autograd may be off where this is called.

    Args:
        log_density: of z `[K, B, D]`, differentiable.
        start: `[K, B, D]`, where the density is finite.
        scale: of each row's dimensions, `[B, D]`.
    """
    k, rows, dim = start.shape
    momenta = noise.normal("momentum", (steps * k, rows, dim)).reshape(steps, k, rows, dim)
    chances = noise.uniform("acceptance", (steps * k, rows)).reshape(steps, k, rows)
    jitters = 1 + JITTER * (2 * noise.uniform("jitter", (steps * k, rows)).reshape(steps, k, rows) - 1)
    longest = math.log(math.pi / (2 * leapfrogs))
    log_step = start.new_full((k, rows), longest)
    accepted, adapting = torch.zeros_like(log_step), steps // 2
    z = start.detach()
    value, slope = _with_slope(log_density, z)
    for i in range(steps):
        step = (log_step.exp() * jitters[i]).unsqueeze(-1)
        moved, new_value, new_slope, momentum = _leapfrog(
            log_density, z, slope, momenta[i], step=step, scale=scale, leapfrogs=leapfrogs
        )
        log_ratio = new_value - value + _kinetic(momenta[i]) - _kinetic(momentum)
        probability = log_ratio.where(log_ratio.isfinite(), -math.inf).clamp(max=0).exp()
        taken = chances[i] < probability
        value = torch.where(taken, new_value, value)
        z, slope = (torch.where(taken.unsqueeze(-1), new, old) for new, old in ((moved, z), (new_slope, slope)))
        if i < adapting:
            log_step = (log_step + (probability - WANTED) / math.sqrt(i + 1)).clamp(max=longest)
        else:
            accepted = accepted + probability / (steps - adapting)
    return Chains(z, accepted, log_step.exp())


def _leapfrog(
    log_density: LogDensity,
    z: Tensor,
    slope: Tensor,
    momentum: Tensor,
    *,
    step: Tensor,
    scale: Tensor,
    leapfrogs: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where a trajectory ends, its density and slope there, and the momentum; in units of the scale."""
    value = slope.new_zeros(slope.shape[:-1])
    for _ in range(leapfrogs):
        momentum = momentum + 0.5 * step * scale * slope
        z = z + step * scale * momentum
        value, slope = _with_slope(log_density, z)
        momentum = momentum + 0.5 * step * scale * slope
    return z, value, slope, momentum


def _with_slope(log_density: LogDensity, z: Tensor) -> tuple[Tensor, Tensor]:
    """Log density `[K, B]` and its gradient `[K, B, D]`, both without a graph."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = log_density(z)
        (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), slope


def _kinetic(momentum: Tensor) -> Tensor:
    return 0.5 * momentum.square().sum(-1)
