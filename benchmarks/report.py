"""The report's time and memory on stores of several sizes, each measurement in a process of its own.

    python -m benchmarks.report [--runs 250,1000] [--store DIR]

Goals on two cores: the whole report of 1,000 runs in 60 s, its tables alone, with the start of Python, in 5 s.
`--store` keeps the made stores for another time. Memory is the peak of the process that writes the report; those that
draw beside it are not in it.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.store_of import fill
from mmbench.results.store import Store

__all__ = ["measured"]

GOALS = {"everything": 60.0, "tables": 5.0}
"""What is written -> seconds for 1,000 runs."""


def measured(folder: Path, sizes: list[int]) -> list[dict[str, Any]]:
    """One row a size and choice: seconds, and MiB at the peak."""
    found = []
    for runs in sizes:
        path = folder / f"{runs}.db"
        if not path.exists():
            with Store.open(path) as store:
                fill(store, runs)
        for what in GOALS:
            out = folder / f"report-{runs}-{what}"
            command = [sys.executable, "-m", "benchmarks.report", "--once", str(path), str(out), what]
            began = time.perf_counter()
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds = time.perf_counter() - began
            found.append({"runs": runs, "what": what, "seconds": seconds, "peak MiB": float(answer.stdout)})
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", default="250,1000")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        _once(*options.once)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.store or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for row in measured(folder, [int(size) for size in options.runs.split(",")]):
            goal = f" (goal {GOALS[row['what']]:g} s)" if row["runs"] == 1000 else ""
            print(f"{row['runs']:>6,} runs, {row['what']:<10} {row['seconds']:6.1f} s{goal}, {row['peak MiB']:.0f} MiB")


def _once(store: str, out: str, what: str) -> None:
    from mmbench.results.report import write

    with Store.open_readonly(store) as opened:
        write(opened, Path(out), only=() if what == "everything" else (what,))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
