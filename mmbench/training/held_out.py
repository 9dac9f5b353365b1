"""Loss terms on held-out rows: what shows over-fitting, measured in eval mode, apart from the training terms."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mmbench.modality import Batch, Step
from mmbench.models.base import MultimodalVAE
from mmbench.seeding import Noise
from mmbench.training.curves import TestTerms
from mmbench.training.objective import step_objective

__all__ = ["held_out_terms"]


def held_out_terms(
    model: MultimodalVAE, batches: Iterable[Batch], *, step: int, stage: str, noise: Noise
) -> TestTerms | None:
    """Means over rows of the loss and its terms at `progress` 1; None where there is no row.

    Args:
        noise: the same at every step, so that curves move with the model and not with the noise.
    """
    sums: dict[str, float] = {}
    rows = 0
    with _eval_mode(model), torch.no_grad():
        for i, batch in enumerate(batches):
            found = step_objective(model, Step((batch,)), noise=noise.child(str(i)), stage=stage)
            for name, value in {"loss": found.loss, **found.terms}.items():
                sums[name] = sums.get(name, 0.0) + value.item() * batch.rows
            rows += batch.rows
    return TestTerms(step, {name: value / rows for name, value in sums.items()}, rows) if rows else None


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
