"""Show that the tests catch mistakes: put known faults into objectives, posteriors and bounds, one at a time.

A fault is an edit of one file: a sign, a dropped term, a sum for a mean, a detached tensor too many, a swapped KL. The
files of `scripts/faults/` hold them, one for each mutated module:

    file = "mmbench/models/posteriors.py"
    tests = ["tests/models/test_posteriors.py"]     # what should catch them: files, or tests by their node id

    [[fault]]
    name = "kl-standard-sign"                       # printed as posteriors/kl-standard-sign
    wrong = "KL(q || N(0, I)) adds log scale"       # one line on what is wrong with it
    old = "- q.scale.log().sum(-1)"                 # stands exactly once in the file
    new = "+ q.scale.log().sum(-1)"
    tests = ["tests/models/test_posteriors.py::test_kl"]     # only where it differs from the file's own

Each worker has a copy of the tree. The named tests must pass on it as it is; then a fault is put in, its tests run with
pytest's own options of this project (so without the slow ones), and the file is restored. The verdict is one of

    caught      a test failed by its assertion; the table names the first one
    SURVIVED    all tests passed
    ERROR       no fair trial: the tests could not be collected, the code crashed instead of giving a wrong number, or
                the run took longer than the limit

Exit code 0 where every fault is caught; 1 where one is not, where one no longer applies, or where the tests fail
without any.
"""

import argparse
import ast
import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

REPO = Path(__file__).resolve().parents[1]
COPIED = ("mmbench", "tests", "pyproject.toml")
LIMIT = 120.0  # seconds for the tests of one fault
FAILED = re.compile(r"^FAILED (?P<test>.+?) - (?P<reason>.+)$", re.M)
# How pytest's summary names a failed assertion, a missing exception, and a broken promise of the contract.
ASSERTION = re.compile(r"assert |AssertionError\b|Failed: DID NOT RAISE|\S+\.Broken: ")


@dataclass(frozen=True)
class Fault:
    """One edit that the tests should notice; see the module text."""

    name: str
    file: str
    old: str
    new: str
    wrong: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The file's text with the fault in it."""
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Result:
    """The verdict on a fault, what tells it (a test's id, or what went wrong), and the seconds it took."""

    fault: Fault
    verdict: str
    told: str
    seconds: float


@dataclass(frozen=True)
class Ran:
    """One run of pytest: exit code (None where it was stopped at the limit) and output."""

    code: int | None
    output: str


def load(folder: Path) -> list[Fault]:
    """The faults of every file in `folder`, in order; a missing or unknown key is an error."""
    found: list[Fault] = []
    for path in sorted(folder.glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        shared = {"file": content["file"], "tests": content["tests"]}
        found += [_fault(path.stem, {**shared, **own}) for own in content["fault"]]
    return found


def _fault(group: str, values: dict[str, Any]) -> Fault:
    name = f"{group}/{values['name']}"
    return Fault(**{**values, "name": name, "tests": tuple(values["tests"])})


def complaints(fault: Fault, root: Path) -> list[str]:
    """Why a fault no longer applies to the tree at `root`, one sentence each; none where it does."""
    if not (root / fault.file).is_file():
        return [f"{fault.name}: there is no file {fault.file}."]
    text = (root / fault.file).read_text(encoding="utf-8")
    found = []
    if (count := text.count(fault.old)) != 1:
        found.append(f"{fault.name}: the old text stands {count} times in {fault.file}, not once: {fault.old!r}.")
    if fault.applied(text) == text:
        found.append(f"{fault.name}: changes nothing.")
    found += [f"{fault.name}: there is no test {test}." for test in fault.tests if not _exists(test, root)]
    return found


def _exists(test: str, root: Path) -> bool:
    """Whether a file, or a function in it (`path::name` or `path::name[case]`), is there."""
    path, _, name = test.partition("::")
    if not name or not (root / path).is_file():
        return (root / path).is_file()
    content = ast.parse((root / path).read_text(encoding="utf-8")).body
    return name.partition("[")[0] in {part.name for part in content if isinstance(part, ast.FunctionDef)}


def pytest_in(tree: Path, tests: Sequence[str], limit: float) -> Ran:
    """Run tests of a tree against that tree's own package; pytest and all that it started is stopped at the limit."""
    options = ["-x", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
    arguments = [sys.executable, "-m", "pytest", *options, *tests]
    process = subprocess.Popen(
        arguments, cwd=tree, env=_environment(tree), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return Ran(None, output)
    return Ran(process.returncode, output)


def _environment(tree: Path) -> dict[str, str]:
    """The tree's package before an installed one, and a quick start.

    No bytecode is written, as it could outlive an edit made within a second. Other plug-ins are left out: their import
    takes longer than most tests.
    """
    own = {
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "400",  # pytest cuts the reasons of failures at the width
    }
    return {key: value for key, value in os.environ.items() if not key.startswith(("MMBENCH_", "PYTEST_"))} | own


def judge(ran: Ran, limit: float = LIMIT) -> tuple[str, str]:
    """Verdict of a run, and what tells it."""
    if ran.code is None:
        return "ERROR", f"stopped after {limit:.0f} s"
    if ran.code == 0:
        return "SURVIVED", ""
    failed = FAILED.search(ran.output)
    if ran.code != 1 or failed is None:
        return "ERROR", f"pytest exit code {ran.code}, no test failed: {(ran.output.splitlines() or ['no output'])[-1]}"
    if ASSERTION.match(failed["reason"]):
        return "caught", failed["test"]
    return "ERROR", f"crashed in {failed['test']}: {failed['reason']}"


def copied(root: Path, tree: Path) -> Path:
    """A copy of what the tests need; raises where its package is not the one that would be imported."""
    tree.mkdir()
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(root / name, tree / name)
    asked = [sys.executable, "-c", "import mmbench; print(mmbench.__file__)"]
    found = subprocess.run(asked, cwd=tree.parent, env=_environment(tree), capture_output=True, text=True, check=True)
    if Path(found.stdout.strip()).parent.resolve() != (tree / "mmbench").resolve():
        raise SystemExit(f"the tests would import {found.stdout.strip()} instead of the copy in {tree}.")
    return tree


@contextmanager
def seeded(fault: Fault, tree: Path) -> Iterator[None]:
    """The tree with a fault in it."""
    path = tree / fault.file
    text = path.read_text(encoding="utf-8")
    path.write_text(fault.applied(text), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


class Workshop:
    """Trees and workers: each task takes a tree, leaves it as it was, and puts it back."""

    def __init__(self, root: Path, folder: Path, *, jobs: int, limit: float = LIMIT) -> None:
        self._limit = limit
        self._pool = ThreadPoolExecutor(jobs)
        self._trees: SimpleQueue[Path] = SimpleQueue()
        for tree in self._pool.map(lambda i: copied(root, folder / f"tree-{i}"), range(jobs)):
            self._trees.put(tree)

    def close(self) -> None:
        """Wait for what runs, and drop what does not run yet."""
        self._pool.shutdown(cancel_futures=True)

    def unharmed(self, faults: Sequence[Fault]) -> Iterator[Ran]:
        """The runs, one a test file, of all the faults' tests without any fault."""
        files: dict[str, set[str]] = {}
        for test in (test for fault in faults for test in fault.tests):
            files.setdefault(test.partition("::")[0], set()).add(test)
        whole = ((file,) if file in tests else tuple(sorted(tests)) for file, tests in files.items())
        yield from self._pool.map(lambda tests: self._run(None, tests), whole)

    def results(self, faults: Sequence[Fault]) -> Iterator[Result]:
        """The verdict on every fault, in order."""
        yield from self._pool.map(self._tried, faults)

    def _tried(self, fault: Fault) -> Result:
        begun = time.monotonic()
        verdict, told = judge(self._run(fault, fault.tests), self._limit)
        return Result(fault, verdict, told, time.monotonic() - begun)

    def _run(self, fault: Fault | None, tests: Sequence[str]) -> Ran:
        tree = self._trees.get()
        try:
            if fault is None:
                return pytest_in(tree, tests, 5 * self._limit)  # the tests of many faults
            with seeded(fault, tree):
                return pytest_in(tree, tests, self._limit)
        finally:
            self._trees.put(tree)


def chosen(faults: Sequence[Fault], only: str | None) -> list[Fault]:
    """The faults whose name begins with `only`, which may have wildcards; all of them for None."""
    return [fault for fault in faults if fnmatch.fnmatchcase(fault.name, f"{only or ''}*")]


def tried(root: Path, faults: Sequence[Fault], *, jobs: int, limit: float = LIMIT) -> int:
    """Try every fault on copies of the tree at `root`, print the table, and give the exit code."""
    if found := [complaint for fault in faults for complaint in complaints(fault, root)]:
        print("\n".join(found))
        return 1
    jobs = max(1, min(jobs, len(faults)))
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Workshop(root, Path(folder), jobs=jobs, limit=limit)) as workshop,
    ):
        return _table(workshop, faults)


def _table(workshop: Workshop, faults: Sequence[Fault]) -> int:
    for ran in workshop.unharmed(faults):
        if ran.code != 0:
            print(f"the tests do not pass without a fault (pytest exit code {ran.code}):\n{ran.output}")
            return 1
    print(f"the named tests pass without a fault; {len(faults)} faults, one at a time:", flush=True)
    width = max(len(fault.name) for fault in faults)
    counts = {"caught": 0, "SURVIVED": 0, "ERROR": 0}
    for result in workshop.results(faults):
        counts[result.verdict] += 1
        told = result.told or result.fault.wrong
        print(f"{result.fault.name:{width}}  {result.verdict:8}  {result.seconds:5.1f} s  {told}", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 0 if counts["caught"] == len(faults) else 1


def main(arguments: Sequence[str] | None = None, *, root: Path = REPO) -> int:
    """Parse the command line and try the chosen faults; the exit code."""
    parser = argparse.ArgumentParser(description="Put known faults into the code and show that the tests catch each.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="workers (default: cores)")
    parser.add_argument("--only", metavar="PATTERN", help="faults whose name begins with PATTERN, such as mvae/ or *kl")
    parser.add_argument("--list", action="store_true", help="print the faults and what is wrong with each, try none")
    options = parser.parse_args(arguments)
    faults = chosen(load(root / "scripts" / "faults"), options.only)
    if not faults:
        print(f"no fault's name begins with {options.only!r}; --list shows all.")
        return 1
    if options.list:
        print("\n".join(f"{fault.name:40}  {fault.wrong}" for fault in faults))
        return 0
    return tried(root, faults, jobs=options.jobs)


if __name__ == "__main__":
    sys.exit(main())
