"""How hard the images of `digits` are: a linear classifier on their pixels against a small convolutional network.

Both are trained on the images of the training split and scored on those of the test split. The linear
classifier is logistic regression with the penalty that is best *on the test split*, so that its score is an upper
bound; the network is trained for a fixed number of epochs. Runs under a minute: `python scripts/digits_difficulty.py`.
"""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from mmbench.datasets import DATASETS, Dataset

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
EPOCHS = 25
BATCH_SIZE = 64


def main() -> None:
    """Print the accuracies of both on each modality."""
    dataset_class = DATASETS["digits"]
    dataset = dataset_class(dataset_class.Settings())
    train, test = dataset.split("train"), dataset.split("test")
    print(f"digits: {len(train.targets['street'])} training and {len(test.targets['street'])} test images")
    print(f"majority class   {np.bincount(test.targets['street']).max() / len(test.targets['street']):.3f}")
    for name in ("street", "handwritten"):
        linear, network = linear_accuracy(dataset, name), network_accuracy(dataset, name)
        print(f"{name:12s} linear {linear:.3f}, convolutional {network:.3f}")


def linear_accuracy(dataset: Dataset, name: str) -> float:
    """Test accuracy of logistic regression on pixels, the best over penalties."""
    train, test = dataset.split("train"), dataset.split("test")
    x, held = (s.arrays[name].reshape(len(s.arrays[name]), -1) / 255 - 0.5 for s in (train, test))
    scores = []
    for penalty in PENALTIES:
        model = LogisticRegression(C=penalty, max_iter=2000).fit(x, train.targets[name])
        scores.append(float(model.score(held, test.targets[name])))
    return max(scores)


def network_accuracy(dataset: Dataset, name: str, *, seed: int = 0) -> float:
    """Test accuracy of two convolutions and two linear layers after `EPOCHS` epochs of Adam."""
    train, test = dataset.split("train"), dataset.split("test")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(train.arrays[name].shape[1:])
        fit(model, images(train.arrays[name]), torch.from_numpy(train.targets[name]))
    with torch.no_grad():
        predicted = model(images(test.arrays[name])).argmax(1).numpy()
    return float((predicted == test.targets[name]).mean())


def network(shape: tuple[int, ...]) -> nn.Sequential:
    """A small convolutional classifier for images of `shape` (C, H, W)."""
    channels, side = shape[0], shape[1] // 4
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * side * side, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def fit(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Train on images `[N, C, H, W]` and classes `[N]`."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(x)), BATCH_SIZE):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]  # torch: no types
            optimiser.step()


def images(array: np.ndarray) -> Tensor:
    """Floats in [0, 1] from uint8."""
    return torch.from_numpy(array).float() / 255


if __name__ == "__main__":
    main()
