"""Monte-Carlo bounds and their gradients: log-mean-exp, IWAE, mixtures of experts, DReG, and drawing one sample.

Log weights are `[K, B]` (K samples, B rows), or `[E, K, B]` where E experts are sampled in turn (stratified).
All functions return one value a row, `[B]`, to be maximised; averaging over the batch is the caller's.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "doubly_reparametrised",
    "draw",
    "effective_sample_size",
    "log_mean_exp",
    "looser",
    "take",
    "tight",
    "weighted",
]


def log_mean_exp(value: Tensor, dim: int = 0) -> Tensor:
    """log of the mean of exp along `dim`."""
    return value.logsumexp(dim) - math.log(value.shape[dim])


def tight(log_weights: Tensor) -> Tensor:
    """Stratified IWAE of a mixture posterior: log-mean-exp over experts and samples together (MMVAE, `tight`).

    For one expert this is the IWAE bound (Burda et al. 2016).
    """
    return log_mean_exp(log_weights.flatten(0, 1))


def looser(log_weights: Tensor) -> Tensor:
    """Mean over experts of each expert's log-mean-exp (MMVAE, `--looser`); never above `tight`, row by row."""
    return log_mean_exp(log_weights, 1).mean(0)


def weighted(log_weights: Tensor, *, over_experts: bool) -> tuple[Tensor, Tensor]:
    """The surrogate whose gradient is that of `tight` (or `looser`) with the weights held constant.

    Returns:
        surrogate `[B]`, the sum of `sg(w~) * log w` (divided by E for the looser form);
        normalised weights `[E, K, B]`: they sum to one over (E, K), or over K for each expert.
    """
    with torch.no_grad():
        if over_experts:
            normalised = log_weights.flatten(0, 1).softmax(0).reshape(log_weights.shape)
        else:
            normalised = log_weights.softmax(1)
    total = (normalised * log_weights).sum((0, 1))
    return (total if over_experts else total / len(log_weights)), normalised


def doubly_reparametrised(z: Tensor) -> Callable[[Tensor], None]:
    """Prepare z `[..., D]` for the DReG gradient (Tucker et al. 2019, eq. 8).

    The gradient that arrives at z is multiplied by the normalised weights once more. Call the function returned with
    those weights `[...]` before `backward`. z must be the tensor that the log weights are computed from, not a copy:
    a hook on a copy never fires, which is what the released MMVAE code does.
    """
    held: list[Tensor] = []
    if z.requires_grad:
        z.register_hook(lambda gradient: held[0].unsqueeze(-1) * gradient)  # type: ignore[no-untyped-call]  # torch: no types
    return held.append


def draw(log_weights: Tensor, uniform: Tensor) -> Tensor:
    """For each row, an index k `[B]` drawn in proportion to exp(log_weights) `[K, B]`.

    Sampling-importance-resampling: for fixed samples, the expectation of a quantity at the drawn index is its
    self-normalised weighted sum, gradients included when the weights are held constant.

    Args:
        uniform: `[1, B]`, numbers in (0, 1).
    """
    cumulated = log_weights.detach().softmax(0).cumsum(0)
    return (cumulated < uniform * cumulated[-1:]).sum(0).clamp(max=len(log_weights) - 1)


def take(value: Tensor, index: Tensor) -> Tensor:
    """Entry `index[b]` of axis 0 for each row b: `[K, B, ...]` and `[B]` to `[1, B, ...]`."""
    return value[index, torch.arange(value.shape[1], device=value.device)].unsqueeze(0)


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """1 / sum_k w~_k^2 of the normalised weights, between 1 and K, `[B]`."""
    return 1 / log_weights.softmax(0).square().sum(0)
