"""How the cost of a step grows: with the batch, K, the latent, modalities and threads; and several seeds at once.

    python -m benchmarks.growth [--windows 5] [--out benchmarks/results]

MEME's default on MNIST-SVHN shapes with the released networks and random images, but for the number of modalities:
those are `small` networks on 784 values each. Seeds: two trainings as single-thread processes side by side, against the
same two one after the other with two threads.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.windows import interleaved
from mmbench.modality import ModalitySpec
from mmbench.models import MODELS, Architecture
from mmbench.run.allocator import raise_thresholds
from mmbench.seeding import StepNoise

PAIR = (ModalitySpec("mnist", "image", (1, 28, 28)), ModalitySpec("svhn", "image", (3, 32, 32)))
STEPS = 60


def stepper(
    *, model: str = "meme", specs: Sequence[ModalitySpec] = PAIR, networks: str = "released", batch: int = 128,
    latent: int = 64, **settings: Any,
) -> Callable[[], None]:  # fmt: skip
    """A training step on random images."""
    torch.manual_seed(0)
    arch, kind = Architecture(networks=networks, latent_dim=latent), MODELS[model]
    own: Any = kind.Settings(**settings)
    made = kind(specs, own, arch, kind.coders(specs, own, arch))
    optimiser = torch.optim.Adam(made.parameters(), 1e-7, fused=True)
    values = {spec.name: torch.rand(batch, *spec.shape) for spec in specs}

    def step() -> None:
        optimiser.zero_grad()
        made.objective(values, noise=StepNoise(0)).loss.backward()  # type: ignore[no-untyped-call]  # torch: no types
        optimiser.step()

    return step


def several(count: int) -> tuple[ModalitySpec, ...]:
    """`count` grey images of 28x28."""
    return tuple(ModalitySpec(f"m{i}", "image", (1, 28, 28)) for i in range(count))


TABLES: dict[str, dict[str, Callable[[], Callable[[], None]]]] = {
    "batch": {str(n): partial(stepper, batch=n) for n in (32, 64, 128, 256, 512)},
    "K": {str(k): partial(stepper, k=k) for k in (1, 5, 10, 30)},
    "latent": {str(d): partial(stepper, latent=d) for d in (16, 64, 128)},
    "modalities (MEME)": {str(m): partial(stepper, specs=several(m), networks="small") for m in (2, 3, 4, 5)},
    "modalities (MVAE)": {
        str(m): partial(stepper, model="mvae", specs=several(m), networks="small") for m in (2, 3, 4, 5)
    },
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)  # threads: a process that takes STEPS steps
    options = parser.parse_args()
    raise_thresholds()
    if options.alone:
        torch.set_num_threads(options.alone)
        step = stepper()
        step()
        for _ in range(STEPS):
            step()
        return
    torch.set_num_threads(2)
    found: dict[str, Any] = {"machine": machine.described()}
    for what, makers in TABLES.items():
        times = interleaved({name: make() for name, make in makers.items()}, windows=options.windows, steps=2)
        found[what] = {name: 1e3 * value.median for name, value in times.items()}
    found["threads"] = _threads(options.windows)
    found["two seeds, pairs/s together, start-up included"] = _seeds()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "growth.json").write_text(json.dumps(found, indent=1) + "\n")
    page = _page(found)
    (options.out / "growth.md").write_text(page)
    print(page)


def _page(found: dict[str, Any]) -> str:
    where = found["machine"]
    lines = [
        f"{where['processor']}, {where['cores']} cores, torch {where['torch']}, {where['date']}, "
        f"revision {where['revision']}; milliseconds a step unless said otherwise.",
        "",
        "| grows | |",
        "| --- | --- |",
    ]
    for what, values in found.items():
        if what != "machine":
            lines.append(f"| {what} | " + ", ".join(f"{name}: {value:.1f}" for name, value in values.items()) + " |")
    return "\n".join(lines) + "\n"


def _threads(windows: int) -> dict[str, float]:
    """One process whose number of threads changes between windows."""
    step = stepper()

    def with_threads(count: int) -> Callable[[], None]:
        def taken() -> None:
            torch.set_num_threads(count)
            step()

        return taken

    times = interleaved({str(n): with_threads(n) for n in (1, 2)}, windows=windows, steps=2)
    torch.set_num_threads(2)
    return {name: 1e3 * value.median for name, value in times.items()}


def _seeds() -> dict[str, float]:
    """Two trainings of STEPS steps of 128 pairs, in processes of their own."""

    def command(threads: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.growth", "--alone", str(threads)]

    began = time.perf_counter()
    for process in [subprocess.Popen(command(1)) for _ in range(2)]:
        process.wait()
    beside = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(2):
        subprocess.run(command(2), check=True)
    after = time.perf_counter() - began
    pairs = 2 * STEPS * 128
    return {"two processes of one thread": pairs / beside, "one after the other with two threads": pairs / after}


if __name__ == "__main__":
    main()
