"""Stages: a model may train its parts one after the other; most models have one stage.

Within a stage only the parameters it names are trained. The rest is frozen: no gradient, and eval mode, so that no
running statistic of a frozen part moves either.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import nn

from mmbench.errors import MMBenchError
from mmbench.models.base import Stage

__all__ = ["Span", "enter_stage", "spans", "trainable"]


@dataclass(frozen=True)
class Span:
    """A stage and the steps it takes: `first <= step < end`."""

    stage: Stage
    first: int
    end: int

    def progress(self, step: int) -> float:
        """Share of the stage's steps done before `step`, in [0, 1): what annealing follows."""
        return (step - self.first) / (self.end - self.first)


def spans(stages: Sequence[Stage], total: int) -> tuple[Span, ...]:
    """Cut `total` steps by the stages' shares; a stage whose share rounds to no step is left out."""
    whole = sum(stage.share for stage in stages)
    found, first, share = [], 0, 0.0
    for stage in stages:
        share += stage.share
        end = round(total * share / whole)
        if end > first:
            found.append(Span(stage, first, end))
        first = max(first, end)
    return tuple(found)


def trainable(model: nn.Module) -> frozenset[str]:
    """Names of the parameters that the model itself does not hold fixed; asked before any stage freezes some."""
    return frozenset(name for name, parameter in model.named_parameters() if parameter.requires_grad)


def enter_stage(model: nn.Module, stage: Stage, among: frozenset[str]) -> list[nn.Parameter]:
    """Freeze what the stage does not train, put the rest into train mode, and return the trained parameters.

    Args:
        among: the model's trainable parameters by name (see `trainable`); all others stay fixed in every stage.
    """
    for name, module in model.named_modules():
        module.training = _trained(name, stage.trains) or _holds_trained(name, stage.trains)
    trained = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in among and _trained(name, stage.trains))
        if parameter.requires_grad:
            trained.append(parameter)
    if not trained:
        raise MMBenchError(f"stage {stage.name!r} trains no parameter: none begins with {' or '.join(stage.trains)}.")
    return trained


def _trained(name: str, prefixes: Iterable[str]) -> bool:
    return not prefixes or any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _holds_trained(name: str, prefixes: Iterable[str]) -> bool:
    return not name or any(prefix.startswith(f"{name}.") for prefix in prefixes)
