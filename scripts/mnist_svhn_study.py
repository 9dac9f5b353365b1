"""The comparison on MNIST-SVHN that docs/mnist-svhn.md reports: seven runs, the report and the exported scores.

Resumable: a run that is in the store is not trained again, and one that was interrupted goes on from its last
checkpoint. Every run has the same networks, latent size, likelihoods, batch, optimiser, learning rate and steps (the
dataset's preset `common`); MEME's presets `released` and `paper` change flags of its objective alone.

    MMBENCH_DATA=... python scripts/mnist_svhn_study.py --out study [--steps 2000] [--threads 2] [--only meme mvae]
"""

import argparse
from pathlib import Path

from mmbench.results.frame import scores_frame
from mmbench.results.report import write
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, resolve, run

PAIRS = 13  # with 4,434 SVHN digits about as many training pairs as the paper's 56,068

RUNS = {
    "meme": Request(model="meme"),
    "mvae": Request(model="mvae"),
    "mmvae": Request(model="mmvae"),
    "meme-split": Request(model="meme", scheme="split", f=0.25),
    "mvae-split": Request(model="mvae", scheme="split", f=0.25),
    "meme-released": Request(model="meme", preset="released"),
    "meme-paper": Request(model="meme", preset="paper"),
}


def main() -> None:
    """Run what is not there yet, then write the report and the scores."""
    arguments = parsed()
    store = Store.open(arguments.out / "results.db")
    options = RunOptions(threads=arguments.threads, say=print)
    for name in arguments.only:
        core = {field: getattr(RUNS[name], field) for field in ("model", "preset", "scheme", "f")}
        request = Request(**core, dataset="mnist-svhn", steps=arguments.steps, sets={"data.pairs": PAIRS})
        record = run(resolve(request), store, options)
        print(f"{name}: {record.id}, {record.status}")
    print(write(store, arguments.out / "report"))
    scores_frame(store).to_csv(arguments.out / "scores.csv", index=False)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("mnist-svhn-study"), help="folder of the store and the report")
    parser.add_argument("--steps", type=int, default=2000, help="optimiser steps of every run")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch")
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS), help="some of the runs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
