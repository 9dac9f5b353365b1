"""`sweep`: --dry-run whole, done runs are skipped, what ends badly does not stop the others, exit codes."""

import re
import signal
import subprocess
import time
from datetime import UTC, datetime

import pytest

from mmbench.results.records import RunRecord
from mmbench.results.store import Store
from mmbench.run import Request, fit_key, resolve
from mmbench.run.building import build_dataset
from mmbench.sweep import processes

pytestmark = pytest.mark.timeout(600)  # processes that import torch, maybe on a busy machine

PLAN = """\
title: A little of everything
defaults: {dataset: digits, steps: 3, metrics: none}
grid:
  - {model: mvae, seed: [0, 1]}
  - {model: mvae, set: {train.lr: 1.0e+30}, steps: 20}
  - {model: jmvae, scheme: split, f: 0.5}
"""

REFUSED = (
    "refused: model 'jmvae' cannot learn from rows that hold only handwritten; use --paired-only to train it on the "
    "complete rows alone, or --f 1."
)

DRY = f"""\
A little of everything

model  preset  dataset  scheme    f    seed  settings                 state
mvae   common  digits   complete  1    0     steps=3                  done
mvae   common  digits   complete  1    0     steps=20, train.lr=1e+30  failed: why.
jmvae  common  digits   split     0.5  0     steps=3                  {REFUSED}
mvae   common  digits   complete  1    1     steps=3                  to do

state    runs
done     1
failed   1
refused  1
to do    1
all      4

time: about 8 s (mvae by 1 past run on digits).
"""


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


@pytest.fixture
def started(tmp_path):
    """A store with two of the plan's runs, made by hand."""
    path = tmp_path / "results.db"
    quick = Request(model="mvae", steps=3, metrics=())
    wild = Request(model="mvae", steps=20, metrics=(), sets={"train.lr": 1e30})
    with Store.open(path) as store:
        for request, status, timings, error in [
            (quick, "done", {"train_s": 6.0, "evaluate_s": 2.0, "steps": 3}, ""),
            (wild, "failed", {}, "why."),
        ]:
            spec = resolve(request)
            data = dict(build_dataset(spec, None).provenance())
            key = fit_key(spec, str(data["digest"]))
            store.add(RunRecord(
                f"mvae-digits-complete-1-s0-{key[:6]}", key, spec.to_dict(), status, {"data": data}, {}, timings,
                datetime(2026, 1, 1, tzinfo=UTC), error,
            ))  # fmt: skip
    return path


def columns(text: str) -> str:
    """The text with runs of spaces as two."""
    return re.sub(r" {2,}", "  ", text)


def named(text: str) -> str:
    return re.sub(r"-[0-9a-f]{6}\b", "-H", text)


def test_dry_run_prints_the_runs_where_they_stand_and_how_long(invoke, plan, started):
    result = invoke("sweep", plan, "--dry-run", "--store", started)
    assert (result.exit_code, result.stderr) == (0, "")
    assert columns(result.stdout) == columns(DRY)


def test_dry_run_makes_no_store_and_takes_what_is_given_in_place(invoke, plan, tmp_path):
    given = ("--seeds", "7", "--steps", "9", "--metrics", "samples", "--set", "train.lr=0.1")
    result = invoke("sweep", plan, "--dry-run", "--store", tmp_path / "new" / "r.db", *given)
    assert result.exit_code == 0
    assert [line.split()[-2:] for line in result.stdout.splitlines()[3:4]] == [["to", "do"]]
    assert result.stdout.count("complete  1") == 1  # the runs of both blocks are the same now
    assert "no estimate, there is no past run on digits to go by." in result.stdout
    assert not (tmp_path / "new").exists()


ENDED = f"""\
state     runs
done      2
diverged  1
refused   1
all       4

run  state
mvae-digits-complete-1-s0-H  diverged: training diverged at step S
jmvae common digits split 0.5 0  {REFUSED}
(--retry trains again what failed or diverged)

store: STORE
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_ends_badly_is_told_and_the_rest_goes_on(invoke, plan, tmp_path, monkeypatch, jobs):
    store = tmp_path / "results.db"
    command = ("sweep", plan, "--store", store, "--jobs", jobs, "--threads", 1)
    first = invoke(*command)
    shown = re.sub(r"step \d.*", "step S", named(first.stdout)).replace(str(store), "STORE")
    assert (first.exit_code, columns(shown)) == (1, columns(ENDED))
    begin, *lines = [
        line for line in first.stderr.splitlines() if (" of " in line and "runs" in line) or " of 3: " in line
    ]
    assert begin == "3 of 4 runs to carry out: no estimate, there is no past run on digits to go by."
    assert [re.match(r"(\d) of 3: mvae-digits-complete-1-s\d-\w+ (done|diverged)", line)[1] for line in lines] == [
        *"123"
    ]
    assert [bool(re.search(r"About .* left\.$", line)) for line in lines] == [True, True, False]

    def nothing(*args, **kwargs):
        raise AssertionError("a run that is settled was carried out")

    monkeypatch.setattr(processes, "carried", nothing)
    again = invoke(*command)
    assert (again.exit_code, again.stdout) == (1, first.stdout)
    assert again.stderr == "0 of 4 runs to carry out: nothing is left to do.\n"
    with Store.open_readonly(store) as opened:
        assert sorted(run.status for run in opened.runs(include_superseded=True)) == ["diverged", "done", "done"]


def test_retry_and_force_train_again(invoke, plan, started):
    quiet = ("sweep", plan, "--store", started, "--threads", 1, "--quiet")
    retried = invoke(*quiet, "--retry")
    assert (retried.exit_code, retried.stderr) == (1, "")
    with Store.open_readonly(started) as opened:
        assert [run.status for run in opened.runs()] == ["done", "diverged", "done"]
    forced = invoke("sweep", plan, "--store", started, "--threads", 1, "--quiet", "--force", "--seeds", "0")
    assert forced.exit_code == 1
    with Store.open_readonly(started) as opened:
        assert [(run.status, run.timings.get("train_s") == 6.0) for run in opened.runs()] == [
            ("done", False), ("done", False), ("diverged", False),
        ]  # fmt: skip


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_ctrl_c_interrupts_and_the_same_command_goes_on(command, invoke, tmp_path, jobs):
    path, store = tmp_path / "plan.yaml", tmp_path / "results.db"
    sizes = "set: {data.pairs: 1, train.test_rows: 0}"
    path.write_text(f"grid: [{{model: mvae, seed: [0, 1], steps: 300, metrics: none, {sizes}}}]")
    sweep = ["sweep", str(path), "--store", str(store), "--threads", "1", "--jobs", str(jobs)]
    process = subprocess.Popen([*command, *sweep], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while len(list(tmp_path.glob("runs/*/*.ckpt"))) < jobs and process.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    with Store.open_readonly(store) as opened:
        assert [run.status for run in opened.runs()] == ["interrupted"] * jobs
    done = invoke(*sweep)
    assert (done.exit_code, done.stdout.splitlines()[1].split()) == (0, ["done", "2"]), done.stderr
    assert done.stderr.count("going on from checkpoint") == jobs


def test_all_done_exits_with_0_and_all_refused_with_2(invoke, tmp_path):
    path, store = tmp_path / "plan.yaml", tmp_path / "new" / "r.db"
    path.write_text("grid: [{model: jmvae, scheme: split, f: [0.5, 0.25]}]")
    assert invoke("sweep", path, "--store", store).exit_code == 2
    assert not store.parent.exists()
    path.write_text("grid: [{model: mvae, steps: 3, metrics: none}]")
    done = invoke("sweep", path, "--store", store, "--quiet")
    assert (done.exit_code, done.stdout) == (0, f"state  runs\ndone   1\nall    1\n\nstore: {store}\n")


def test_data_that_is_not_there_is_refused_run_by_run(invoke, tmp_path, monkeypatch):
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    result = invoke("sweep", "paper-fig19", "--store", tmp_path / "new" / "r.db", "--quiet")
    assert result.exit_code == 2
    assert result.stdout.count("refused: mnist-svhn needs files") == 3
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["paper-fig55"], "unknown plan 'paper-fig55'; did you mean 'paper-fig5'"),
        (["nowhere.yaml"], "plan nowhere.yaml is no file that is there"),
        (["paper-fig5", "--seeds", "0;1"], "--seeds needs whole numbers parted by commas"),
        (["paper-fig5", "--seeds", "-1"], "the seed of every run must be a whole number"),
        (["paper-fig5", "--dataset", "digit"], "paper-table3.yaml, grid[1]: unknown dataset 'digit'"),
        (["paper-fig5", "--set", "model.kk=1"], "paper-table3.yaml, grid[1]: unknown setting of 'model' 'kk'"),
        (["paper-fig19", "--jobs", "0"], "--jobs"),
    ],
)
def test_bad_input_is_one_sentence_and_makes_nothing(invoke, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    result = invoke("sweep", *arguments, "--store", tmp_path / "r.db")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert sentence in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_list_plans_names_them_with_their_titles(invoke):
    lines = invoke("list", "plans").stdout.splitlines()
    assert lines[0].split() == ["plan", "title"]
    assert "paper-fig5      Figure 5: cross coherence on MNIST-SVHN against f" in lines
