"""A model of multivae from the command line: trained, stored, and scored again by another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmbench.results.store import Store

pytestmark = pytest.mark.parity


def mmbench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    code = "import sys; from mmbench.cli import main; main(sys.argv[1:])"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=240)


def test_a_run_is_stored_and_scored_again_in_a_new_process(tmp_path: Path) -> None:
    store = str(tmp_path / "s.db")
    options = (
        "--scheme",
        "split",
        "--f",
        "0.25",
        "--steps",
        "3",
        "--set",
        "model.beta=2.5",
        "--set",
        "train.test_rows=8",
    )
    done = mmbench(
        "run", "--model", "multivae:MVAE", "--dataset", "digits", *options, "--metrics", "none", "--store", store
    )
    assert done.returncode == 0, done.stderr
    assert "beta=2.5" in done.stdout
    (name,) = {word.rstrip(":") for word in done.stderr.split() if word.startswith("multivae-MVAE-")}
    done = mmbench(
        "evaluate", name, "--metrics", "log_likelihood", "--set", "metrics.log_likelihood.rows=4", "--store", store
    )
    assert done.returncode == 0, done.stderr
    with Store.open_readonly(store) as held:
        record = held.get(name)
    assert record.status == "done"
    assert {score.metric for score in record.scores} == {"log_likelihood"}
    assert all(score.value is not None for score in record.scores)
    assert record.provenance["versions"]["multivae"] == "1.0.3"


def test_rows_that_a_model_cannot_take_are_refused_before_anything_is_stored(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    done = mmbench("run", "--model", "multivae:JMVAE", "--scheme", "split", "--f", "0.5", "--store", str(store))
    assert done.returncode == 2
    assert "as the package refuses an IncompleteDataset: its joint encoder needs complete rows" in done.stderr
    assert "use --paired-only" in done.stderr
    assert not store.exists()


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Child processes find the package that this process runs."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
