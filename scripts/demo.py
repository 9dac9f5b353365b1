"""`make demo`: train MEME, MVAE and MMVAE on the embedded digits for a few fractions f, and write the report.

One process a core, each with one thread: the networks are so small that this is the quickest. Runs that are in the
store already are not trained again, so the demo can be stopped and started.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from mmbench.results.report import write
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, resolve, run

MODELS = ("meme", "mmvae", "mvae")  # the slowest first, so that no core waits at the end
STEPS = 1000  # fewer than the preset's 1,400, so that two cores finish in well under six minutes
OBSERVED = (("complete", 1.0), ("split", 0.5), ("split", 0.125))


def train(request: Request, store: Path) -> str:
    """Train and score one run in this process; returns one line on how it went."""
    with Store.open(store) as opened:
        record = run(resolve(request), opened, RunOptions(device="cpu", threads=1, quiet=True))
    took = f", trained in {record.timings['train_s']:.0f} s" if "train_s" in record.timings else ""
    return f"{record.id}: {record.status}{took}"


def main() -> None:
    """Train, evaluate, draw; print where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=STEPS, help="Optimiser steps of each run.")
    parser.add_argument("--out", type=Path, default=Path("demo-results"), help="Folder of the store and the report.")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="Runs at a time.")
    options = parser.parse_args()
    begun, store = time.monotonic(), options.out / "results.db"
    requests = [Request(model=m, scheme=scheme, f=f, steps=options.steps) for m in MODELS for scheme, f in OBSERVED]
    print(f"{len(requests)} runs, {options.processes} at a time", flush=True)
    with ProcessPoolExecutor(min(options.processes, len(requests)), mp_context=get_context("spawn")) as pool:
        lines = as_completed([pool.submit(train, request, store) for request in requests])
        for number, line in enumerate(lines, start=1):
            print(f"{number}/{len(requests)}  {line.result()}", flush=True)
    with Store.open_readonly(store) as opened:
        page = write(opened, options.out / "report")
    print(f"\ndone in {time.monotonic() - begun:.0f} s; the report: {page.absolute()}")


if __name__ == "__main__":
    main()
