"""Where the time of a training step goes: the operations that take the most of it.

    python -m benchmarks.profile "mopoe" "meme alone" "mmvae k=10 trained" [--weights FOLDER]

Names are those of `benchmarks.steps.contender`.
"""

import argparse
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.steps import batches, contender
from mmbench.run.allocator import raise_thresholds

STEPS = 8
KINDS = {
    "convolutions, forwards": ("aten::_convolution", "aten::mkldnn_convolution"),
    "convolutions, backwards": ("aten::convolution_backward",),
    "products (linear layers)": ("aten::mm", "aten::addmm"),
    "activations": ("aten::clamp_min", "aten::clamp_min_", "aten::threshold_backward", "aten::elu", "aten::softplus"),
    "optimiser": ("aten::_fused_adam_", "Optimizer.step#Adam.step"),
}


def main() -> None:
    """Print one row a contender: its share of time by kind of operation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--weights", type=Path, default=Path(__file__).parent / ".cache")
    options = parser.parse_args()
    torch.set_num_threads(2)
    raise_thresholds()
    data = batches()[0]
    print("| step | " + " | ".join(KINDS) + " | all else |\n" + "| --- " * (len(KINDS) + 2) + "|")
    for name in options.names:
        shares = _shares(contender(name, data, options.weights))
        print(f"| `{name}` | " + " | ".join(f"{share:.0%}" for share in [*shares, 1 - sum(shares)]) + " |")


def _shares(step: object) -> list[float]:
    assert callable(step)
    for _ in range(3):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(STEPS):
            step()
    times = {event.key: event.self_cpu_time_total for event in found.key_averages()}
    return [sum(times.get(name, 0.0) for name in names) / sum(times.values()) for names in KINDS.values()]


if __name__ == "__main__":
    main()
