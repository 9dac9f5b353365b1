"""Ctrl-C is recorded and resumable, two processes at one spec end with one run, a full disk loses nothing."""

import signal
import subprocess
import time

import pytest

from mmbench.results.store import Store

pytestmark = pytest.mark.timeout(900)  # several processes that import torch, maybe on a busy machine

SHORT_EPOCHS = ("--set", "data.pairs=1", "--set", "train.test_rows=0")
RUN = ("run", "--model", "mvae", "--threads", "1", "--metrics", "none", *SHORT_EPOCHS)


def test_ctrl_c_exits_with_130_and_the_same_command_goes_on(command, tmp_path):
    store = tmp_path / "results.db"
    arguments = [*command, *RUN, "--steps", "300", "--store", str(store)]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _wait_for(lambda: list(tmp_path.glob("runs/*/*.ckpt")) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == (
        "mmbench: interrupted; a run goes on from its last checkpoint when the same command is given again."
    )
    with Store.open_readonly(store) as opened:
        assert [run.status for run in opened.runs()] == ["interrupted"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=300)
    assert "going on from checkpoint" in done.stderr
    with Store.open_readonly(store) as opened:
        assert [run.status for run in opened.runs()] == ["done"]


def test_two_processes_at_one_spec_train_it_once(command, tmp_path):
    store = tmp_path / "results.db"
    arguments = [*command, *RUN, "--steps", "20", "--store", str(store)]
    both = [subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    first, second = (out for out, _ in ended)
    assert first == second
    assert sum("is there already" in err for _, err in ended) == 1
    with Store.open_readonly(store) as opened:
        assert [run.status for run in opened.runs(include_superseded=True)] == ["done"]


def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on_later(command, tmp_path):
    """A limit on the size of files stands for the full disk: the store fits below it, a checkpoint does not."""
    store = tmp_path / "results.db"
    Store.open(store).close()
    arguments = [*command, *RUN, "--quiet", "--steps", "30", "--store", str(store)]
    limited = ["bash", "-c", 'ulimit -f 3000 && exec "$@"', "bash", *arguments]
    full = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=300)
    assert (full.returncode, full.stdout) == (2, ""), full.stderr
    assert full.stderr.startswith("mmbench: ")
    assert full.stderr.count("\n") == 1
    assert "full" in full.stderr
    with Store.open_readonly(store) as opened:
        assert opened.runs() == []
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


def _wait_for(condition, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not come"
        time.sleep(0.05)
