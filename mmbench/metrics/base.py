"""What a metric is: it is prepared on training data, updated with views of test batches, and computes scores.

The view caches encodings, samples and reconstructions, so that ten metrics cost one pass. Sampling noise is keyed by
(seed, row): a value depends neither on the batch size nor on which other metrics run.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from mmbench.errors import MMBenchError
from mmbench.modality import ModalitySpec
from mmbench.models.base import MultimodalVAE
from mmbench.models.posteriors import Posterior
from mmbench.registry import Registry
from mmbench.results.records import ArrayRecord, Score
from mmbench.seeding import Noise, RowNoise, stream

if TYPE_CHECKING:
    from mmbench.metrics.classifiers import Judge

__all__ = ["METRICS", "Context", "LogDensity", "Metric", "Outcome", "Reader", "Skipped", "View"]

T = TypeVar("T")

LogDensity = Callable[[Mapping[str, np.ndarray]], np.ndarray | None]
"""Rows of any set of modalities (modality -> `[n, *shape]`) to their exact log densities in nats `[n]`, if known."""


class Reader(Protocol):
    """What rows of one modality show, read by rule, as a dataset gives it (`datasets.base.Reader`)."""

    @property
    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        """Attribute -> its values; the first attribute is the dataset's class."""
        ...

    @property
    def read(self) -> Callable[[np.ndarray], np.ndarray]:
        """Rows `[B, *shape]` as a model sees them to int64 `[B, len(attributes)]`; -1 where none is recognised."""
        ...


class Skipped(MMBenchError):
    """A metric does not apply; the message is the reason, recorded with the run."""


class View:
    """One batch of paired rows as metrics see it: values, classes, and cached answers of the model.

    Args:
        model: in eval mode; everything here runs without autograd.
        values: modality -> `[B, *shape]`, floats on the model's device.
        targets: class of each row `[B]`, or None.
        rows: index of each row in its split `[B]`: the key of its noise.
        seed: the run's evaluation key.
        purpose: separates the noise of training views from that of test views.
    """

    def __init__(
        self,
        model: MultimodalVAE,
        values: Mapping[str, Tensor],
        targets: np.ndarray | None,
        rows: np.ndarray,
        *,
        seed: int,
        purpose: str = "test",
    ) -> None:
        self.model, self.values, self.targets, self.rows = model, values, targets, rows
        self._seed, self._purpose = seed, purpose
        self._key = stream(seed, "evaluation", purpose)
        self._cache: dict[tuple[Any, ...], Any] = {}

    def noise(self, name: str) -> Noise:
        """Row-keyed noise for the role `name`."""
        return RowNoise(
            stream(self._key, name), [int(r) for r in self.rows], device=self.model.device, dtype=self.model.dtype
        )

    def select(self, index: np.ndarray) -> "View":
        """The rows at `index` (positions in this batch) as a view of their own; their noise stays the same."""
        values = {name: value[torch.from_numpy(index).to(value.device)] for name, value in self.values.items()}
        targets = None if self.targets is None else self.targets[index]
        return View(self.model, values, targets, self.rows[index], seed=self._seed, purpose=self._purpose)

    def require_targets(self) -> np.ndarray:
        """Class of each row `[B]`; raises `Skipped` where rows have none."""
        if self.targets is None:
            raise Skipped("the rows of this dataset have no classes.")
        return self.targets

    def posterior(self, given: Sequence[str]) -> Posterior:
        """q(z | x_given), cached."""
        names = tuple(given)
        return self._once(("q", names), lambda: self.model.posterior({n: self.values[n] for n in names}))

    def sample(self, given: Sequence[str]) -> Tensor:
        """One sample `[1, B, D]` of q(z | x_given), cached: all metrics see the same one."""
        names = tuple(given)
        return self._once(("z", names), lambda: self.posterior(names).rsample(1, self.noise("z|" + "+".join(names))))

    def reconstruction(self, given: Sequence[str], target: str) -> Tensor:
        """Decoder mean of `target` `[B, *shape]` at the sample of q(z | x_given), cached.

        Given several modalities it is decoded each time: five modalities have 55 such sets, too many to hold.
        """
        names = tuple(given)

        def decoded() -> Tensor:
            return self.model.likelihood(target, self.sample(names)).mean[0]

        return self._once(("x", names, target), decoded) if len(names) == 1 else decoded()

    def _once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        if key not in self._cache:
            self._cache[key] = make()
        held: T = self._cache[key]
        return held


@dataclass(frozen=True)
class Context:
    """What a metric may prepare from.

    Attributes:
        model: the fitted model, in eval mode.
        modalities: the dataset's modalities, in order.
        classes: number of classes, or None.
        train: makes an iterator over views of the complete training pairs, in a fixed order, each time it is called.
        classifier: (modality, strength) -> judge of its class (see `metrics.classifiers`): exact where the modality
            has a reader, else a trained classifier; raises `Skipped` where there is none.
        seed: the run's evaluation seed.
        log_density: the exact log density of the data; returns None for a dataset that does not know it.
        reader: modality -> what its rows show, read by rule; returns None where there is no rule.
        cache: folder for what depends on data alone and is fitted once; None for none.
    """

    model: MultimodalVAE
    modalities: tuple[ModalitySpec, ...]
    classes: int | None
    train: Callable[[], Iterator[View]]
    classifier: "Callable[[str, str], Judge]"
    seed: int
    log_density: LogDensity
    reader: Callable[[str], Reader | None]
    cache: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(spec.name for spec in self.modalities)

    def require_classes(self) -> int:
        """The number of classes; raises `Skipped` where rows have none."""
        if self.classes is None:
            raise Skipped("the rows of this dataset have no classes.")
        return self.classes


@dataclass(frozen=True)
class Outcome:
    """What a metric found: numbers, and the arrays behind its figures."""

    scores: tuple[Score, ...] = ()
    arrays: tuple[ArrayRecord, ...] = ()


class Metric(ABC):
    """A metric. Subclasses are final and registered with `@METRICS.register(name)`.

    Class attributes:
        name, version, description: name, version of its mathematics, one sentence.
        Settings: frozen dataclass of its settings (`metrics.<name>.<setting>`).
        default: whether `mmbench run` computes it when no metric is named; of mmbench's own metrics alone.
        references: the sources of its mathematics and protocol (authors, title, venue and year), one line each.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    description: ClassVar[str]
    Settings: ClassVar[type]
    default: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def prepare(self, context: Context) -> None:
        """Fit what is fitted on training data; raise `Skipped` where the metric does not apply."""

    @abstractmethod
    def update(self, view: View) -> None:
        """Take in one batch of the test split."""

    @abstractmethod
    def compute(self) -> Outcome:
        """The scores and arrays over everything taken in."""

    def score(self, value: float, estimator: str, **fields: Any) -> Score:
        """A score of this metric; `fields` are those of `Score`."""
        return Score(**{"given": "", "target": "", **self._identity(), **fields}, value=value, estimator=estimator)

    def skipped(self, reason: str, estimator: str = "", **fields: Any) -> Score:
        """A score that says why it has no value."""
        empty = {"given": "", "target": "", **self._identity(), **fields}
        return Score(**empty, value=None, estimator=estimator, status="skipped", note=reason)

    def _identity(self) -> dict[str, Any]:
        return {"metric": self.name, "version": self.version}


METRICS: Registry[type[Metric]] = Registry("metric", package="mmbench.metrics", group="mmbench.metrics", base=Metric)
