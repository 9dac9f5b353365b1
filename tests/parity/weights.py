"""The log weights that multivae computes on the way to an importance-weighted bound."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

__all__ = ["Weights", "kept"]


class Weights:
    """Log weights `[K, B]` by the modality they were drawn from, and the number of modalities of each row."""

    def __init__(self) -> None:
        self.log_weights: dict[str, Tensor] = {}
        self.modalities = torch.ones(())

    def dreg_excess(self) -> Tensor:
        """How much larger DReG's surrogate loss is than that of the bound, in sum over the rows; a constant.

        log w_k = log w~_k + log sum w, so that sum_k w~_k log w_k is the bound, log (1/K) sum_k w_k, and log K - H
        more, with the entropy H of the w~_k. The log weights of a modality that a row lacks are zeros, and have no part
        in this.
        """
        total = torch.zeros(())
        for weights in self.log_weights.values():
            log_normalised = weights.detach().log_softmax(0)
            entropy = -(log_normalised.exp() * log_normalised).sum(0)
            held = (weights != 0).any(0)
            total = total + ((entropy - math.log(len(weights))) * held / self.modalities).sum()
        return total


@contextmanager
def kept(other: Any, method: str) -> Iterator[Weights]:
    """Keep what a method of multivae's model gives: a tuple of log weights first, and numbers of modalities last."""
    found, weigh = Weights(), getattr(other, method)

    def weighing(*of: Any) -> Any:
        result = weigh(*of)
        found.log_weights, found.modalities = result[0], result[-1]
        return result

    with mock.patch.object(other, method, weighing):
        yield found
