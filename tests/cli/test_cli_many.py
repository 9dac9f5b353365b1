"""`run --seeds`: a table of the runs, exit codes, bad input, and Ctrl-C."""

import json
import re
import signal
import subprocess
import time

import pytest

from mmbench.results.store import Store

pytestmark = pytest.mark.timeout(900)  # several processes that import torch, maybe on a busy machine

QUICK = ("run", "--model", "mvae", "--steps", "3", "--threads", "1", "--metrics", "none", "--quiet")

SHOWN = """\
seed  status  run
4     done    mvae-digits-complete-1-s4-H
7     done    mvae-digits-complete-1-s7-H

store: {store}
"""


def test_seeds_one_after_the_other_then_again(invoke, tmp_path):
    store = tmp_path / "results.db"
    first = invoke(*QUICK, "--seeds", "4,7", "--store", store)
    assert (first.exit_code, first.stderr) == (0, "")
    assert re.sub(r"-[0-9a-f]{6}$", "-H", first.stdout, flags=re.M) == SHOWN.format(store=store)
    again = invoke(*QUICK, "--seeds", "4,7", "--store", store)
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert again.stderr.count("is there already") == 2


def test_a_line_for_each_run_as_it_ends(invoke, tmp_path):
    loud = [part for part in QUICK if part != "--quiet"]
    result = invoke(*loud, "--seeds", "0,1", "--store", tmp_path / "results.db")
    lines = [line for line in result.stderr.splitlines() if " of 2: " in line]
    assert [re.sub(r"-[0-9a-f]{6} ", "-H ", line) for line in lines] == [
        "1 of 2: mvae-digits-complete-1-s0-H done.",
        "2 of 2: mvae-digits-complete-1-s1-H done.",
    ]


def test_one_that_diverged_is_in_the_table_and_exits_with_1(invoke, tmp_path):
    wild = (*QUICK, "--steps", 20, "--set", "train.lr=1e30", "--seeds", "0,1", "--store", tmp_path / "results.db")
    result = invoke(*wild)
    assert result.exit_code == 1
    rows = result.stdout.splitlines()[1:3]
    assert [row.split()[1] for row in rows] == ["diverged", "diverged"]
    assert all("training diverged at step" in row for row in rows)


def test_where_bad_input_keeps_all_from_running_the_code_is_2_and_nothing_is_made(invoke, tmp_path, monkeypatch):
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    result = invoke(*QUICK, "--dataset", "mnist-svhn", "--seeds", "0,1", "--store", tmp_path / "new" / "results.db")
    assert result.exit_code == 2
    assert [row.split()[:3] for row in result.stdout.splitlines()[1:3]] == [
        ["0", "refused", "none"],
        ["1", "refused", "none"],
    ]
    assert not (tmp_path / "new").exists()


def test_dry_run_prints_a_list_of_specs(invoke):
    alone = json.loads(invoke(*QUICK, "--seed", 7, "--dry-run").stdout)
    several = json.loads(invoke(*QUICK, "--seeds", "4,7", "--dry-run").stdout)
    assert [spec["seed"] for spec in several] == [4, 7]
    assert several[1] == alone
    assert json.loads(invoke(*QUICK, "--seeds", "7", "--dry-run").stdout) == [alone]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--seeds", "0,1", "--seed", "3"), "--seeds names the seed of every run; leave out --seed."),
        (("--seeds", "0;1"), "--seeds needs whole numbers parted by commas, e.g. 0,1,2, got '0;1'."),
        (("--seeds", ""), "--seeds needs whole numbers parted by commas, e.g. 0,1,2, got ''."),
        (("--seeds", "3,1,3"), "--seeds names 3 twice; keep one."),
        (("--seeds", "0,-1"), "seed must be a whole number from 0 to 2^63 - 1, got -1."),
        (
            ("--jobs-per-device", "2"),
            "--jobs-per-device is for the runs of --seeds, and there is one run; give --seeds.",
        ),
    ],
)
def test_bad_seeds_are_one_sentence(invoke, tmp_path, arguments, sentence):
    result = invoke(*QUICK, *arguments, "--store", tmp_path / "results.db")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"mmbench: {sentence}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_spec_holds_its_seed(invoke, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(invoke(*QUICK, "--dry-run").stdout)
    result = invoke("run", "--spec", path, "--seeds", "0,1")
    assert (result.exit_code, result.stderr) == (2, "mmbench: --spec holds the whole run; leave out --seeds.\n")


def test_no_jobs_at_once_is_bad_input(invoke):
    result = invoke(*QUICK, "--seeds", "0,1", "--jobs-per-device", "0")
    assert result.exit_code == 2
    assert "--jobs-per-device" in result.stderr


def test_ctrl_c_interrupts_all_and_the_same_command_goes_on(command, invoke, tmp_path):
    store = tmp_path / "results.db"
    sets = ("--set", "data.pairs=1", "--set", "train.test_rows=0", "--steps", "300")
    run = (*QUICK[:-1], *sets, "--seeds", "0,1", "--store", str(store))
    several = [*command, *run, "--jobs-per-device", "2"]
    process = subprocess.Popen(several, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _wait_for(lambda: len(list(tmp_path.glob("runs/*/*.ckpt"))) >= 2 or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, ""), err
    assert len([line for line in err.splitlines() if "interrupted; the same command goes on." in line]) == 2
    assert "Traceback" not in err
    with Store.open_readonly(store) as opened:
        assert [run.status for run in opened.runs()] == ["interrupted", "interrupted"]
    done = invoke(*run)
    assert done.stderr.count("going on from checkpoint") == 2
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:3]] == [["0", "done"], ["1", "done"]]


def _wait_for(condition, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not come"
        time.sleep(0.05)
