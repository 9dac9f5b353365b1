"""Small models and data on which the right scores are known."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmbench.metrics import Classifiers
from mmbench.modality import ModalitySpec
from mmbench.models import Architecture, Coder, Facts, MultimodalVAE, Objective
from mmbench.models.posteriors import DiagonalPrior, Distribution, Posterior, diagonal, mixture, standard_normal
from mmbench.seeding import Noise

CLASSES, SIZE = 4, 6


@dataclass(frozen=True)
class ToySettings:
    family: str = "normal"
    opaque: bool = False


@final
class Opaque(Posterior):
    """A posterior that can be sampled and nothing else."""

    def __init__(self, inner: Posterior) -> None:
        self._inner = inner

    def rsample(self, k: int, noise: Noise) -> Tensor:
        return self._inner.rsample(k, noise)


@final
class Toy(MultimodalVAE):
    """Posteriors straight from the encoders; a mixture of them for several modalities."""

    name: ClassVar[str] = "toy"
    Settings: ClassVar[type] = ToySettings
    presets: ClassVar[Mapping[str, Any]] = {"source": {}, "common": {}}
    facts: ClassVar[Facts] = Facts("Toy", (), "mixture", "-", True, "no", True, "-", None, "every subset", "-")

    def prior(self) -> Distribution:
        normal = standard_normal(next(self.parameters()), self.arch.latent_dim)
        return DiagonalPrior("standard", self.settings.family, normal.location, normal.scale)

    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        inner = mixture([diagonal(self.settings.family, *self.encoders[n](x)) for n, x in values.items()])
        return Opaque(inner) if self.settings.opaque else inner

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        raise AssertionError("a metric asked for the training objective, which is none of its business")


class Encoder(nn.Module):
    """x -> (x W, scale), with a dropout that would show if it ran."""

    def __init__(self, weight: Tensor, scale: float) -> None:
        super().__init__()
        self.weight, self.scale, self.dropout = nn.Parameter(weight), scale, nn.Dropout(0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        location = self.dropout(x.flatten(1)) @ self.weight
        return location, torch.full_like(location, self.scale)


class Decoder(nn.Module):
    """z -> z W."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.weight


@dataclass(frozen=True)
class Data:
    """Two vector modalities around class centres; `b` holds the same values as `a`."""

    modalities: tuple[ModalitySpec, ...]
    splits: Mapping[str, SimpleNamespace]

    def rows(self, which: str, batch: int, *, targets: bool = True) -> Callable[[], Iterator[SimpleNamespace]]:
        split = self.splits[which]
        count = len(split.targets["a"])

        def make() -> Iterator[SimpleNamespace]:
            for at in range(0, count, batch):
                part = slice(at, at + batch)
                yield SimpleNamespace(
                    values={n: torch.tensor(split.arrays[n][part], dtype=torch.float64) for n in split.arrays},
                    targets=split.targets["a"][part] if targets else None,
                    rows=np.arange(at, min(at + batch, count)),
                )

        return make


def blobs(rows: int, seed: int) -> SimpleNamespace:
    centres = np.random.default_rng(0).normal(size=(CLASSES, SIZE))
    random = np.random.default_rng(seed)
    targets = random.choice(CLASSES, rows, p=(0.4, 0.3, 0.2, 0.1))
    x = (centres[targets] + random.normal(size=(rows, SIZE)) * 0.7).astype(np.float32)
    return SimpleNamespace(arrays={"a": x, "b": x.copy()}, targets={"a": targets, "b": targets.copy()})


@pytest.fixture(scope="session")
def data() -> Data:
    modalities = tuple(ModalitySpec(name, "vector", (SIZE,)) for name in "ab")
    return Data(modalities, {"train": blobs(600, 1), "test": blobs(300, 2)})


@pytest.fixture(scope="session")
def classifiers(data: Data) -> Classifiers:
    return Classifiers(data.modalities, CLASSES, train=data.splits["train"], test=data.splits["test"], cache=None)


@pytest.fixture
def toy(data: Data) -> Callable[..., MultimodalVAE]:
    """Makes an identity generator (both modalities encode and decode themselves), or a variation of it."""

    def make(*, scale: float = 1e-6, family: str = "normal", opaque: bool = False, gain: float = 1.0) -> Toy:
        eye = torch.eye(SIZE, dtype=torch.float64)
        coders = {n: Coder(Encoder(eye * gain, scale), Decoder(eye.clone())) for n in "ab"}
        arch = Architecture(latent_dim=SIZE, likelihood="normal")
        return Toy(data.modalities, ToySettings(family, opaque), arch, coders)

    return make


@pytest.fixture
def score(data: Data, classifiers: Classifiers) -> Callable[..., Any]:
    """Evaluates a model on the data with some metrics; returns the evaluation."""
    from mmbench.metrics import evaluate

    def run(model: MultimodalVAE, metrics: Mapping[str, Any], **options: Any) -> Any:
        batch = options.pop("batch", 64)
        targets = options.pop("targets", True)
        settings = {
            "train": data.rows("train", batch, targets=targets),
            "test": data.rows("test", batch, targets=targets),
            "modalities": data.modalities,
            "classes": CLASSES if targets else None,
            "classifiers": classifiers,
            "seed": 0,
        }
        return evaluate(model, metrics=metrics, **{**settings, **options})

    return run


@pytest.fixture
def value() -> Callable[..., float]:
    """The value of the one score with these fields."""

    def find(evaluation: Any, **fields: Any) -> float:
        (found,) = [s for s in evaluation.scores if all(getattr(s, k) == v for k, v in fields.items())]
        return float(found.value)

    return find
