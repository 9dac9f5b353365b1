"""The objective of one step, whatever patterns it holds: `sum_p (n_p / B) loss_p`, so that every row weighs the same.

Logged terms are averaged over the rows that have them: the reconstruction of a modality over the rows that hold it.
"""

from collections import defaultdict

import torch
from torch import Tensor

from mmbench.modality import Step
from mmbench.models.base import MultimodalVAE, Objective
from mmbench.seeding import Noise

__all__ = ["step_objective"]


def step_objective(
    model: MultimodalVAE, step: Step, *, noise: Noise, progress: float = 1.0, stage: str = "main"
) -> Objective:
    """The weighted objective of a step's one-pattern parts; each part draws its own noise.

    Returns:
        The loss over all rows (a scalar), and each term's mean over the rows that have it.
    """
    losses: list[Tensor] = []
    terms: dict[str, list[tuple[int, Tensor]]] = defaultdict(list)
    for part in step.parts:
        found = model.objective(part.values, noise=noise.child("+".join(part.names)), progress=progress, stage=stage)
        losses.append(found.loss * (part.rows / step.rows))
        for name, value in found.terms.items():
            terms[name].append((part.rows, value.detach()))
    loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
    return Objective(loss, {name: _row_mean(parts) for name, parts in terms.items()})


def _row_mean(parts: list[tuple[int, Tensor]]) -> Tensor:
    if len(parts) == 1:
        return parts[0][1]
    rows = sum(n for n, _ in parts)
    return torch.stack([value * (n / rows) for n, value in parts]).sum()
