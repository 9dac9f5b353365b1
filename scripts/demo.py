"""`make demo`: train MEME, MVAE and MMVAE on the embedded digits for a few fractions f, and write the report.

One process a core, each with one thread: the networks are so small that this is the quickest. Runs that are in the
store already are not trained again, so the demo can be stopped and started.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from mmbench.results.report import write
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, resolve
from mmbench.sweep.outcome import Outcome
from mmbench.sweep.processes import carry_out

MODELS = ("meme", "mmvae", "mvae")  # the slowest first, so that no core waits at the end
STEPS = 1000  # fewer than the preset's 1,400, so that two cores finish in well under six minutes
OBSERVED = (("complete", 1.0), ("split", 0.5), ("split", 0.125))


def main() -> None:
    """Train, evaluate, draw; print where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=STEPS, help="Optimiser steps of each run.")
    parser.add_argument("--out", type=Path, default=Path("demo-results"), help="Folder of the store and the report.")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="Runs at a time.")
    given = parser.parse_args()
    begun, store = time.monotonic(), given.out / "results.db"
    requests = [Request(model=m, scheme=scheme, f=f, steps=given.steps) for m in MODELS for scheme, f in OBSERVED]
    print(f"{len(requests)} runs, {given.processes} at a time", flush=True)

    def told(outcome: Outcome) -> None:
        print(f"{outcome.run or outcome.spec.model}: {outcome.status} {outcome.error}".rstrip(), flush=True)

    options = RunOptions(device="cpu", threads=1, quiet=True)
    outcomes = carry_out([resolve(r) for r in requests], store, options, jobs=given.processes, told=told)
    with Store.open_readonly(store) as opened:
        page = write(opened, given.out / "report")
    print(f"\ndone in {time.monotonic() - begun:.0f} s; the report: {page.absolute()}")
    sys.exit(any(outcome.status != "done" for outcome in outcomes))


if __name__ == "__main__":
    main()
