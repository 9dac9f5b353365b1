"""Invoke the command line in this process, and a small store made by hand."""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mmbench.cli import main
from mmbench.results.records import RunRecord, Score
from mmbench.results.store import Store

Invoke = Callable[..., Result]

SPEC = {
    "model": "mvae",
    "preset": "common",
    "dataset": "digits",
    "scheme": "split",
    "f": 0.5,
    "seed": 0,
    "paired_only": False,
    "settings": {"model": {"beta": 1.0, "anneal": 0.0}, "data": {"size": "small"}, "train": {"steps": 20}},
    "metrics": {"cross_coherence": {"label": "true"}},
}

DONE = RunRecord(
    id="mvae-digits-split-0.5-s0-aaaa",
    fit_key="aaaa000011112222",
    spec=SPEC,
    status="done",
    provenance={"device": "cpu", "data": {"status": "embedded", "digest": "d1"}},
    facts={"title": "MVAE", "partial_train_holds": True},
    timings={"train_s": 2.0, "steps": 20, "pairs_per_s": 1280.0},
    created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    scores=(
        Score("cross_coherence", 1, "handwritten", "street", 0.5, 0.025, 400, "micro"),
        Score("cross_coherence", 1, "handwritten", "street", 0.25, 0.05, 75, "class", {"class": 3}),
        Score("log_likelihood", 1, "", "street", -1234.5, 1.5, 400, "iwae-100", {"K": 100}),
        Score("relatedness", 1, "", "", None, None, 0, "", status="skipped", note="no density"),
    ),
)

DIVERGED = replace(
    DONE,
    id="meme-digits-complete-1.0-s1-bbbb",
    fit_key="bbbb000011112222",
    spec=SPEC | {"model": "meme", "scheme": "complete", "f": 1.0, "seed": 1},
    status="diverged",
    error="training diverged at step 7: loss is nan; try a smaller train.lr.",
    timings={},
    scores=(),
)


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run `mmbench ARGS` in this process, 80 columns wide; the result has `exit_code`, `stdout` and `stderr`."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: object, **kwargs: object) -> Result:
        return CliRunner().invoke(main, [str(arg) for arg in args], prog_name="mmbench", **kwargs)

    return run


@pytest.fixture
def command() -> list[str]:
    """The command line in a process of its own."""
    return [sys.executable, "-c", "from mmbench.cli import main; main(prog_name='mmbench')"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of two runs: one done, one diverged."""
    path = tmp_path / "made" / "results.db"
    with Store.open(path) as opened:
        opened.add(DONE)
        opened.add(DIVERGED)
    return path
