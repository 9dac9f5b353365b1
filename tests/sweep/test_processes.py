"""Several runs at once: the same bits as one by one, every ending is an outcome, and nothing is left behind."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from mmbench.config import RunSpec
from mmbench.errors import InvalidSetting
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, load, resolve
from mmbench.run.folder import weights_digest
from mmbench.sweep import child, processes
from mmbench.sweep.outcome import Outcome, carried
from mmbench.sweep.processes import carry_out, threads_each

pytestmark = pytest.mark.timeout(600)  # processes that import torch, maybe on a busy machine

OPTIONS = RunOptions(device="cpu", threads=1, quiet=True)


def spec(seed: int = 0, dataset: str = "digits", **sets: object) -> RunSpec:
    request = Request(model="mvae", dataset=dataset, seed=seed, metrics=(), sets={"train.steps": 3, **sets})
    return resolve(request)


@pytest.fixture(scope="module")
def specs() -> list[RunSpec]:
    """Two that end well, one that diverges between them, and one whose data is not there."""
    return [spec(0), spec(5, **{"train.lr": 1e30, "train.steps": 20}), spec(1), spec(0, dataset="mnist-svhn")]


@pytest.fixture(scope="module", params=[1, 2], ids=["one by one", "two at once"])
def ended(
    request: pytest.FixtureRequest, specs: list[RunSpec], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Outcome], list[Outcome]]:
    """The store, the outcomes returned, and the outcomes told."""
    store, told = tmp_path_factory.mktemp("sweep") / "new" / "results.db", list[Outcome]()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MMBENCH_DATA", raising=False)
        outcomes = carry_out(specs, store, OPTIONS, jobs=request.param, told=told.append)
    return store, outcomes, told


def test_one_that_fails_does_not_stop_the_others(ended, specs) -> None:
    store, outcomes, told = ended
    assert [outcome.spec for outcome in outcomes] == specs
    assert [outcome.status for outcome in outcomes] == ["done", "diverged", "done", "refused"]
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, False, True]
    assert "needs files" in outcomes[3].error
    assert sorted(map(repr, told)) == sorted(map(repr, outcomes))
    with Store.open_readonly(store) as opened:
        assert {run.id for run in opened.runs()} == {outcome.run for outcome in outcomes[:3]}


def test_the_weights_are_those_of_a_run_alone(ended, specs, tmp_path) -> None:
    store, outcomes, _ = ended
    for outcome in (outcomes[0], outcomes[2]):
        alone = carried(outcome.spec, tmp_path / "results.db", OPTIONS)
        assert digest(alone, tmp_path / "results.db") == digest(outcome, store)
        with Store.open_readonly(store) as opened:
            assert opened.get(str(outcome.run)).provenance["threads"] == 1


def digest(outcome: Outcome, store: Path) -> str:
    with Store.open_readonly(store) as opened:
        return weights_digest(load(str(outcome.run), opened).model.state_dict())


def test_what_is_done_is_said_and_not_trained_again(ended, specs, request) -> None:
    store, outcomes, _ = ended
    jobs, said = request.node.callspec.params["ended"], list[str]()
    again = carry_out(specs[:3:2], store, replace(OPTIONS, say=said.append), jobs=jobs, told=lambda outcome: None)
    assert again == outcomes[:3:2]
    assert sorted(said) == sorted(f"run {o.run} is there already; --force trains it anew." for o in again)
    with Store.open_readonly(store) as opened:
        assert len(opened.runs(include_superseded=True)) == 3


# Processes that end in other ways: a stand-in for the run, which needs no torch ---------------------------------------
STAND_IN = """
import sys; sys.path[:] = sys.argv[1:]
import os, signal, time
from mmbench.sweep import child, outcome
def carried(spec, store, options):
    print("what a library prints")
    try:
        options.say(str(os.getpid()))
        {body}
    except KeyboardInterrupt:
        return outcome.Outcome(spec, "interrupted", "saved", "interrupted.")
outcome.carried = carried
child.main()
"""
SLEEPING = "time.sleep(300)"


def stand_in(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(child, "START", STAND_IN.replace("{body}", body))


def pids_gone(pids: list[str]) -> bool:
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
    return True


@pytest.mark.parametrize(
    "body, how",
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL (is there enough memory? try fewer jobs)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        ("os._exit(3)", "ended with code 3"),
    ],
)
def test_a_process_that_ends_without_a_word_is_an_outcome(monkeypatch, tmp_path, specs, body, how) -> None:
    stand_in(monkeypatch, body)
    outcomes = carry_out(specs[:3], tmp_path / "r.db", OPTIONS, jobs=2, told=lambda outcome: None)
    assert [(o.status, o.run) for o in outcomes] == [("killed", None)] * 3
    assert {o.error for o in outcomes} == {f"its process {how}; the same command goes on."}


def test_a_line_that_is_torn_by_the_end_of_its_process_is_none(monkeypatch, tmp_path, specs) -> None:
    monkeypatch.setattr(child, "START", 'import os; os.write(1, b\'{"status": "do\')')
    outcomes = carry_out(specs[:2], tmp_path / "r.db", OPTIONS, jobs=2, told=lambda outcome: None)
    assert [o.status for o in outcomes] == ["killed", "killed"]


def test_a_process_that_cannot_be_started_is_an_outcome(monkeypatch, tmp_path, specs) -> None:
    def no_more(*_args: object, **_options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(processes.subprocess, "Popen", no_more)
    outcomes = carry_out(specs[:2], tmp_path / "r.db", OPTIONS, jobs=2, told=lambda outcome: None)
    assert [o.status for o in outcomes] == ["failed", "failed"]
    assert "Resource temporarily unavailable" in str(outcomes[0].error)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_what_runs_and_starts_nothing_more(monkeypatch, tmp_path, specs, number) -> None:
    stand_in(monkeypatch, SLEEPING)
    told, pids = list[Outcome](), list[str]()

    def say(pid: str) -> None:
        pids.append(pid)
        if len(pids) == 2:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        carry_out(specs, tmp_path / "r.db", replace(OPTIONS, say=say), jobs=2, told=told.append)
    assert [(outcome.status, outcome.run) for outcome in told] == [("interrupted", "saved")] * 2
    assert len(pids) == 2
    assert pids_gone(pids)


def test_the_second_signal_does_not_wait(monkeypatch, tmp_path, specs) -> None:
    stand_in(monkeypatch, "signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(300)")
    pids: list[str] = []

    def say(pid: str) -> None:
        pids.append(pid)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        carry_out(specs, tmp_path / "r.db", replace(OPTIONS, say=say), jobs=2, told=lambda outcome: None)
    assert pids_gone(pids)


def test_an_error_of_the_caller_leaves_no_process_behind(monkeypatch, tmp_path, specs) -> None:
    stand_in(monkeypatch, SLEEPING)
    pids: list[str] = []

    def say(pid: str) -> None:
        pids.append(pid)
        raise RuntimeError("the terminal is gone")

    with pytest.raises(RuntimeError, match="the terminal is gone"):
        carry_out(specs, tmp_path / "r.db", replace(OPTIONS, say=say), jobs=2, told=lambda outcome: None)
    assert pids_gone(pids)


@pytest.fixture
def unknown_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise RuntimeError("out of memory\nand more lines")

    monkeypatch.setattr("mmbench.run.run", fail, raising=False)


@pytest.mark.usefixtures("unknown_error")
def test_an_unexpected_error_is_one_sentence_and_a_traceback_in_the_log(specs, tmp_path, caplog) -> None:
    found = carried(specs[0], tmp_path / "r.db", OPTIONS)
    assert (found.status, found.run, found.error) == ("failed", None, "RuntimeError: out of memory")
    assert "Traceback" in caplog.text


def test_fewer_than_one_at_once_is_refused(specs, tmp_path) -> None:
    with pytest.raises(InvalidSetting, match="at least 1"):
        carry_out(specs, tmp_path / "r.db", OPTIONS, jobs=0, told=lambda outcome: None)
    assert carry_out([], tmp_path / "r.db", OPTIONS, jobs=3, told=lambda outcome: None) == []


def test_processes_share_the_cores(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert [threads_each(jobs) for jobs in (1, 3, 4, 16, 99)] == [16, 5, 4, 1, 1]
