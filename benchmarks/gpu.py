"""Training speed on one CUDA device: one run alone, several at once, the plain path; and the paper's grid from them.

    python -m benchmarks.gpu [--seconds 20] [--at-once 8] [--out benchmarks/results]

MEME's default and its plain path (`own=one`), in the paper's sizes (MNIST-SVHN shapes, released networks, latent 64,
batches of 128, random images on the device), in float32, TF32 and bfloat16, and as a recorded step (CUDA graph). Steps
run under `torch.cuda.set_sync_debug_mode("error")`, and one of every model does; not the plain path, whose
`torch.distributions` read values back. The share of the peak is of a large product in the same precision, measured
beside it. The time of the grid of Table 3 (81 distinct runs of 43,800 steps) is an extrapolation and marked as one.

`--device cpu --tiny` tries the script out where there is no CUDA.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine
from benchmarks.steps import ARCH, BATCH, SPECS
from mmbench.modality import Batch, Step
from mmbench.models import MODELS
from mmbench.models.base import Objective
from mmbench.models.execution import Execution
from mmbench.seeding import Noise, StepNoise
from mmbench.testing import plain
from mmbench.testing.waiting import NoWaiting, WouldWait
from mmbench.training.determinism import generators
from mmbench.training.graphs import CudaCapture, StepRecorder
from mmbench.training.precision import float32_products, networks_in

RUNS, STEPS = 81, 43_800
WAYS = ("plain float32", "float32", "tf32", "bf16", "float32 recorded", "bf16 recorded")
PRECISIONS = ("float32", "tf32", "bf16")


class Training:
    """Steps of a model on a device, one of `WAYS`."""

    def __init__(self, way: str, device: torch.device, model: str = "meme") -> None:
        self.plain, self.precision = way.startswith("plain"), precision_of(way)
        torch.manual_seed(0)
        kind = MODELS[model]
        settings: Any = kind.Settings(own="one") if self.plain else kind.Settings()
        self.model = kind(SPECS, settings, ARCH, kind.coders(SPECS, settings, ARCH)).to(device)
        self.model.execution = Execution(static=True)
        recorded = "recorded" in way and device.type == "cuda"
        self.optimiser = torch.optim.Adam(self.model.parameters(), 5e-4, fused=True, capturable=recorded)
        self.device, self.count = device, 0
        self.data = Step((Batch({s.name: torch.rand(BATCH, *s.shape, device=device) for s in SPECS}),))
        self.recorder = StepRecorder(CudaCapture(device), self._update, generators(device)) if recorded else None

    def take(self) -> None:
        """One step."""
        self.count += 1
        noise = StepNoise(self.count, device=self.device)
        if self.recorder is None or self.recorder.take("main", self.data, noise) is None:
            self._update(self.data, noise)

    def _update(self, data: Step, noise: Noise) -> Objective:
        self.optimiser.zero_grad()
        values = data.parts[0].values
        with networks_in(self.model, self.precision):
            if self.plain:
                found = plain.objective(self.model, values, noise=noise)
            else:
                found = self.model.objective(values, noise=noise)
        found.loss.backward()  # type: ignore[no-untyped-call]  # torch: no types
        self.optimiser.step()
        return found


def precision_of(way: str) -> str:
    """The precision of one of `WAYS`."""
    return way.removeprefix("plain ").split()[0]


def rate(way: str, device: torch.device, seconds: float) -> dict[str, float]:
    """Steps a second over a window, operations of a step, and the peak of memory."""
    with float32_products(precision_of(way), device):
        with FlopCounterMode(display=False) as counter:
            Training(way.removesuffix(" recorded"), device).take()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        training = Training(way, device)
        for _ in range(8):
            training.take()
        _wait(device)
        began, steps = time.perf_counter(), 0
        with _waiting_is_an_error(device, unless=training.plain or device.type == "cpu"):
            while time.perf_counter() - began < seconds:
                training.take()
                steps += 1
                if steps % 50 == 0:  # or the host would queue steps far ahead of the window
                    _wait(device)
        _wait(device)
        taken = time.perf_counter() - began
    memory = torch.cuda.max_memory_reserved(device) / 2**20 if device.type == "cuda" else machine.peak_mb()
    return {"steps_per_s": steps / taken, "gflop": counter.get_total_flops() / 1e9, "memory_mb": memory}


def waits(device: torch.device) -> dict[str, str]:
    """Model -> what makes the host wait for the device in a step of its default; empty where nothing does."""
    found = {}
    for name in sorted(MODELS.builtin()):
        training = Training("float32", device, name)
        training.take()
        _wait(device)
        try:
            with _waiting_is_an_error(device):
                training.take()
            found[name] = ""
        except (RuntimeError, WouldWait) as error:
            found[name] = str(error).splitlines()[0]
    return found


@contextmanager
def _waiting_is_an_error(device: torch.device, *, unless: bool = False) -> Iterator[None]:
    """Within it, a wait for the device raises; on a CPU, what can be seen of it there."""
    if unless:
        yield
    elif device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    else:
        with NoWaiting():
            yield


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--tiny", action="store_true", help="windows of half a second, two at once")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tiny:
        options.seconds, options.at_once = 0.5, 2
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch finds no CUDA device; --device cpu tries the script out.", file=sys.stderr)
        sys.exit(2)
    device = torch.device(options.device)
    if options.way:
        print(json.dumps(rate(options.way, device, options.seconds)))
        return
    found: dict[str, Any] = {"machine": machine.described(), "alone": {}, "at once": {}, "waits": waits(device)}
    found["peak_gflops"] = {precision: _peak(device, precision) for precision in PRECISIONS}
    if device.type == "cuda":
        found["machine"]["processor"] = torch.cuda.get_device_name(device)
    for way in WAYS:
        found["alone"][way] = _in_processes(way, options, 1)[0]
    for way in ("float32", "bf16 recorded"):
        found["at once"][way] = _in_processes(way, options, options.at_once)
    found["extrapolated"] = _extrapolated(found)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"gpu-{options.device}.json").write_text(json.dumps(found, indent=1) + "\n")
    _tell(found)


def _in_processes(way: str, options: argparse.Namespace, count: int) -> list[dict[str, float]]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", options.device, "--way", way]
    command += ["--seconds", str(options.seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    found = []
    for process in running:
        out, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the process for {way!r} ended with code {process.returncode}")
        found.append(json.loads(out.splitlines()[-1]))
    return found


def _extrapolated(found: dict[str, Any]) -> dict[str, float]:
    """Minutes of one run alone, and of the grid at the best rate of several at once: not measured, computed."""
    alone = max(value["steps_per_s"] for value in found["alone"].values())
    together = max(sum(one["steps_per_s"] for one in many) for many in found["at once"].values())
    return {"one run alone, min": STEPS / alone / 60, "grid of Table 3, min": RUNS * STEPS / max(alone, together) / 60}


def _tell(found: dict[str, Any]) -> None:
    peaks = found["peak_gflops"]
    print(f"{found['machine']['processor']}: " + ", ".join(f"{value:.0f} GFLOP/s ({p})" for p, value in peaks.items()))
    for name, why in found["waits"].items():
        print(f"a step of {name} " + (f"makes the host wait: {why}" if why else "never makes the host wait"))
    for way, one in found["alone"].items():
        share = one["steps_per_s"] * one["gflop"] / peaks[precision_of(way)]
        print(f"{way:18} alone {one['steps_per_s']:8.1f} steps/s  {share:6.1%} of peak  {one['memory_mb']:.0f} MB")
    for way, many in found["at once"].items():
        print(f"{way:18} {len(many)} at once {sum(one['steps_per_s'] for one in many):8.1f} steps/s together")
    for what, minutes in found["extrapolated"].items():
        print(f"extrapolated: {what} {minutes:.1f}")


def _peak(device: torch.device, precision: str) -> float:
    size = 8192 if device.type == "cuda" else 2048
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best = float("inf")
    with float32_products(precision, device):
        for _ in range(10):
            _wait(device)
            began = time.perf_counter()
            a @ a
            _wait(device)
            best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
