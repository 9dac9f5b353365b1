"""Every loss and every term must be finite, and the error names the step and the term at which it was not.

Reading a value from CUDA makes the host wait for the device, so there the terms of many steps are kept on the device
and read together; on the CPU they are read at once, before the step changes a weight.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmbench.errors import Diverged

__all__ = ["Readings", "require_finite_parameters"]


class Readings:
    """Scalars of training steps, read and checked every `every` steps.

    Args:
        every: how many steps are read together; 1 reads at once.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._waiting: list[tuple[int, tuple[str, ...], Tensor]] = []

    def add(self, step: int, loss: Tensor, terms: Mapping[str, Tensor]) -> list[tuple[int, dict[str, float]]]:
        """Take in a step's scalars; returns what became readable, oldest first, as (step, name -> value).

        Raises:
            Diverged: one of the values read is NaN or infinite.
        """
        values = torch.stack([loss.detach(), *(value.to(loss.dtype) for value in terms.values())])
        self._waiting.append((step, ("loss", *terms), values))
        return self.read() if len(self._waiting) >= self._every else []

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """Everything that was not read yet, in one transfer."""
        if not self._waiting:
            return []
        waiting, self._waiting = self._waiting, []
        numbers = iter(torch.cat([values for _, _, values in waiting]).tolist())
        found = [(step, {name: next(numbers) for name in names}) for step, names, _ in waiting]
        for step, values in found:
            _require_finite(step, values)
        return found


def require_finite_parameters(model: nn.Module, step: int) -> None:
    """Raise `Diverged` if a parameter is not finite: what a bad gradient of the very last step would leave."""
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            bad = parameter.detach()[~parameter.isfinite()][0].item()
            raise Diverged(step, f"parameter {name}", bad)


def _require_finite(step: int, values: Mapping[str, float]) -> None:
    # A term is the cause more often than the loss that sums it, so terms are named first.
    for name in [*(name for name in values if name != "loss"), "loss"]:
        if not math.isfinite(values[name]):
            raise Diverged(step, name, values[name])
