"""The settings of training (section `train` of a run spec), and the optimiser that they describe."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mmbench.config import setting
from mmbench.errors import InvalidSetting

__all__ = ["TrainSettings", "make_optimiser"]


@dataclass(frozen=True)
class TrainSettings:
    """Frozen values. Exactly one of `steps` and `epochs` is set."""

    batch_size: int = setting(128, low=1, help="Rows of one optimiser step.")
    steps: int | None = setting(1000, low=1, help="Optimiser steps; excludes epochs.")
    epochs: int | None = setting(None, low=1, help="Passes over the training rows; excludes steps.")
    optimizer: str = setting("adam", choices=("adam", "adamw", "sgd"), help="Optimiser by name.")
    lr: float = setting(1e-3, above=0.0, help="Learning rate.")
    beta1: float = setting(0.9, low=0.0, high=0.9999, help="Decay of Adam's first moment; the momentum of sgd.")
    beta2: float = setting(0.999, low=0.0, high=0.99999, help="Decay of Adam's second moment.")
    amsgrad: bool = setting(False, help="Keep the largest second moment, as the MMVAE code does.")
    weight_decay: float = setting(0.0, low=0.0, help="Weight decay: decoupled for adamw, in the gradient otherwise.")
    clip: float | None = setting(None, above=0.0, help="Largest norm of the gradient of all parameters; none: no clip.")
    precision: str = setting(
        "float32",
        choices=("float32", "tf32", "bf16"),
        help="Numbers of the networks alone: float32, TF32 products (on CUDA), or bfloat16; all else is float32.",
    )
    tolerance: float = setting(
        1e-5,
        low=0.0,
        help="Normalised weight of a row's samples that may be left out of its gradient in total (on a CPU).",
    )
    differentiated: int | None = setting(
        None,
        low=1,
        help="Samples a row that are differentiated, one of them drawn for the rest; none: as many as tolerance asks "
        "for on a CPU, all on CUDA.",
    )
    log_every: int = setting(10, low=1, help="Steps whose training terms are averaged into one logged value.")
    test_every: int | None = setting(
        None, low=1, help="Steps between test terms; none: at ends of epochs, twenty times in a training at most."
    )
    test_rows: int = setting(512, low=0, help="Test rows behind the logged test terms; 0 logs none.")
    log_snr_every: int | None = setting(
        None, low=1, help="Steps between records of the gradients' signal-to-noise ratio, and at the last; none: never."
    )
    log_snr_draws: int = setting(
        100, low=2, help="Gradient estimates behind a signal-to-noise ratio, of each estimator; one costs about a step."
    )

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            given = "neither" if self.steps is None else f"train.steps={self.steps} and train.epochs={self.epochs}"
            raise InvalidSetting(
                f"training needs either train.steps or train.epochs, got {given}; set the other to none."
            )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Number of optimiser steps of the whole training."""
        return self.steps if self.steps is not None else (self.epochs or 0) * steps_per_epoch


def make_optimiser(parameters: Sequence[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    """A fresh optimiser. Parameters without a gradient (not part of a step's pattern) are left untouched by it."""
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, settings.lr, momentum=settings.beta1, weight_decay=settings.weight_decay, fused=True
        )
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(
        parameters,
        settings.lr,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
        amsgrad=settings.amsgrad,
        fused=True,
    )
