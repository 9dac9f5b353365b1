"""One's own data from the command line: `run`, `show`, `report`, `sweep`, and what is said where classes are needed."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mmbench.results.store import Store

NO_CLASSES = "the rows of this dataset have no classes."
NEED_CLASSES = ("classifier_accuracy", "cross_coherence", "embeddings", "joint_coherence", "latent_accuracy")
FAST = ("--steps", "3", "--threads", "1", "--quiet")
LOG = ("--set", "metrics.log_likelihood.k=2")


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`data/faces.npz` below the current folder: 40 rows of an image and a vector, without classes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    path = tmp_path / "data" / "faces.npz"
    path.parent.mkdir()
    np.savez(path, face=rng.integers(0, 256, (40, 4, 4), dtype=np.uint8), measures=rng.normal(170, 9, (40, 3)))
    return path


def test_a_run_skips_what_needs_classes_and_the_report_says_why(invoke, faces):
    store = faces.parents[1] / "r.db"
    result = invoke("run", "--model", "mvae", "--dataset", "npz:data/faces.npz", *FAST, *LOG, "--store", store)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("run mvae-npz-data-faces.npz-complete-1-s0-")
    assert lines[1] == "mvae (common) on npz:data/faces.npz, complete f=1.0, seed 0"
    assert f"{', '.join(NEED_CLASSES)} skipped: {NO_CLASSES}" in lines
    with Store.open_readonly(store) as opened:
        run = opened.get("latest")
    skipped = {score.metric for score in run.scores if score.status == "skipped"}
    assert skipped == set(NEED_CLASSES)
    done = {(s.metric, s.given, s.target, s.estimator) for s in run.scores if s.status == "ok"}
    assert {("log_likelihood", "", "face+measures", "iwae-2"), ("relatedness", "face", "measures", "auroc")} <= done
    assert {array.metric for array in run.arrays} == {"embeddings", "relatedness", "samples"}
    assert NO_CLASSES in invoke("show", run.id, "--store", store).stdout
    _report_is_complete(invoke, store)


def _report_is_complete(invoke, store):
    out = store.parent / "report"
    result = invoke("report", "--store", store, "--out", out)
    figures = {path.stem for path in out.glob("figures/*.svg")}
    assert (result.exit_code, result.stdout) == (0, f"{out / 'index.html'}\n")
    assert result.stderr == f"drawing {len(figures)} figures of 1 run.\n"
    kinds = {name.removeprefix("npz-data-faces.npz-common-").split("-", 1)[1].split("-")[0] for name in figures}
    assert {"embeddings", "joint", "w2", "training"} <= kinds
    with (out / "tables" / "missing.csv").open(newline="") as file:
        missing = list(csv.DictReader(file))
    skipped = {row["what"].split(": ")[1].split()[0]: row for row in missing if row["kind"] == "Metrics skipped"}
    assert set(skipped) == set(NEED_CLASSES)
    assert {row["why"] for row in skipped.values()} == {f"skipped: {NO_CLASSES}"}
    told = {row["what"].split(": ")[1]: row for row in missing if row["kind"] == "Figures and tables"}
    for what, metric in (("coherence", "cross_coherence"), ("latent accuracy", "latent_accuracy")):
        assert (told[what]["why"], told[what]["how"]) == (f"{metric} was skipped: {NO_CLASSES}", "")
    assert told["coherence against likelihood"]["how"] == ""
    page = (out / "index.html").read_text()
    assert "own (train 32 face, 32 measures; test 8 face, 8 measures)" in page
    assert "Unverified data" not in page
    quiet = invoke("report", "--store", store, "--out", out, "--only", "training", "--quiet")
    assert (quiet.exit_code, quiet.stderr) == (0, "")


def test_labels_bring_the_metrics_that_need_classes(invoke, faces):
    with np.load(faces) as held:
        np.savez(faces, **held, labels=np.arange(40) % 2)
    command = ("run", "--model", "mvae", "--dataset", f"npz:{faces}", *FAST, "--metrics", "embeddings")
    result = invoke(*command, "--store", "r.db")
    assert result.exit_code == 0, result.stderr
    with Store.open_readonly("r.db") as opened:
        scores = opened.get("latest").scores
    assert {(score.estimator, score.given, score.status) for score in scores} == {
        ("nearest-other", "face", "ok"),
        ("nearest-other", "measures", "ok"),
    }


def states(text: str) -> dict[str, str]:
    """The table of states that `sweep --dry-run` prints below the runs."""
    lines = text.split("\n\n")[2].splitlines()[1:]
    return dict(line.rsplit(None, 1) for line in lines)


def test_a_sweep_over_own_data_is_resumed_by_its_content(invoke, faces):
    plan = Path("plan.yaml")
    plan.write_text(
        "title: faces\ngrid:\n  - model: mvae\n    dataset: npz:faces.npz\n    scheme: <modality>-only\n    f: 0.5\n"
        "    steps: 2\n    metrics: []\n    seed: [0]\n"
    )
    command = ("sweep", plan, "--data-root", "data", "--store", "r.db", "--threads", 1, "--quiet")
    first = invoke(*command)
    assert first.exit_code == 0, first.stderr
    with Store.open_readonly("r.db") as opened:
        assert {(run.spec["scheme"], run.status) for run in opened.runs()} == {
            ("face-only", "done"),
            ("measures-only", "done"),
        }
    assert states(invoke(*command, "--dry-run").stdout) == {"done": "2", "all": "2"}
    with np.load(faces) as held:
        np.savez(faces, face=held["face"][::-1], measures=held["measures"])
    assert states(invoke(*command, "--dry-run").stdout) == {"to do": "2", "all": "2"}
    refused = invoke("sweep", plan, "--store", "r.db", "--dry-run")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "plan.yaml, grid[1]: npz:faces.npz needs" in refused.stderr


def test_classes_are_refused_where_there_are_none(invoke, faces):
    named = ("run", "--dataset", "npz:faces.npz", "--data-root", "data", "--dry-run")
    assert json.loads(invoke(*named).stdout)["dataset"] == "npz:faces.npz"
    refused = invoke(*named, "--scheme", "mnar", "--f", 0.5)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "what is missing depends on the class of a row, and the dataset has no classes" in refused.stderr
    unknown = invoke(*named, "--set", "data.colour=red")
    assert "unknown setting of dataset 'npz:faces.npz' 'colour'" in unknown.stderr


def test_a_spec_goes_there_and_back(invoke, faces):
    printed = invoke("run", "--dataset", "npz:faces.npz", "--data-root", "data", "--steps", 2, "--dry-run")
    Path("spec.json").write_text(printed.stdout)
    assert invoke("run", "--spec", "spec.json", "--data-root", "data", "--dry-run").stdout == printed.stdout


def test_families_are_listed_and_verified(invoke, faces):
    assert any(line.split()[:1] == ["npz:NAME"] for line in invoke("list", "datasets").stdout.splitlines())
    listed = [line.split("  ")[0] for line in invoke("data", "list").stdout.splitlines()]
    assert {"npz:NAME", "images:NAME"} <= set(listed)
    verified = invoke("data", "verify", "npz:data/faces.npz")
    assert (verified.exit_code, verified.stderr) == (0, "")
    assert "40 rows (32 train, 8 test) of face (image 1x4x4) and measures (vector 3); no classes" in verified.stdout
    assert invoke("data", "fetch", "npz:data/faces.npz").stdout.endswith("is your own: there is nothing to fetch.\n")
    unknown = invoke("run", "--dataset", "npz", "--dry-run")
    assert "unknown dataset 'npz'; did you mean 'npz:NAME'?" in unknown.stderr


def test_nothing_to_fetch_needs_no_folder(invoke, monkeypatch):
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    result = invoke("data", "fetch", "digits")
    assert (result.exit_code, result.stdout) == (0, "digits is embedded: there is nothing to fetch.\n")
    for name in ("mnist-svhn", "mnist-svhn-text", "cub"):
        refused = invoke("data", "fetch", name)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "where to put the files is not said: give --data-root FOLDER or set MMBENCH_DATA." in refused.stderr
