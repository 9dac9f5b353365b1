"""Attribute coherence: which attributes of a row does a generation show, read by the dataset's own exact rule?

From A to b (after CdSprites+, Sejnova et al. 2022): one sample z of q(z | x_A) a test row, the decoder's mean of b at
z, and its attributes as the reader of b reads them, against those of the row's real b. `attribute` is the fraction of
rows in which one of them is right, `features` the mean share of attributes that are right, `strict` the fraction of
rows in which all are. CdSprites+ judges images by trained classifiers and calls a caption strictly right where each of
its letters is; here both are read by rule, and words behind the end mark do not count.

From the prior: all modalities that have a reader are decoded at the same z, an attribute agrees where all read the same
value, and `joint-strict` is the fraction of samples in which all attributes agree (`joint-features`: their mean share).
A generator that always draws one sprite agrees with itself, so `details` hold the share of the commonest answer to all
attributes at once.

What a reader does not recognise is wrong and agrees with nothing. How much is recognised stands in `details`, as the
same kind of share as the score's own: of the attribute, of all attributes, or of rows with all of them. That tells a
generation without a sprite from one with another sprite.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from torch import Tensor

from mmbench.config import setting
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Reader, Skipped, View
from mmbench.metrics.coherence import directions, prior_samples, share
from mmbench.results.records import Score

__all__ = ["AttributeCoherence", "AttributeCoherenceSettings", "agreement", "mean_share"]

CHUNK = 500

Direction = tuple[tuple[str, ...], str]


@dataclass(frozen=True)
class AttributeCoherenceSettings:
    """Settings of `attribute_coherence`."""

    samples: int = setting(2000, low=1, help="Number of prior samples.")


def agreement(readings: Sequence[np.ndarray]) -> np.ndarray:
    """Whether all readings `[N, A]` of the same things have the same value, one that was recognised: `[N, A]`."""
    values = np.stack(readings)
    return np.asarray((values == values[0]).all(axis=0) & (values[0] >= 0))


def mean_share(right: np.ndarray) -> tuple[float, float | None]:
    """Mean over rows of the share of true entries of `right` `[N, A]`, and its standard error; None for one row."""
    shares = right.mean(axis=1)
    stderr = float(shares.std(ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else None
    return float(shares.mean()), stderr


@final
@METRICS.register("attribute_coherence")
class AttributeCoherence(Metric):
    """Shares of right attributes from every set of modalities to each other one that has a reader."""

    name = "attribute_coherence"
    description = "Fraction of generations that show the attributes of their row, by exact readers of the dataset."
    Settings = AttributeCoherenceSettings
    default = False
    references: ClassVar[tuple[str, ...]] = (
        "Sejnova, Vavrecka & Stepanova, Benchmarking Multimodal Variational Autoencoders: CdSprites+ Dataset and "
        "Toolkit, 2022, arXiv:2209.03048",
    )

    def prepare(self, context: Context) -> None:
        found = {name: context.reader(name) for name in context.names}
        self._readers = {name: reader for name, reader in found.items() if reader is not None}
        if not self._readers:
            raise Skipped("no modality of this dataset is read by rule.")
        if len(context.names) < 2:
            raise Skipped("attribute coherence needs two modalities.")
        self._context = context
        self._directions = [d for d in directions(context.names) if d[1] in self._readers]
        self._truth: dict[str, list[np.ndarray]] = {name: [] for name in self._readers}
        self._read: dict[Direction, list[np.ndarray]] = {d: [] for d in self._directions}

    def update(self, view: View) -> None:
        for name, reader in self._readers.items():
            self._truth[name].append(_reading(reader, view.values[name]))
        for given, target in self._directions:
            shown = view.reconstruction(given, target)
            self._read[given, target].append(_reading(self._readers[target], shown))

    def compute(self) -> Outcome:
        if not any(self._truth.values()):
            raise Skipped("the test split has no complete rows.")
        scores = [score for given, target in self._directions for score in self._cross(given, target)]
        return Outcome((*scores, *self._joint()))

    def _cross(self, given: tuple[str, ...], target: str) -> list[Score]:
        read = np.concatenate(self._read[given, target])
        right, known = agreement([np.concatenate(self._truth[target]), read]), np.asarray(read >= 0)
        fields = {"given": "+".join(given), "target": target, "n": len(read)}
        scores = []
        for column, attribute in enumerate(self._readers[target].attributes):
            value, stderr = share(np.asarray(right[:, column]))
            details = {"recognised": float(known[:, column].mean())}
            params = {"attribute": attribute}
            scores.append(self.score(value, "attribute", stderr=stderr, params=params, details=details, **fields))
        return [*scores, *self._all(right, known, prefix="", **fields)]

    def _all(self, right: np.ndarray, known: np.ndarray, *, prefix: str, **fields: Any) -> list[Score]:
        """`features` and `strict` of right and recognised attributes `[N, A]`."""
        more = fields.pop("details", {})
        features, stderr = mean_share(right)
        strict, error = share(np.asarray(right.all(axis=1)))
        parts, whole = float(known.mean()), float(known.all(axis=1).mean())
        return [
            self.score(features, f"{prefix}features", stderr=stderr, details={"recognised": parts, **more}, **fields),
            self.score(strict, f"{prefix}strict", stderr=error, details={"recognised": whole, **more}, **fields),
        ]

    def _joint(self) -> list[Score]:
        names = list(self._readers)
        shared = _shared([self._readers[name] for name in names])
        if len(names) < 2 or not shared:
            reason = f"no attribute is read from two modalities (read by rule: {', '.join(names)})."
            return [self.skipped(reason, "joint-strict")]
        samples = self.settings.samples
        parts = [
            self._decoded(np.arange(at, min(at + CHUNK, samples)), names, shared) for at in range(0, samples, CHUNK)
        ]
        readings = np.concatenate(parts, axis=1)
        agreed, known = agreement(list(readings)), np.asarray((readings >= 0).all(axis=0))
        fields = {"n": samples, "params": {"prior": self._context.model.prior().name}}
        return self._all(agreed, known, prefix="joint-", details={"commonest": _commonest(readings)}, **fields)

    def _decoded(self, numbers: np.ndarray, names: list[str], shared: list[str]) -> np.ndarray:
        """Values of the shared attributes at the prior samples with these numbers: `[names, len(numbers), shared]`."""
        z = prior_samples(self._context, self.name, numbers)
        readings = []
        for name in names:
            reader = self._readers[name]
            columns = [list(reader.attributes).index(attribute) for attribute in shared]
            readings.append(_reading(reader, self._context.model.likelihood(name, z).mean[0])[:, columns])
        return np.stack(readings)


def _reading(reader: Reader, x: Tensor) -> np.ndarray:
    return reader.read(x.cpu().numpy())


def _shared(readers: Sequence[Reader]) -> list[str]:
    """The attributes that all readers have, with the same values."""
    first, *others = readers
    return [
        attribute
        for attribute, values in first.attributes.items()
        if all(tuple(other.attributes.get(attribute, ())) == tuple(values) for other in others)
    ]


def _commonest(readings: np.ndarray) -> float:
    """Share of the commonest whole answer among those of all modalities, `[M, N, A]`; 0 where none is whole."""
    rows = readings.reshape(-1, readings.shape[-1])
    _, counts = np.unique(rows[(rows >= 0).all(axis=1)], axis=0, return_counts=True)
    return float(counts.max(initial=0) / len(rows))
