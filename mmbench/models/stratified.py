"""Importance-weighted bounds of a mixture of experts, from which each expert's samples are drawn in turn.

K samples of each of E experts have log weights lw `[E, K, B]` against the density of the mixture:

    looser:  (1/E) sum_r LME_k lw_{r,k}          tight:  LME over (r, k) of lw

(Shi et al. 2019; the tight form is a stratified IWAE). Samples that share a log-mean-exp compete for its gradient:
those of an expert in the looser form, all of them in the tight one. What `carrying` leaves out is decided among those.
"""

from collections.abc import Callable

from torch import Tensor

from mmbench.models.base import Objective
from mmbench.models.bounds import effective_sample_size, looser, tight, weighted
from mmbench.models.carrying import Score, chosen_scores
from mmbench.models.execution import Execution
from mmbench.seeding import Noise

__all__ = ["stratified_objective", "stratified_scores"]


def stratified_scores(
    score: Score, z: Tensor, execution: Execution, *, over_experts: bool, independent: bool, noise: Noise
) -> Tensor:
    """Scores `[E, K, B]` of z `[E, K, B, D]`, differentiable in the samples that carry weight in the bound.

    Args:
        score: of samples `[n, c, D]` and the batch rows `[c]` of their columns, `[n, c]`.
        over_experts: whether all samples share a log-mean-exp (the tight form), or each expert's alone.
        independent: see `carrying.chosen_scores`.
    """
    sets, k, rows, dim = z.shape
    # Samples that share a log-mean-exp stand in one column.
    apart = 1 if over_experts else sets
    columns = z.view(apart, -1, rows, dim).transpose(0, 1).reshape(-1, apart * rows, dim)
    scores, _ = chosen_scores(
        lambda some, column: score(some, column % rows),
        columns,
        execution,
        independent=independent,
        uniform=lambda: noise.uniform("differentiated", (1, columns.shape[1])),
    )
    return scores.view(-1, apart, rows).transpose(0, 1).reshape(sets, k, rows)


def stratified_objective(
    log_weights: Tensor,
    *,
    over_experts: bool,
    detached: bool = False,
    gate: Callable[[Tensor], None] | None = None,
) -> Objective:
    """The looser or tight bound of log weights `[E, K, B]`, as what is minimised.

    Args:
        detached: the posteriors' parameters are held constant in the log weights, and so is the normalised weight by
            which each sample's gradient counts (DReG and its relatives); the value is that of the bound all the same.
        gate: takes these normalised weights `[E, K, B]` before `backward` (see `bounds.doubly_reparametrised`).
    """
    bound = (tight if over_experts else looser)(log_weights)
    terms = {
        "bound": bound.detach().mean(),
        "ess": effective_sample_size(log_weights.detach().flatten(0, 1)).mean(),
    }
    if not detached:
        return Objective(-bound.mean(), terms)
    surrogate, normalised = weighted(log_weights, over_experts=over_experts)
    if gate is not None:
        gate(normalised)
    value = bound.detach() + surrogate - surrogate.detach()
    return Objective(-value.mean(), terms)
