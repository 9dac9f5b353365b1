"""The comparison of all models that docs/models.md reports: runs, the report with its overview table, the scores.

Two plans, both under preset `common`: `digits` (complete and, where the model can learn from incomplete rows, `split`
at f = 0.25; three seeds) and `mnist-svhn` (complete, one seed, fewer steps, likelihoods on 200 rows with K = 200).
Resumable: a run that is in the store is not trained again, and one that was interrupted goes on.

    python scripts/models_study.py digits --out study [--processes 2]
    MMBENCH_DATA=... python scripts/models_study.py mnist-svhn --out study [--steps 1500]
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from mmbench.errors import CannotBear
from mmbench.models import MODELS
from mmbench.results.frame import scores_frame
from mmbench.results.report import write
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, resolve, run


@dataclass(frozen=True)
class Plan:
    """A dataset, the seeds, whether `split` is trained too, and what differs from preset `common`."""

    base: Request
    seeds: int
    split: bool


PLANS = {
    "digits": Plan(Request(dataset="digits"), seeds=3, split=True),
    "mnist-svhn": Plan(
        Request(
            dataset="mnist-svhn",
            steps=1500,
            sets={"data.pairs": 13, "metrics.log_likelihood.rows": 200, "metrics.log_likelihood.k": 200},
        ),
        seeds=1,
        split=False,
    ),
}


def main() -> None:
    """Run what is not there yet, then write the report and the scores."""
    arguments = parsed()
    store = arguments.out / "results.db"
    requests = bearable(requests_of(PLANS[arguments.plan], arguments))
    print(f"{len(requests)} runs, {arguments.processes} at a time", flush=True)
    Store.open(store).close()
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(train, request, store, arguments.threads) for request in requests]
        for number, line in enumerate(as_completed(futures), start=1):
            print(f"{number}/{len(requests)}  {line.result()}", flush=True)
    with Store.open_readonly(store) as opened:
        print(write(opened, arguments.out / "report"))
        scores_frame(opened).to_csv(arguments.out / "scores.csv", index=False)


def requests_of(plan: Plan, arguments: argparse.Namespace) -> list[Request]:
    """Seed by seed, so that a study that is cut short has whole seeds."""
    base = plan.base if arguments.steps is None else replace(plan.base, steps=arguments.steps)
    found = []
    for seed in range(plan.seeds):
        for model in arguments.models:
            request = replace(base, model=model, seed=seed)
            found += [request, replace(request, scheme="split", f=0.25)] if plan.split else [request]
    return found


def bearable(requests: Sequence[Request]) -> list[Request]:
    """Those that their models can be trained on; the others are named with the reason."""
    found = []
    for request in requests:
        try:
            resolve(request)
        except CannotBear as reason:
            print(f"left out: {request.model}, {request.scheme}: {reason}")
        else:
            found.append(request)
    return found


def train(request: Request, store: Path, threads: int) -> str:
    """Train and score one run in this process; returns one line on how it went."""
    with Store.open(store) as opened:
        record = run(resolve(request), opened, RunOptions(device="cpu", threads=threads, quiet=True))
    took = f", trained in {record.timings['train_s']:.0f} s" if "train_s" in record.timings else ""
    return f"{record.id}: {record.status}{took}"


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", choices=list(PLANS), help="which comparison")
    parser.add_argument("--out", type=Path, default=Path("models-study"), help="folder of the store and the report")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="some of the models")
    parser.add_argument("--steps", type=int, default=None, help="optimiser steps, where not those of the plan")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
