"""What every metric promises, checked with an untrained model on a few hundred rows of the embedded dataset."""

import dataclasses
import json
import math
from collections.abc import Iterable
from functools import cache

import numpy as np
import torch

from mmbench.config import as_dict
from mmbench.datasets.base import DATASETS, Dataset, Pairing, SplitName
from mmbench.datasets.cache import cache_folder
from mmbench.datasets.loader import PairedRows, paired_rows
from mmbench.metrics.base import Metric
from mmbench.metrics.classifiers import Classifiers
from mmbench.metrics.evaluate import Evaluation, evaluate
from mmbench.models import MODELS, Architecture, MultimodalVAE, build
from mmbench.results.records import Score
from mmbench.testing.contract import NotApplicable, collector, promise

__all__ = ["CHECKS"]

Kind = type[Metric]
CHECKS, check = collector()

MODEL = "mvae"  # has every capability: a prior, a density, Gaussian posteriors of every subset
ROWS = {"train": 400, "test": 150}


@cache
def _dataset() -> Dataset:
    kind = DATASETS["digits"]
    return kind(kind.Settings())


@cache
def _model() -> MultimodalVAE:
    dataset, kind = _dataset(), MODELS[MODEL]
    arch = Architecture(networks="small", latent_dim=4, scale=0.1)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        coders = {spec.name: build(spec, arch) for spec in dataset.modalities}
        return kind(dataset.modalities, kind.Settings(), arch, coders).eval()


def _rows(which: SplitName, batch_size: int) -> Iterable[PairedRows]:
    dataset = _dataset()
    base = dataset.pairing(which, 0)
    few = Pairing(base.names, base.table[: ROWS[which]])
    return paired_rows(dataset.split(which), few, batch_size=batch_size)


def _evaluated(kind: Kind, *others: str, batch_size: int = 64, labels: bool = True) -> Evaluation:
    """Evaluate the metric (and others beside it), with or without classes."""
    dataset = _dataset()
    classifiers = Classifiers(
        dataset.modalities,
        dataset.classes,
        train=dataset.split("train"),
        test=dataset.split("test"),
        cache=cache_folder(),
        device=torch.device("cpu"),
        reader=dataset.reader,
    )

    def rows(which: SplitName) -> Iterable[PairedRows]:
        for part in _rows(which, batch_size):
            yield part if labels else dataclasses.replace(part, targets=None)

    return evaluate(
        _model(),
        train=lambda: rows("train"),
        test=lambda: rows("test"),
        modalities=dataset.modalities,
        classes=dataset.classes if labels else None,
        metrics={name: {} for name in (kind.name, *others)},
        classifiers=classifiers if labels else None,
        seed=0,
        reader=dataset.reader,
    )


@cache
def _usual(kind: Kind) -> Evaluation:
    return _evaluated(kind)


@check
def settings_are_described_and_plain(kind: Kind) -> None:
    """Every setting has a help text and a JSON value."""
    promise(kind.description and kind.version >= 1, f"{kind.__name__} needs a description and a version.")
    for field in dataclasses.fields(kind.Settings):
        promise(field.metadata.get("help"), f"setting {field.name} of {kind.__name__} needs a help text.")
    json.dumps(as_dict(kind.Settings()))


@check
def sources_are_one_line_each(kind: Kind) -> None:
    """References are what a page can list: plain lines, none of them empty."""
    promise(isinstance(kind.references, tuple), "references is no tuple of strings.")
    for line in kind.references:
        promise(line.strip() == line and line and "\n" not in line, f"reference {line!r} is not one line.")


@check
def scores_are_whole(kind: Kind) -> None:
    """Own name, finite value or a reason, a named estimator, modalities that exist, JSON values, no doubles."""
    found = _usual(kind)
    names = {spec.name for spec in _dataset().modalities}
    promise(found.scores or found.arrays, "the metric found nothing.")
    keys = set()
    for score in found.scores:
        promise(score.metric == kind.name, f"a score is named {score.metric!r}.")
        promise(set(score.given.split("+")) <= names | {""}, f"a score is given {score.given!r}.")
        promise(set(score.target.split("+")) <= names | {""}, f"a score's target is {score.target!r}.")
        if score.status == "ok":
            promise(score.value is not None and math.isfinite(score.value), f"a score is {score.value}.")
            promise(score.estimator and score.n > 0, f"a score of {score.target!r} names no estimator or no rows.")
        else:
            promise(score.note, "a skipped score gives no reason.")
        json.dumps(dict(score.details), allow_nan=False)
        keys.add(_key(score))
    promise(len(keys) == len(found.scores), "two scores have the same identity.")
    for array in found.arrays:
        promise(array.value.dtype != object, f"array {array.name} holds objects.")
        json.dumps(dict(array.meta))


@check
def the_same_evaluation_gives_the_same_bits(kind: Kind) -> None:
    """Twice the same scores and arrays."""
    first, second = _usual(kind), _evaluated(kind)
    promise(first.scores == second.scores, "the scores change from time to time.")
    for a, b in zip(first.arrays, second.arrays, strict=True):
        promise(np.array_equal(a.value, b.value), f"array {a.name} changes from time to time.")


@check
def neither_the_batch_size_nor_other_metrics_change_a_score(kind: Kind) -> None:
    """Noise is keyed by row; sums over batches agree to rounding."""
    usual = {_key(score): score.value for score in _usual(kind).scores}
    for other in (_evaluated(kind, batch_size=37), _evaluated(kind, "classifier_accuracy", "relatedness")):
        for score in other.scores:
            if score.metric == kind.name:
                before = usual[_key(score)]
                same = before == score.value or math.isclose(
                    before or 0.0, score.value or 0.0, rel_tol=1e-4, abs_tol=1e-6
                )
                promise(same, f"{score.estimator} of {score.target!r} is {before} or {score.value}.")


@check
def the_model_is_left_as_it_was(kind: Kind) -> None:
    """Weights, modes and torch's generator."""
    model = _model()
    before, state = {n: p.clone() for n, p in model.state_dict().items()}, torch.random.get_rng_state()
    _evaluated(kind)
    promise(all(torch.equal(before[n], p) for n, p in model.state_dict().items()), "the metric changed the weights.")
    promise(torch.equal(state, torch.random.get_rng_state()), "the metric drew from torch's global generator.")


@check
def without_classes_it_still_answers_or_says_why_not(kind: Kind) -> None:
    """On rows without classes: scores, or skipped with a reason; never an exception."""
    found = _evaluated(kind, labels=False)
    promise(found.scores or found.arrays, "nothing is said of rows without classes.")
    if all(score.status == "ok" for score in found.scores):
        raise NotApplicable(f"{kind.name} needs no classes.")
    promise(all(score.note for score in found.scores if score.status == "skipped"), "a skipped score gives no reason.")


def _key(score: Score) -> tuple[str, ...]:
    """Identity of a score of one metric."""
    params = json.dumps(dict(score.params), sort_keys=True, allow_nan=False)
    return (score.given, score.target, score.estimator, params)
