"""A small world of birds whose captions say what their images show, and models of it that are right or deaf."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmbench.metrics import evaluate
from mmbench.modality import ModalitySpec, Tokens
from mmbench.models import Architecture, Coder, Facts, MultimodalVAE, Objective
from mmbench.models.likelihoods import Likelihood
from mmbench.models.posteriors import Distribution, Posterior, diagonal, mixture, standard_normal
from mmbench.seeding import Noise

CHOICES = (("red", "blue"), ("long", "short"), ("bright", "dull"), ("spotted", "plain"))
FILLERS = ("the", "bird", "has", "wings")
WORDS = ("<exc>", "<pad>", "<eos>", *FILLERS, *(word for pair in CHOICES for word in pair))
TEMPLATE = ("the", 0, "bird", "has", 1, 2, 3, "wings", "<eos>", "<pad>", "<pad>")
LENGTH, SIZE = len(TEMPLATE), 8
TOKENS = Tokens(len(WORDS), end=2, ignored=1, words=WORDS, hidden=frozenset({1, 2}))
SPECS = (ModalitySpec("image", "vector", (SIZE,)), ModalitySpec("caption", "tokens", (LENGTH,), TOKENS))


def told(signs: np.ndarray) -> np.ndarray:
    """Captions `[N, L]` of attributes `[N, 4]`: positive ones get the first word of their pair."""
    rows = np.empty((len(signs), LENGTH), np.int32)
    for place, part in enumerate(TEMPLATE):
        if isinstance(part, str):
            rows[:, place] = WORDS.index(part)
        else:
            yes, no = (WORDS.index(word) for word in CHOICES[part])
            rows[:, place] = np.where(signs[:, part] > 0, yes, no)
    return rows


def read(rows: Tensor) -> Tensor:
    """Attributes `[N, 4]` of captions."""
    places = [place for place, part in enumerate(TEMPLATE) if not isinstance(part, str)]
    first = torch.tensor([WORDS.index(pair[0]) for pair in CHOICES])
    return (rows[:, places] == first).double() * 2 - 1


def birds(count: int, seed: int, *, captions: int = 1) -> dict[str, np.ndarray]:
    """Images whose first four values are the attributes with some noise, the others noise, and their captions."""
    random = np.random.default_rng(seed)
    signs = random.choice([-1.0, 1.0], (count, 4))
    x = random.normal(size=(count, SIZE))
    x[:, :4] = signs * (1 + 0.3 * np.abs(x[:, :4]))
    return {"image": x.repeat(captions, axis=0), "caption": told(signs).repeat(captions, axis=0)}


def batches(arrays: Mapping[str, np.ndarray], size: int) -> Callable[[], Iterator[SimpleNamespace]]:
    count = len(arrays["caption"])

    def make() -> Iterator[SimpleNamespace]:
        for at in range(0, count, size):
            part = slice(at, at + size)
            yield SimpleNamespace(
                values={name: torch.from_numpy(array[part]) for name, array in arrays.items()},
                targets=None,
                rows=np.arange(at, min(at + size, count)),
            )

    return make


@dataclass(frozen=True)
class TokenLikelihood(Likelihood):
    """Independent categorical tokens with log probabilities `[K, B, L, V]`."""

    logits: Tensor
    ignored: int | None

    @property
    def mean(self) -> Tensor:
        return self.logits.argmax(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        scores = self.logits.log_softmax(-1).gather(-1, x.long().expand(len(self.logits), -1, -1)[..., None])[..., 0]
        return scores.sum(-1) if self.ignored is None else (scores * (x != self.ignored)).sum(-1)

    def sample(self, noise: Noise) -> Tensor:
        raise AssertionError("metrics look at the most probable tokens")


class Reader(nn.Module):
    """Captions to (attributes and zeros, a tiny scale)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        location = torch.cat([read(x), torch.zeros(len(x), SIZE - 4, dtype=torch.float64)], 1)
        return location, torch.full_like(location, 1e-6)


class Same(nn.Module):
    """Images to (themselves, a tiny scale), or latents to themselves."""

    def __init__(self, *, scale: bool) -> None:
        super().__init__()
        self.one, self.scale = nn.Parameter(torch.ones((), dtype=torch.float64)), scale

    def forward(self, x: Tensor) -> Any:
        return (x * self.one, torch.full_like(x, 1e-6)) if self.scale else x * self.one


class Writer(nn.Module):
    """Latents to logits that give the words of their attributes the probability p."""

    def __init__(self, p: float) -> None:
        super().__init__()
        other = (1 - p) / (len(WORDS) - 1)
        self.high, self.low = np.log(p), np.log(other)

    def forward(self, z: Tensor) -> Tensor:
        words = torch.from_numpy(told(z.detach().numpy()[:, :4])).long()
        chosen = nn.functional.one_hot(words, len(WORDS)).double()
        return chosen * self.high + (1 - chosen) * self.low


class Deaf(nn.Module):
    """Anything to the prior."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        zeros = torch.zeros(len(x), SIZE, dtype=torch.float64)
        return zeros, zeros + 1


@dataclass(frozen=True)
class NoSettings:
    pass


@final
class Birds(MultimodalVAE):
    """Posteriors straight from the encoders."""

    name: ClassVar[str] = "birds"
    Settings: ClassVar[type] = NoSettings
    presets: ClassVar[Mapping[str, Any]] = {"source": {}, "common": {}}
    facts: ClassVar[Facts] = Facts("Birds", (), "mixture", "-", True, "no", True, "-", None, "every subset", "-")

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), SIZE)

    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        return mixture([diagonal("normal", *self.encoders[n](x)) for n, x in values.items()])

    def likelihood(self, name: str, z: Tensor) -> Likelihood:
        tokens = self.modalities[name].tokens
        if tokens is None:
            return super().likelihood(name, z)
        logits = self.decoders[name](z.reshape(-1, SIZE))
        return TokenLikelihood(logits.reshape(*z.shape[:-1], *logits.shape[1:]), tokens.ignored)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        raise AssertionError("a metric asked for the training objective, which is none of its business")


@dataclass(frozen=True)
class World:
    """What the tests build with."""

    specs: tuple[ModalitySpec, ...]
    tokens: Tokens
    birds: Callable[..., dict[str, np.ndarray]]
    told: Callable[[np.ndarray], np.ndarray]
    model: Callable[..., MultimodalVAE]
    score: Callable[..., Any]


@pytest.fixture(scope="session")
def word_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Word vectors are trained once for all tests."""
    return tmp_path_factory.mktemp("word-vectors")


@pytest.fixture
def world(word_cache: Path) -> World:
    def model(*, deaf: bool = False, p: float = 0.9, specs: tuple[ModalitySpec, ...] = SPECS) -> Birds:
        coders = {
            spec.name: Coder(Deaf() if deaf else Reader(), Writer(p))
            if spec.kind == "tokens"
            else Coder(Deaf() if deaf else Same(scale=True), Same(scale=False))
            for spec in specs
        }
        return Birds(specs, NoSettings(), Architecture(latent_dim=SIZE, likelihood="normal"), coders)

    def score(
        model: MultimodalVAE,
        metrics: Mapping[str, Any],
        *,
        train: Mapping[str, np.ndarray] | None = None,
        test: Mapping[str, np.ndarray] | None = None,
        batch: int = 64,
        specs: tuple[ModalitySpec, ...] | None = None,
        **options: Any,
    ) -> Any:
        return evaluate(
            model,
            train=batches(birds(200, 1) if train is None else train, batch),
            test=batches(birds(150, 2) if test is None else test, batch),
            modalities=tuple(model.modalities.values()) if specs is None else specs,
            classes=None,
            metrics=metrics,
            classifiers=None,
            seed=0,
            **{"cache": word_cache, **options},
        )

    return World(SPECS, TOKENS, birds, told, model, score)
