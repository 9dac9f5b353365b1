"""Networks of the digit classifiers that judge generated images, and how long each is trained.

`standard` is the LeNet of the MMVAE code (Shi et al. 2019) for 28x28 and 32x32 images, so that coherences compare with
the literature, a small convolutional network for other image sizes, and a perceptron for vectors. `strong` is a deeper
network with batch normalisation: it is right more often on street numbers, hence changes coherence, and is named in
every score that used it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmbench.metrics.base import Skipped
from mmbench.modality import ModalitySpec

__all__ = ["STRENGTHS", "Protocol", "network_for", "protocol_for"]

STRENGTHS = ("standard", "strong")
LENET_SIZES = ((28, 28), (32, 32))


@dataclass(frozen=True)
class Protocol:
    """Training of one classifier: Adam on the cross-entropy, for a number of epochs held between two step counts."""

    network: str
    epochs: int = 30
    steps_low: int = 600
    steps_high: int = 9000
    batch_size: int = 256
    learning_rate: float = 1e-3
    seed: int = 0

    def steps(self, rows: int) -> int:
        """Optimiser steps for `rows` training images."""
        return min(max(self.epochs * -(-rows // self.batch_size), self.steps_low), self.steps_high)


def protocol_for(spec: ModalitySpec, strength: str) -> Protocol:
    """The protocol of a modality. Raises `Skipped` for a kind that has no classifier."""
    if spec.kind == "tokens":
        raise Skipped(f"modality {spec.name!r} holds tokens, for which there is no classifier.")
    if spec.kind == "vector":
        return Protocol("perceptron")
    if strength == "strong":
        return Protocol("deep", epochs=20, steps_low=1000, batch_size=128)
    if spec.shape[1:] in LENET_SIZES:
        # Grey digits are learned in 3,000 steps; 30 epochs of all 73,257 street numbers are needed and allowed.
        return Protocol("lenet", steps_low=1500, steps_high=3000 if spec.shape[0] == 1 else 9000)
    return Protocol("small", epochs=20, steps_low=400, batch_size=64)


def network_for(protocol: Protocol, spec: ModalitySpec, classes: int) -> nn.Sequential:
    """A freshly initialised network from `[B, *shape]` to logits `[B, classes]`; its last layer is linear."""
    makers = {"lenet": _lenet, "small": _small, "deep": _deep, "perceptron": _perceptron}
    return makers[protocol.network](spec.shape, classes)


class Centred(nn.Module):
    """Values in [0, 1] to roughly zero mean and unit variance."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * 4


def _lenet(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    channels, height, width = shape
    flat = 20 * ((height - 12) // 4) * ((width - 12) // 4)
    return nn.Sequential(
        nn.Conv2d(channels, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.Dropout2d(),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, 50),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(50, classes),
    )


def _small(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    channels, height, width = shape
    side = (min(height, 4), min(width, 4))
    return nn.Sequential(
        Centred(),
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(side),
        nn.Flatten(),
        nn.Linear(32 * side[0] * side[1], 128),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(128, classes),
    )


def _deep(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    layers: list[nn.Module] = [Centred()]
    before = shape[0]
    for width in (16, 32, 64):
        layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2, ceil_mode=True), nn.Dropout(0.2)]
        before = width
    side = (min(shape[1], 4), min(shape[2], 4))
    head = [nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Linear(64 * side[0] * side[1], classes)]
    return nn.Sequential(*layers, *head)


def _perceptron(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    size = int(torch.Size(shape).numel())
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, classes))
