"""Several runs at once on one machine: each in a process of its own, all at one store.

The processes are started anew, not forked: CUDA and torch's threads do not survive a fork, and each run has its own
peak of memory. A process that is killed is an outcome like any other. Ctrl-C and SIGTERM stop the processes as they
stop a single run, at the next whole step, which is saved; the second one does not wait.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGKILL, Signals
from typing import IO, Any, cast

from mmbench.config import RunSpec
from mmbench.errors import InvalidSetting
from mmbench.run.options import RunOptions
from mmbench.sweep import child
from mmbench.sweep.outcome import Outcome, carried
from mmbench.training.interrupt import interruptible

__all__ = ["carry_out", "threads_each"]

LOOK_SECONDS = 0.1  # between two looks at whether Ctrl-C came
PATIENCE_SECONDS = 5.0  # for processes to end after the second one, or after an error of this process

Told = Callable[[Outcome], None]


def carry_out(
    specs: Sequence[RunSpec], store: str | Path, options: RunOptions | None = None, *, jobs: int = 1, told: Told
) -> list[Outcome]:
    """Carry out runs through `mmbench.run.run`; returns their outcomes in the order of the specs.

    What one run comes to does not stop the others. Runs that are done already are found to be so, not trained again.

    Args:
        store: where the store is: a path or a database URL.
        options: of every run. Where several run at once without a number of threads, they share the cores, and they
            show no progress. Components must be known to a fresh process: built in, entry points, or of a plug-in file.
        jobs: how many run at once; with 1 they run one after the other in this process.
        told: is called with each outcome as it comes, in this thread.

    Raises:
        InvalidSetting: `jobs` below 1.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after what was running was saved and recorded as interrupted.
    """
    options = options or RunOptions()
    if jobs < 1:
        raise InvalidSetting(f"at least 1 run must be carried out at once, got {jobs}.")
    jobs = min(jobs, len(specs))
    if jobs <= 1:
        return _one_by_one(specs, store, options, told)
    options = replace(options, quiet=True, threads=options.threads or threads_each(jobs))
    return _Processes(specs, store, options, jobs, told).outcomes()


def threads_each(jobs: int) -> int:
    """CPU threads of each of `jobs` processes that share the cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jobs)


def _one_by_one(specs: Sequence[RunSpec], store: str | Path, options: RunOptions, told: Told) -> list[Outcome]:
    outcomes = []
    for spec in specs:
        outcomes.append(carried(spec, store, options))
        told(outcomes[-1])
        if outcomes[-1].status == "interrupted":
            raise KeyboardInterrupt
    return outcomes


@dataclass(frozen=True)
class _Event:
    """What a process said, or that it ended."""

    number: int
    said: str | None = None


class _Processes:
    """Runs by their numbers: those that wait, the processes of those that run, and the outcomes of the others."""

    def __init__(self, specs: Sequence[RunSpec], store: str | Path, options: RunOptions, jobs: int, told: Told) -> None:
        self._specs, self._store, self._options, self._jobs, self._told = specs, store, options, jobs, told
        self._waiting, self._running = deque(range(len(specs))), dict[int, _Process]()
        self._events: queue.Queue[_Event] = queue.Queue()
        self._outcomes: dict[int, Outcome] = {}

    def outcomes(self) -> list[Outcome]:
        """Carry all of them out."""
        with interruptible() as interruption:
            try:
                while self._running or (self._waiting and not interruption.requested):
                    if interruption.requested:
                        self._stop()
                    else:
                        self._start()
                    self._hear()
            finally:
                _end(list(self._running.values()))
        if interruption.requested:
            raise KeyboardInterrupt
        return [self._outcomes[number] for number in range(len(self._specs))]

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._jobs:
            number = self._waiting.popleft()
            request = child.request(self._specs[number], self._store, self._options)
            try:
                self._running[number] = _Process(number, request, self._events)
            except OSError as error:
                sentence = f"no process could be started for it ({error.strerror}); use fewer jobs."
                self._keep(number, Outcome(self._specs[number], "failed", error=sentence))

    def _stop(self) -> None:
        for process in self._running.values():
            process.stop()

    def _hear(self) -> None:
        try:
            event = self._events.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return
        if event.said is not None:
            self._options.say(event.said)
        else:
            process = self._running.pop(event.number)
            self._keep(event.number, process.outcome(self._specs[event.number]))

    def _keep(self, number: int, outcome: Outcome) -> None:
        self._outcomes[number] = outcome
        self._told(outcome)


class _Process:
    """A process for one run, and a thread that listens to it.

    It has a session of its own, so that Ctrl-C on the terminal reaches the parent alone, which passes it on.
    """

    def __init__(self, number: int, request: bytes, events: "queue.Queue[_Event]") -> None:
        command = [sys.executable, "-c", child.START, *sys.path]
        pipe = subprocess.PIPE
        self._popen = subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)
        self._number, self._events = number, events
        self._said_last: dict[str, Any] = {}
        self._wanted, self._out = cast(IO[bytes], self._popen.stdin), cast(IO[bytes], self._popen.stdout)
        threading.Thread(target=self._listen, daemon=True).start()
        with suppress(BrokenPipeError):  # it ended before it read; its exit code says how
            self._wanted.write(request)
            self._wanted.flush()

    def _listen(self) -> None:
        with self._out, suppress(ValueError):  # a line that is torn by the process's end is no JSON
            for line in self._out:
                what = json.loads(line)
                if "said" in what:
                    self._events.put(_Event(self._number, what["said"]))
                else:
                    self._said_last = what
        self._popen.wait()
        self._events.put(_Event(self._number))

    def stop(self) -> None:
        """Interrupt the run as Ctrl-C does."""
        with suppress(BrokenPipeError):
            self._wanted.close()

    def hurry(self) -> None:
        """Interrupt the run for the second time, which does not wait for a step."""
        self.stop()
        self._popen.terminate()

    def end(self, patience: float) -> None:
        """Wait until the process has ended, and kill it where it does not."""
        try:
            self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def outcome(self, spec: RunSpec) -> Outcome:
        """What became of the run, once the process has ended."""
        self.stop()
        if self._said_last:
            return Outcome(spec, **self._said_last)
        code = self._popen.returncode
        how = f"ended with code {code}" if code >= 0 else f"was killed by {Signals(-code).name}"
        memory = " (is there enough memory? try fewer jobs)" if code == -SIGKILL else ""
        return Outcome(spec, "killed", error=f"its process {how}{memory}; the same command goes on.")


def _end(processes: Sequence[_Process]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    for process in processes:
        process.hurry()
    for process in processes:
        process.end(max(0.0, until - time.monotonic()))
