"""Training speed of every registered model on the embedded digits: pairs a second, with the preset `common`.

    python benchmarks/throughput.py [--steps 150] [--repeats 3] [--threads N]

Each model is trained from scratch for `--steps` steps through the production path, without metrics and progress; the
first repeat warms caches up and is not counted. Printed are the median and the range over the repeats. What is timed is
the training alone (`timings.train_s` of the record), checkpoints included. Numbers of different machines, or of a
machine that does something else as well, do not compare.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from mmbench.models import MODELS
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, resolve, run


def pairs_per_second(model: str, *, steps: int, seed: int, threads: int | None, folder: Path) -> float:
    """Train one model and return its training pairs a second."""
    spec = resolve(Request(model=model, steps=steps, seed=seed, metrics=()))
    record = run(spec, Store.open(folder / "results.db"), RunOptions(device="cpu", threads=threads, quiet=True))
    return float(record.timings["pairs_per_s"])


def main() -> None:
    """Measure and print one line a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    print(f"{'model':8} {'pairs/s':>8}   range over {options.repeats} repeats of {options.steps} steps")
    for model in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            rates = [
                pairs_per_second(model, steps=options.steps, seed=seed, threads=options.threads, folder=Path(folder))
                for seed in range(options.repeats + 1)
            ][1:]
        print(f"{model:8} {statistics.median(rates):8.0f}   {min(rates):.0f} to {max(rates):.0f}")


if __name__ == "__main__":
    main()
