"""One pass over the test split, all metrics.

Each metric is prepared, sees every test view once and computes its scores. A metric that does not apply is recorded as
skipped with its reason, and stops nothing else. The model is put in eval mode, runs without autograd, and gets its
modes back; torch's global generator is never drawn from. Hence the same model, data and seed give the same evaluation.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mmbench.config import parse_settings
from mmbench.errors import CannotBear
from mmbench.metrics.base import METRICS, Context, LogDensity, Metric, Outcome, Reader, Skipped, View
from mmbench.metrics.classifiers import Classifiers, Judge
from mmbench.modality import ModalitySpec
from mmbench.models.base import MultimodalVAE
from mmbench.origins import origin_of
from mmbench.results.records import ArrayRecord, Score

__all__ = ["Evaluation", "Rows", "evaluate"]

log = logging.getLogger(__name__)


class Rows(Protocol):
    """A batch of complete rows, in a fixed order, as the loader gives them for evaluation."""

    @property
    def values(self) -> Mapping[str, Tensor]:
        """Modality -> `[B, *shape]`, floats on the model's device."""
        ...

    @property
    def targets(self) -> np.ndarray | None:
        """Class of each row `[B]`, or None."""
        ...

    @property
    def rows(self) -> np.ndarray:
        """Index of each row in its split `[B]`."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """What all metrics found, in the order of their names; skipped metrics are scores that say why."""

    scores: tuple[Score, ...]
    arrays: tuple[ArrayRecord, ...]


def evaluate(
    model: MultimodalVAE,
    *,
    train: Callable[[], Iterable[Rows]],
    test: Callable[[], Iterable[Rows]],
    modalities: Sequence[ModalitySpec],
    classes: int | None,
    metrics: Mapping[str, Mapping[str, Any]],
    classifiers: Classifiers | None,
    seed: int,
    log_density: LogDensity = lambda values: None,
    reader: Callable[[str], Reader | None] = lambda name: None,
    cache: Path | None = None,
    progress: Callable[[str], None] = log.info,
) -> Evaluation:
    """Score a fitted model.

    Args:
        train, test: make an iterator over the complete rows of a split, in a fixed order, each time they are called.
        metrics: metric -> plain values of its settings (those left out keep their defaults).
        classifiers: of this dataset; None skips the metrics that need them.
        seed: the run's seed; the noise of evaluation is a stream of its own.
        log_density: exact log densities of the data; unknown by default.
        reader: modality -> what its rows show, read by rule; no modality has one by default.
        cache: folder for what metrics fit on the data alone; None keeps nothing.
        progress: is told which metric is being worked on.

    Raises:
        UnknownName, InvalidSetting: a metric or one of its settings does not exist or is out of range.
    """
    made = {name: METRICS[name](_settings(name, values)) for name, values in sorted(metrics.items())}

    def views() -> Iterator[View]:
        for rows in train():
            yield View(model, rows.values, rows.targets, rows.rows, seed=seed, purpose="train")

    def classifier(name: str, strength: str) -> Judge:
        if classifiers is None:
            raise Skipped("there are no classifiers for this dataset.")
        return classifiers.get(name, strength)

    context = Context(model, tuple(modalities), classes, views, classifier, seed, log_density, reader, cache)
    with _frozen(model):
        return _run(made, context, test, progress)


def _settings(name: str, values: Mapping[str, Any]) -> Any:
    return parse_settings(METRICS[name].Settings, values, f"metrics.{name}")


def _run(
    made: Mapping[str, Metric], context: Context, test: Callable[[], Iterable[Rows]], progress: Callable[[str], None]
) -> Evaluation:
    outcomes: dict[str, Outcome] = {}

    def attempt(name: str, act: Callable[[], Outcome | None]) -> None:
        """Run one part of a metric that has not been skipped; a reason not to is its outcome."""
        if name in outcomes:
            return
        try:
            outcome = act()
        except (Skipped, CannotBear) as reason:
            outcome = Outcome((made[name].skipped(str(reason)),))
        if outcome is not None:
            outcomes[name] = outcome

    for name, metric in made.items():
        progress(f"preparing {name}")
        attempt(name, partial(metric.prepare, context))
    progress("reading the test split")
    for rows in test():
        view = View(context.model, rows.values, rows.targets, rows.rows, seed=context.seed)
        for name, metric in made.items():
            attempt(name, partial(metric.update, view))
    for name, metric in made.items():
        progress(f"computing {name}")
        attempt(name, metric.compute)
    found = [_traced(outcomes[name], metric) for name, metric in made.items()]
    return Evaluation(
        tuple(_finite(score) for outcome in found for score in outcome.scores),
        tuple(array for outcome in found for array in outcome.arrays),
    )


def _traced(outcome: Outcome, metric: Metric) -> Outcome:
    """Results of a metric from outside mmbench say whose code computed them."""
    origin = origin_of(type(metric))
    if origin is None:
        return outcome
    code = origin.label
    return Outcome(
        tuple(replace(score, details={**score.details, "code": code}) for score in outcome.scores),
        tuple(replace(array, meta={**array.meta, "code": code}) for array in outcome.arrays),
    )


def _finite(score: Score) -> Score:
    """A value that is no number is no result: it is recorded as skipped and says what came out."""
    if score.value is not None and not math.isfinite(score.value):
        return replace(score, value=None, stderr=None, status="skipped", note=f"the value came out as {score.value}.")
    if score.stderr is not None and not math.isfinite(score.stderr):
        return replace(score, stderr=None)
    return score


@contextmanager
def _frozen(model: MultimodalVAE) -> Iterator[None]:
    """Eval mode without autograd; afterwards every module has the mode it had."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
