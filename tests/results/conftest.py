"""Records to put into stores, and a fresh interpreter to look at imports and processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score

SPEC = {
    "model": "mvae",
    "preset": "common",
    "dataset": "digits",
    "scheme": "split",
    "f": 0.5,
    "seed": 0,
    "paired_only": False,
    "settings": {"model": {"beta": 1.0}, "train": {"steps": 20, "clip": None}},
    "metrics": {"cross_coherence": {"label": "true"}},
}
SCORES = (
    Score("cross_coherence", 1, "handwritten", "street", 0.5, 0.025, 400, "micro"),
    Score("cross_coherence", 1, "handwritten", "street", 0.25, 0.05, 75, "class", {"class": 3}),
    Score("log_likelihood", 1, "", "street", -1234.5, None, 400, "iwae-100", {"K": 100}, {"ess": 2.5}),
    Score("relatedness", 1, "", "", None, note="no density", status="skipped"),
)
CURVES = (
    Curve("loss", np.array([1, 5, 20]), np.array([3.0, np.nan, np.inf])),
    Curve("kl", np.array([1]), np.array([0.1])),
)
ARRAYS = (
    ArrayRecord("samples", "cross/handwritten|street", np.arange(24, dtype=np.uint8).reshape(2, 3, 4), {"k": 3}),
    ArrayRecord("relatedness", "linkage/a|b", np.array([[0.0, 1.0, 0.5, 2.0]]), {"method": "average"}),
)


@pytest.fixture
def make_record() -> Callable[..., RunRecord]:
    """A record with scores, curves and arrays; anything may be given otherwise."""

    def make(run_id: str = "mvae-digits-s0-aaaa", fit_key: str = "aaaa0000", **changes: Any) -> RunRecord:
        record = RunRecord(
            id=run_id,
            fit_key=fit_key,
            spec=SPEC,
            status="done",
            provenance={"data": {"status": "embedded", "digest": "d1"}, "threads": 1},
            facts={"title": "MVAE", "partial_train_holds": True},
            timings={"train_s": 2.25, "steps": 20},
            created=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
            scores=SCORES,
            curves=CURVES,
            arrays=ARRAYS,
        )
        return replace(record, **changes)

    return make


@pytest.fixture
def same() -> Callable[[RunRecord, RunRecord], None]:
    """Assert that two records are equal, arrays and their types included."""

    def check(found: RunRecord, expected: RunRecord) -> None:
        assert replace(found, curves=(), arrays=()) == replace(expected, curves=(), arrays=())
        assert [curve.name for curve in found.curves] == [curve.name for curve in expected.curves]
        for a, b in zip(found.curves, expected.curves, strict=True):
            np.testing.assert_array_equal(a.steps, b.steps)
            np.testing.assert_array_equal(a.values, b.values)
        for x, y in zip(found.arrays, expected.arrays, strict=True):
            assert (x.metric, x.name, x.meta) == (y.metric, y.name, y.meta)
            assert x.value.dtype == y.value.dtype
            np.testing.assert_array_equal(x.value, y.value)

    return check


@pytest.fixture
def python() -> Callable[..., "subprocess.Popen[str]"]:
    """Start a fresh interpreter on a program, with warnings as errors; stdout and stderr are piped."""

    def start(program: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            **options,
        )

    return start
