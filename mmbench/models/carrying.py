"""Scores of all samples without autograd, and gradients of the few that carry weight.

The gradient of a log-mean-exp over K samples is the softmax-weighted sum of the samples' gradients, and on images
nearly all of that weight lies on one or two samples of a row. So all are scored without autograd, a third of the work
of a forward and a backward pass, and only some are computed once more with it. It serves every bound of `bounds`,
whatever that makes of the scores:

* by tolerance: the fewest samples a row whose left-out normalised weights w~_k add up to at most epsilon. If dF/dl_k is
  the derivative of a row's bound by the score l_k with gradient g_k, the row's gradient is off by at most
  sum over those left out of |dF/dl_k| |g_k|, that is epsilon * max_k |g_k| for a log-mean-exp. At epsilon = 0 only
  samples whose weight is 0 in floating point are left out.
* by number: the n - 1 heaviest samples and one of the others, drawn in proportion to its weight, whose gradient stands
  for all of them: unbiased for any n, and of a fixed shape.

Where most samples carry weight, as at the start of a training, scoring first would be work done twice. The first part
of the rows tells: if most of their samples are to be differentiated, all go under autograd at once, which is the plain
path. Networks whose rows influence one another (batch normalisation, dropout) have no other path.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmbench.models.bounds import draw
from mmbench.models.execution import Execution

__all__ = ["Chosen", "Score", "carrying", "chosen_scores", "heaviest", "rows_are_independent", "scored"]

Score = Callable[[Tensor, Tensor], Tensor]
"""z `[K, n, D]` and the batch row of each of its n columns `[n]` to scores `[K, n]`, one column from one row."""

PART = 128
"""Decoder rows scored at once on a CPU: their activations stay in its caches, and the first part is a cheap probe."""
WORTH = 0.6
"""Share of the samples below which scoring all and differentiating some costs less than differentiating all."""


@dataclass(frozen=True)
class Chosen:
    """The samples to differentiate.

    Attributes:
        samples, columns: sample and column of each, `[n]`.
        factors: what each one's gradient is multiplied with, `[n]`; None where it is 1.
    """

    samples: Tensor
    columns: Tensor
    factors: Tensor | None = None

    def of(self, value: Tensor) -> Tensor:
        """The chosen entries of `[K, B, ...]`: `[n, ...]`."""
        return value[self.samples, self.columns]

    def weighed(self, value: Tensor) -> Tensor:
        """The same values `[n]`; their gradients are multiplied with the factors."""
        if self.factors is None:
            return value
        return value.detach() + self.factors * (value - value.detach())


def chosen_scores(
    score: Score, z: Tensor, execution: Execution, *, independent: bool, uniform: Callable[[], Tensor]
) -> tuple[Tensor, Chosen | None]:
    """Scores `[K, B]` of z `[K, B, D]`, with a graph where it is worth one, and which they are (None: all).

    The values are those of `score(z, rows)` up to rounding.

    Args:
        independent: whether the networks behind `score` treat rows independently (see `rows_are_independent`).
        uniform: makes numbers in (0, 1), `[1, B]`; called where one of the samples is drawn.
    """
    columns = torch.arange(z.shape[1], device=z.device)
    if not independent or execution.tolerance < 0 or len(z) == 1:
        return score(z, columns), None
    if execution.differentiated is not None or execution.static:
        number = execution.differentiated
        if number is None or number >= len(z):
            return score(z, columns), None
        scores = scored(score, z, whole=execution.static)
        chosen = heaviest(scores, number, uniform())
    else:
        found = _scored_if_worth(score, z, execution.tolerance)
        if found is None:
            return score(z, columns), None
        scores = found
        chosen = Chosen(*carrying(scores, execution.tolerance).nonzero(as_tuple=True))
    fresh = score(chosen.of(z).unsqueeze(0), chosen.columns)[0]
    return scores.index_put((chosen.samples, chosen.columns), chosen.weighed(fresh)), chosen


def scored(score: Score, z: Tensor, *, whole: bool = False) -> Tensor:
    """Scores `[K, B]` of z without autograd, a part of the columns at a time, or all at once where `whole`."""
    scores = z.new_empty(z.shape[:2])
    for part, found in _by_parts(score, z, 1 if whole else _parts(z)):
        scores[:, part] = found
    return scores


def carrying(scores: Tensor, tolerance: float) -> Tensor:
    """Booleans `[K, B]`: the fewest samples a row without which at most `tolerance` of its weight is left out."""
    weights, order = scores.softmax(0).sort(0)
    return torch.ones_like(scores, dtype=torch.bool).scatter(0, order, weights.cumsum(0) > tolerance)


def heaviest(scores: Tensor, number: int, uniform: Tensor) -> Chosen:
    """The `number` - 1 heaviest samples of each row, and one of the others drawn in proportion to its weight.

    The drawn one's gradient is multiplied by the weight of all that it stands for over its own, so that the expected
    gradient is that of all samples, whatever function of the scores is differentiated.

    Args:
        uniform: numbers in (0, 1), `[1, B]`.
    """
    rows = scores.shape[1]
    top = scores.topk(number - 1, dim=0).indices
    others = scores.scatter(0, top, -torch.inf)
    drawn = draw(others, uniform).unsqueeze(0)
    stands_for = (others.logsumexp(0, keepdim=True) - others.gather(0, drawn)).exp()
    factors = torch.cat([torch.ones_like(stands_for).expand(number - 1, rows), stands_for])
    columns = torch.arange(rows, device=scores.device).expand(number, rows)
    return Chosen(torch.cat([top, drawn]).flatten(), columns.flatten(), factors.flatten())


def rows_are_independent(*networks: nn.Module) -> bool:
    """Whether no row of a batch changes what these networks make of another row, and the same input gives the same.

    False for batch normalisation and dropout in training mode. A module of one's own that couples rows says so by an
    attribute `couples_rows = True`.
    """
    return not any(
        getattr(module, "couples_rows", False)
        or (isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or not module.track_running_stats))
        or (isinstance(module, nn.modules.dropout._DropoutNd) and module.training and module.p > 0)
        or (isinstance(module, nn.RNNBase) and module.training and module.dropout > 0)
        for network in networks
        for module in network.modules()
    )


def _scored_if_worth(score: Score, z: Tensor, tolerance: float) -> Tensor | None:
    """Scores `[K, B]` without autograd; None where the first part of the rows says that most samples carry weight."""
    scores = z.new_empty(z.shape[:2])
    for number, (part, found) in enumerate(_by_parts(score, z, _parts(z))):
        if number == 0 and carrying(found, tolerance).double().mean() > WORTH:
            return None
        scores[:, part] = found
    return scores


def _by_parts(score: Score, z: Tensor, parts: int) -> Iterator[tuple[slice, Tensor]]:
    """Interleaved parts of the columns of z, and the scores of each without autograd."""
    z, columns = z.detach(), torch.arange(z.shape[1], device=z.device)
    for first in range(parts):
        part = slice(first, None, parts)
        with torch.no_grad():
            found = score(z[:, part], columns[part])
        yield part, found


def _parts(z: Tensor) -> int:
    """How many parts of about `PART` decoder rows the columns of z `[K, B, D]` make."""
    return min(max(1, round(z.shape[0] * z.shape[1] / PART)), z.shape[1])
