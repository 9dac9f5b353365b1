"""A posterior made of another by resampling: candidates of q(z), drawn in proportion to a likelihood of z.

Sampling-importance-resampling: as the number of candidates grows, the draws follow q(z) p(x|z), normalised.
"""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from mmbench.models.bounds import draw, take
from mmbench.models.posteriors import Diagonal, Posterior
from mmbench.seeding import Noise

__all__ = ["Resampled"]


@final
class Resampled(Posterior):
    """MEME's q(z|s,t), proportional to e_s(z|s) d_t(t|z): candidates of e_s, resampled by the likelihood of t.

    It has no density of its own; metrics that need one are skipped with that reason.

    Args:
        source: where candidates come from, parameters `[B, D]`.
        score: log likelihood `[K, B]` of candidates `[K, B, D]`.
        candidates: how many there are for each draw.
    """

    def __init__(self, source: Diagonal, score: Callable[[Tensor], Tensor], *, candidates: int) -> None:
        self._source, self._score, self._candidates = source, score, candidates

    def rsample(self, k: int, noise: Noise) -> Tensor:
        rows, dim = self._source.location.shape
        eps = noise.normal("z", (k * self._candidates, rows, dim))
        z = self._source.transport(eps)
        scores = self._score(z)
        uniform = noise.uniform("resampled", (k, rows))
        z, scores = z.reshape(k, -1, *z.shape[1:]), scores.reshape(k, -1, rows)
        return torch.cat([take(z[i], draw(scores[i], uniform[i : i + 1])) for i in range(k)])
