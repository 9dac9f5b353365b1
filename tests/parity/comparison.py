"""Two losses of the same parameters, compared by value and by gradient."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mmbench.models import MultimodalVAE
from tests.parity.differences import Difference

__all__ = ["Run", "Undo", "agree", "differ", "equal"]

Undo = Callable[[Difference], bool]
"""Whether a difference between the two packages is to be undone."""
Run = Callable[[Undo], tuple[Tensor, Tensor]]
"""Our loss and multivae's, with those differences undone that it is told to undo."""
TOLERANCE = 1e-12
"""Of the losses, and of the gradients relative to the largest entry of any of them; both are float64."""


def agree(model: MultimodalVAE, run: Run, *differences: Difference) -> None:
    """Losses and gradients are equal once all differences are undone, and are not where any one of them is left."""
    equal(model, run, *differences)
    for left in differences:
        differ(model, run, *({*differences} - {left}))


def equal(model: MultimodalVAE, run: Run, *undone: Difference) -> None:
    """Losses and gradients are equal once these differences are undone."""
    found = distance(model, run, undone)
    assert found < TOLERANCE, f"with {_names(undone)} undone, mmbench and multivae are {found:.1e} apart"


def differ(model: MultimodalVAE, run: Run, *undone: Difference) -> None:
    """Losses or gradients are not equal, although these differences are undone."""
    found = distance(model, run, undone)
    assert found > 100 * TOLERANCE, f"with {_names(undone)} undone, mmbench and multivae are only {found:.1e} apart"


def distance(model: MultimodalVAE, run: Run, undone: Sequence[Difference]) -> float:
    """The relative difference of the two losses or of their gradients, whichever is larger."""
    mine, theirs = run(undone.__contains__)
    own, others = gradients(model, mine), gradients(model, theirs)
    largest = torch.stack([grad.abs().max() for grad in own.values()]).max()
    assert largest > 0, "our loss has no gradient"
    apart = torch.stack([(grad - others[name]).abs().max() for name, grad in own.items()]).max() / largest
    return torch.stack([apart, ((mine - theirs) / mine).detach().abs()]).max().item()  # NaN where anything is


def gradients(model: MultimodalVAE, loss: Tensor) -> dict[str, Tensor]:
    """The gradient by each trained parameter of our model."""
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    pairs = zip(parameters.items(), found, strict=True)
    return {name: torch.zeros_like(value) if grad is None else grad for (name, value), grad in pairs}


def _names(differences: Sequence[Difference]) -> str:
    return ", ".join(repr(difference.name) for difference in differences) or "nothing"
