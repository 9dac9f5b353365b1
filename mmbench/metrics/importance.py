"""Importance-sampled log likelihoods as pure functions of log weights, and the sampling of those weights.

    log p(x) = log E_{z ~ q}[ p(x|z) p(z) / q(z) ],  estimated by the log-mean-exp of K log weights (Burda et al. 2016):

a lower bound in expectation, which tends to log p(x) as K grows. A mixture q = sum_r pi_r q_r is stratified: K samples
of every component, with the density of the *mixture* in the denominator, so that the estimate is sum_r pi_r of the
components' mean weights. (Drawing all K samples from one random component, as some code does, is not consistent in K.)
Adding up the components' weighted log weights sample by sample, u_k = log sum_r pi_r w_rk, leaves K independent and
identically distributed numbers, and all functions below take those.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.models.base import MultimodalVAE
from mmbench.models.bounds import log_mean_exp
from mmbench.models.posteriors import Density, Mixture, Normalised
from mmbench.seeding import Noise

__all__ = [
    "Estimate",
    "difference",
    "effective_samples",
    "estimate",
    "jackknife",
    "log_weights_of",
    "samples_at_once",
    "stratified_log_weights",
]

BUDGET = 2**20  # values that a decoder's output may hold at once: on a CPU, so few that they stay in its caches
ACCELERATED_BUDGET = 2**23  # the same on any other device


@dataclass(frozen=True)
class Estimate:
    """A log likelihood of each row, and how far it may be trusted; all `[B]`, in float64, in nats.

    Attributes:
        value: the log-mean-exp of K log weights, or a difference of two.
        stderr: Monte-Carlo standard error of `value` (delete-one jackknife); NaN for K = 1, where it is unknown.
        bias: the jackknife's estimate of the expectation of `value` minus the truth; NaN for K = 1.
        effective: effective number of samples, between 1 and K. Near one, the other three are too small.
        estimator: the estimator's name, without K.
    """

    value: Tensor
    stderr: Tensor
    bias: Tensor
    effective: Tensor
    estimator: str


def estimate(log_weights: Tensor, estimator: str = "iwae") -> Estimate:
    """All results of log weights `[K, B]`."""
    u = log_weights.double()
    bias, stderr = jackknife(u)
    return Estimate(log_mean_exp(u), stderr, bias, effective_samples(u), estimator)


def difference(upper: Estimate, lower: Estimate, estimator: str) -> Estimate:
    """`upper` minus `lower`, which must not share noise: their variances add up."""
    return Estimate(
        upper.value - lower.value,
        (upper.stderr.square() + lower.stderr.square()).sqrt(),
        upper.bias - lower.bias,
        torch.minimum(upper.effective, lower.effective),
        estimator,
    )


def effective_samples(log_weights: Tensor) -> Tensor:
    """(sum_k w_k)^2 / sum_k w_k^2, between 1 and K, `[K, B]` to `[B]`."""
    return torch.exp(2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0))


def jackknife(log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Bias and standard error of the log-mean-exp, `[K, B]` to twice `[B]`; NaN for K = 1, where neither is known.

    With theta_k the log-mean-exp without sample k, and theta. the mean of these (Quenouille 1956, Tukey 1958):
    bias = (K - 1) * (theta. - log-mean-exp of all), negative where the estimate is expected to lie below the truth;
    stderr^2 = (K - 1) / K * sum_k (theta_k - theta.)^2.
    """
    k = len(log_weights)
    if k == 1:
        unknown = torch.full_like(log_weights[0], math.nan)
        return unknown, unknown
    without = _log_sums_without_one(log_weights) - math.log(k - 1)
    centre = without.mean(0)
    stderr = ((without - centre).square().sum(0) * (k - 1) / k).sqrt()
    return (k - 1) * (centre - log_mean_exp(log_weights)), stderr


def _log_sums_without_one(log_weights: Tensor) -> Tensor:
    """logsumexp over all samples but one, for each one left out, `[K, B]`."""
    shares = log_weights.softmax(0)
    sums = log_weights.logsumexp(0) + torch.log1p(-shares.clamp(max=0.5))
    # Where one sample holds more than half of the sum, the subtraction cancels: those are summed again without it.
    largest = shares.argmax(0, keepdim=True)
    rest = log_weights.scatter(0, largest, -torch.inf).logsumexp(0, keepdim=True)
    return sums.scatter(0, largest, rest)


def stratified_log_weights(
    proposal: Normalised, target: Callable[[Tensor], Tensor], k: int, noise: Noise, *, chunk: int
) -> Tensor:
    """u_k, `[K, B]`: log sum_r pi_r target(z_rk) / q(z_rk) with K samples z_rk of each component q_r of the proposal.

    Args:
        target: unnormalised log density of z `[K, B, D]`, `[K, B]`.
        chunk: how many samples are scored at once; the numbers do not depend on it.
    """
    components = proposal.components if isinstance(proposal, Mixture) else (proposal,)
    weights = proposal.log_weights if isinstance(proposal, Mixture) else torch.zeros(1)
    parts = []
    for r, component in enumerate(components):
        samples = component.rsample(k, noise.child(f"component-{r}"))
        scored = [target(z) - proposal.log_prob(z) for z in torch.split(samples, chunk)]
        parts.append(torch.cat(scored).double() + float(weights[r]))
    return torch.stack(parts).logsumexp(0)


def log_weights_of(
    model: MultimodalVAE,
    scored: Mapping[str, Tensor],
    *,
    prior: Density,
    proposal: Normalised,
    k: int,
    noise: Noise,
) -> Tensor:
    """u_k `[K, B]` for log of the integral of prior(z) prod_m p(x_m|z) over the modalities m in `scored`; unscaled."""

    def target(z: Tensor) -> Tensor:
        total = prior.log_prob(z)
        for name, x in scored.items():
            total = total + model.likelihood(name, z).log_prob(x)
        return total

    return stratified_log_weights(proposal, target, k, noise, chunk=samples_at_once(scored))


def samples_at_once(scored: Mapping[str, Tensor]) -> int:
    """How many samples of each row of `scored` (modality -> `[B, *shape]`) to decode at once: at least one."""
    on_cpu = next(iter(scored.values())).device.type == "cpu"
    return max(1, (BUDGET if on_cpu else ACCELERATED_BUDGET) // sum(x.numel() for x in scored.values()))
