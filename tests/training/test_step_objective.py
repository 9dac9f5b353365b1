"""The objective of a step of several patterns: every row weighs the same, and hidden entries play no part."""

from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from mmbench.modality import Batch, Step
from mmbench.models.base import Objective
from mmbench.seeding import Noise, StepNoise
from mmbench.training.objective import step_objective


class Averages:
    """Stands in for a model: its loss is the mean of all values, its terms are means by modality."""

    def __init__(self) -> None:
        self.noises: list[Tensor] = []

    def objective(
        self, values: dict[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        self.noises.append(noise.normal("z", (1, 3)))
        means = {name: value.mean() for name, value in values.items()}
        return Objective(torch.stack(list(means.values())).sum(), means)


def step() -> Step:
    paired = Batch({"a": torch.tensor([[1.0], [2.0], [3.0]]), "b": torch.tensor([[10.0], [20.0], [30.0]])})
    return Step((paired, Batch({"a": torch.tensor([[9.0]])})))


def test_loss_weighs_parts_by_their_rows() -> None:
    found = step_objective(Averages(), step(), noise=StepNoise(0))
    assert found.loss.item() == (3 * (2.0 + 20.0) + 1 * 9.0) / 4


def test_terms_are_means_over_the_rows_that_have_them() -> None:
    found = step_objective(Averages(), step(), noise=StepNoise(0))
    assert {name: value.item() for name, value in found.terms.items()} == {"a": (1 + 2 + 3 + 9) / 4, "b": 20.0}


def test_parts_draw_noise_of_their_own() -> None:
    model = Averages()
    step_objective(model, step(), noise=StepNoise(0))
    assert not torch.equal(model.noises[0], model.noises[1])


def test_poisoned_hidden_entries_change_nothing(trainee: ModuleType) -> None:
    def one_epoch(values: dict[str, np.ndarray]) -> tuple[list[float], list[Tensor]]:
        model = trainee.model()
        losses = []
        for i, data in enumerate(trainee.loader(values=values).epoch(0)):
            found = step_objective(model, data, noise=StepNoise(i))
            found.loss.backward()
            losses.append(found.loss.item())
        return losses, [p.grad for p in model.parameters() if p.grad is not None]

    clean = trainee.arrays()
    poisoned = {name: value.copy() for name, value in clean.items()}
    poisoned["a"][80:] = np.nan
    poisoned["b"][50:80] = np.inf
    torch.manual_seed(0)
    losses, gradients = one_epoch(clean)
    torch.manual_seed(0)
    again, poisoned_gradients = one_epoch(poisoned)
    assert losses == again
    assert all(torch.equal(x, y) for x, y in zip(gradients, poisoned_gradients, strict=True))
