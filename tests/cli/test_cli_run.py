"""`run` end to end on the digits, small: whole outputs, the second time, a spec there and back, evaluate, report."""

import json
import re

import pytest

QUICK = ("run", "--model", "mvae", "--steps", "3", "--threads", "1", "--quiet")
TIMES = re.compile(r"\(3 steps in \d+ s, \d+ pairs/s\)")

SHOWN = """\
run {id}: done (3 steps in T s, P pairs/s)
mvae (common) on digits, split f=0.5, seed 4
model settings: beta=1, anneal=0, subsets=1

no scores

store: {store}
"""


def without_times(text: str) -> str:
    return TIMES.sub("(3 steps in T s, P pairs/s)", text)


def test_run_then_the_same_again(invoke, tmp_path):
    store = tmp_path / "results.db"
    command = (*QUICK, "--scheme", "split", "--f", 0.5, "--seed", 4, "--metrics", "none", "--store", store)
    first = invoke(*command)
    assert first.exit_code == 0, first.stderr
    run_id = re.match(r"run (mvae-digits-split-0\.5-s4-[0-9a-f]+): done", first.stdout)[1]
    assert without_times(first.stdout) == SHOWN.format(id=run_id, store=store)
    assert first.stderr == ""
    again = invoke(*command)
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert again.stderr == f"run {run_id} is there already; --force trains it anew.\n"
    forced = invoke(*command, "--force")
    assert f"run {run_id}-2: done" in forced.stdout
    listed = invoke("show", "--store", store).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["run", f"{run_id}-2"]
    assert len(invoke("show", "--all", "--store", store).stdout.splitlines()) == 3


def test_a_scheme_without_f_is_said_to_be_complete(invoke, tmp_path):
    result = invoke(*QUICK, "--scheme", "split", "--metrics", "none", "--store", tmp_path / "results.db")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == "with f = 1 every row is complete under any scheme: --scheme split is complete; give --f.\n"
    assert "mvae (common) on digits, complete f=1.0" in result.stdout


def test_dry_run_prints_a_spec_that_run_takes_back(invoke, tmp_path):
    store, path = tmp_path / "results.db", tmp_path / "spec.json"
    asked = (*QUICK, "--set", "model.beta=0.5", "--metrics", "none")
    printed = invoke(*asked, "--dry-run")
    path.write_text(printed.stdout)
    assert not store.exists()
    spec = json.loads(printed.stdout)
    assert (spec["model"], spec["settings"]["model"]["beta"], spec["settings"]["train"]["steps"]) == ("mvae", 0.5, 3)
    assert invoke("run", "--spec", path, "--dry-run").stdout == printed.stdout
    assert invoke("run", "--spec", path, "--quiet", "--store", store).exit_code == 0
    again = invoke(*asked, "--store", store)
    assert "is there already" in again.stderr


def test_scores_are_added_without_training(invoke, tmp_path):
    store = tmp_path / "results.db"
    assert invoke(*QUICK, "--metrics", "none", "--store", store).exit_code == 0
    result = invoke("evaluate", "mvae", "--metrics", "cross_coherence", "--quiet", "--store", store)
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("cross_coherence")]
    assert {tuple(row[1:3]) for row in rows} == {("handwritten", "street"), ("street", "handwritten")}
    report = invoke("report", "--out", tmp_path / "report", "--store", store)
    assert (report.exit_code, report.stdout) == (0, f"{tmp_path / 'report' / 'index.html'}\n")
    assert (tmp_path / "report" / "index.html").read_text().lower().startswith("<!doctype html>")


def test_a_diverged_run_is_recorded_and_exits_with_1(invoke, tmp_path):
    store = tmp_path / "results.db"
    wild = ("run", "--model", "mvae", "--steps", 20, "--set", "train.lr=1e30", "--metrics", "none", "--quiet")
    result = invoke(*wild, "--store", store)
    assert result.exit_code == 1
    assert ": diverged" in result.stdout.splitlines()[0]
    assert "training diverged at step" in result.stdout
    again = invoke(*wild, "--store", store)
    assert again.exit_code == 1
    assert "--retry" in again.stderr
    refused = invoke("evaluate", "mvae", "--store", store)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "has no final weights, it is diverged" in refused.stderr


@pytest.mark.parametrize("content", [None, b"", b"PK torn in the middle"])
def test_evaluate_refuses_weights_that_are_absent_or_torn(invoke, tmp_path, content):
    store = tmp_path / "results.db"
    assert invoke(*QUICK, "--metrics", "none", "--store", store).exit_code == 0
    (weights,) = tmp_path.glob("runs/*/model.pt")
    weights.unlink()
    if content is not None:
        weights.write_bytes(content)
    refused = invoke("evaluate", "mvae", "--store", store)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert str(weights) in refused.stderr
    assert "--force" in refused.stderr


@pytest.mark.parametrize("alternate", [False, True])
def test_alternate_is_a_setting_of_the_loader(invoke, alternate):
    flags = ["--alternate"] if alternate else []
    spec = json.loads(invoke("run", "--dry-run", "--scheme", "split", "--f", 0.5, *flags).stdout)
    assert spec["settings"]["loader"]["schedule"] == ("alternate" if alternate else "mixed")


def test_on_data_of_known_density_the_table_ends_with_the_gaps(invoke, tmp_path):
    sets = (
        "--set",
        "metrics.truth_gap.k=2",
        "--set",
        "metrics.truth_gap.rows=20",
        "--set",
        "metrics.log_likelihood.k=2",
    )
    command = (*QUICK, "--dataset", "linear-gaussian", "--set", "data.rows=200", *sets, "--store", tmp_path / "r.db")
    result = invoke(*command)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    gaps = [line.split() for line in lines if line.startswith("truth_gap")]
    targets = ["m1", "m2", "m3", "m1+m2", "m1+m3", "m2+m3", "m1+m2+m3"]
    assert [line[1:3] for line in gaps] == [[target, kind] for target in targets for kind in ("elbo", "iwae-2")]
    assert all(float(line[3]) > 0 for line in gaps)
    assert "skipped" not in result.stdout


def test_features_are_a_setting_of_the_data(invoke):
    spec = json.loads(invoke("run", "--dataset", "cub", "--features", "pixels", "--dry-run").stdout)
    assert spec["settings"]["data"]["features"] == "pixels"
    twice = invoke("run", "--dataset", "cub", "--features", "pixels", "--set", "data.features=pixels", "--dry-run")
    assert (twice.exit_code, twice.stderr) == (2, "mmbench: --set data.features is given twice; keep one.\n")
    other = invoke("run", "--features", "pixels", "--dry-run")
    assert other.exit_code == 2
    assert "unknown setting of dataset 'digits' 'features'" in other.stderr
