"""What the store keeps: frozen values that hold no torch, no session and no connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np

__all__ = ["ArrayRecord", "Curve", "RunRecord", "Score", "Status"]

Status = Literal["done", "interrupted", "failed", "diverged", "refused"]


@dataclass(frozen=True)
class Score:
    """One number of one metric.

    Attributes:
        metric, version: the metric's name and the version of its mathematics.
        given: the observed modalities, joined by `+`; empty for prior samples or where nothing is given.
        target: the modality scored; empty where there is none. May carry a suffix (`class=3`) through `params`.
        value: None only when `status` is `skipped`.
        stderr: standard error over test rows, None where there is none.
        n: number of rows (or pairs) behind the value.
        estimator: the protocol or estimator, e.g. `micro`, `iwae-1000`.
        params: JSON values that identify the score further (`{"class": 3}`) or set the protocol.
        details: JSON values measured beside the value (effective sample size, jackknife bias, digests); no part of what
            identifies the score.
        status, note: `ok`, or `skipped` with the reason in `note`.
    """

    metric: str
    version: int
    given: str
    target: str
    value: float | None
    stderr: float | None = None
    n: int = 0
    estimator: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    status: Literal["ok", "skipped"] = "ok"
    note: str = ""


@dataclass(frozen=True)
class ArrayRecord:
    """An array behind a figure (a distance matrix, histogram counts, a sample grid), never an object array."""

    metric: str
    name: str
    value: np.ndarray
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """A quantity along training: `values[i]` after optimiser step `steps[i]`."""

    name: str
    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class RunRecord:
    """A run, whole: added at once and never changed, only superseded by a later record of the same fit key.

    Attributes:
        id: short unique name (`meme-digits-split-0.5-s0-3f2a`), made by the store's caller.
        fit_key: hash of all that changes the weights; names the checkpoint folder.
        spec: the `RunSpec` as plain values.
        status, error: how it ended, and one sentence where it did not end well.
        provenance: git revision, versions, device, threads, digests of data, pairing, scheme and classifiers.
        facts: the model's class facts as plain values.
        timings: `train_s`, `evaluate_s`, `pairs_per_s`, `peak_memory_mb`, `steps`, `parameters`.
        superseded: True once a later record took its place.
    """

    id: str
    fit_key: str
    spec: Mapping[str, Any]
    status: Status
    provenance: Mapping[str, Any]
    facts: Mapping[str, Any]
    timings: Mapping[str, Any]
    created: datetime
    error: str = ""
    scores: tuple[Score, ...] = ()
    curves: tuple[Curve, ...] = ()
    arrays: tuple[ArrayRecord, ...] = ()
    superseded: bool = False
