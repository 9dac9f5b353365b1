"""The benchmark behind `make bench`: training steps against references, evaluation, start-up; a table and JSON.

    python -m benchmarks.main [--only steps,evaluation,startup] [--windows N] [--out FOLDER] [--weights FOLDER]

Ratios are of medians over windows interleaved in one process, two threads, float32, equal allocator state (the
thresholds that the launcher raises are raised for all). Memory is what the peak of a process of its own grows by over
six steps.
Weights `after 2,500 steps` are trained first where `--weights` has none, which takes a quarter of an hour.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import evaluation, machine, startup
from benchmarks.steps import BATCH, batches, contender
from benchmarks.trained import provide
from benchmarks.windows import Times, interleaved
from mmbench.run.allocator import raise_thresholds

HERE = Path(__file__).parent
SMALL = ("mvae", "jmvae", "mopoe", "mvtcae", "mmvae k=1")

# What is compared: a title, contender, its reference, the ratio aimed at (None: none).
Goal = tuple[str, str, str, float | None]
GROUPS: list[list[Goal]] = [
    [
        ("MEME default, K = 10, first step on", "meme own=drawn", "meme own=one plain", 2.0),
        ("MEME `own=one`, start", "meme own=one", "meme own=one plain", 1.0),
        ("MEME `own=all`, start", "meme own=all", "meme own=all plain", 1.0),
    ],
    [
        ("MEME default, after 2,500 steps", "meme own=drawn trained", "meme own=one plain trained", 2.0),
        ("MEME `own=one`, after 2,500 steps", "meme own=one trained", "meme own=one plain trained", 1.5),
        ("MEME `own=all`, after 2,500 steps", "meme own=all trained", "meme own=all plain trained", 1.0),
    ],
    [
        ("MMVAE IWAE, K = 10, after 2,500 steps", "mmvae k=10 trained", "multivae mmvae k=10", 2.0),
        ("the same, its plain path", "mmvae k=10 trained", "mmvae k=10 plain trained", None),
        ("MMVAE IWAE, K = 10, start", "mmvae k=10", "multivae mmvae k=10", None),
        ("the same, our networks in multivae", "mmvae k=10 trained", "multivae mmvae k=10 coders=ours", None),
    ],
    [(name.split()[0].upper() + name[len(name.split()[0]) :], name, f"multivae {name}", 1.3) for name in SMALL],
    [
        (f"{name.split()[0].upper()}, our networks in multivae", name, f"multivae {name} coders=ours", None)
        for name in ("mvae", "mopoe")
    ],
    [("MEME on one modality alone", "meme alone", "meme alone plain", 1.2)],
]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="steps,evaluation,startup")
    parser.add_argument("--windows", type=int, default=9)
    parser.add_argument("--steps", type=int, default=4, help="steps of a window")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--weights", type=Path, default=HERE / ".cache")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(2)
    raised = raise_thresholds()
    if options.memory_of:
        print(json.dumps(_growth(options.memory_of, options.weights)))
        return
    found: dict[str, Any] = {"machine": machine.described(), "allocator thresholds raised": raised}
    text: list[str] = []
    if "steps" in options.only:
        provide(options.weights)
        found["steps"] = _steps(options.windows, options.steps, options.weights)
        text.append(_table(found["steps"]))
    if "evaluation" in options.only:
        found["evaluation"] = evaluation.measured(options.weights)
        text.append(_plain_table(found["evaluation"]))
    if "startup" in options.only:
        found["startup"] = startup.measured()
        text.append(_plain_table(found["startup"]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.json").write_text(json.dumps(found, indent=1) + "\n")
    where = found["machine"]
    head = f"{where['processor']}, {where['cores']} cores, {where['threads']} threads, torch {where['torch']}, "
    head += (
        f"{where['date']}, revision {where['revision']}; allocator thresholds {'raised' if raised else 'as they are'}."
    )
    page = "\n\n".join([head, *text]) + "\n"
    (options.out / "bench.md").write_text(page)
    print(page)


def _steps(windows: int, steps: int, weights: Path) -> dict[str, Any]:
    data, what = batches()
    ceiling = machine.ceilings()
    rows, costs = [], dict[str, dict[str, float]]()
    for group in GROUPS:
        names = list(dict.fromkeys(name for _, *pair, _ in group for name in pair))
        made = {name: contender(str(name), data, weights) for name in names}
        times = interleaved(made, windows=windows, steps=steps)
        for name in names:
            costs[str(name)] = _costs(str(name), made[name], times[name], ceiling, weights)
        for title, ours, other, aim in group:
            ratio = times[other].median / times[ours].median
            rows.append({"title": title, "ours": ours, "reference": other, "ratio": ratio, "aim": aim})
    return {"data": what, "ceilings": ceiling, "rows": rows, "contenders": costs}


def _costs(name: str, step: Any, times: Times, ceiling: dict[str, float], weights: Path) -> dict[str, float]:
    with FlopCounterMode(display=False) as counter:
        step()
    operations = counter.get_total_flops() / 1e9
    low, high = times.spread
    command = [sys.executable, "-m", "benchmarks.main", "--memory-of", name, "--weights", str(weights)]
    grown = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return {
        "ms": 1e3 * times.median,
        "quartile_low_ms": 1e3 * low,
        "quartile_high_ms": 1e3 * high,
        "pairs_per_s": BATCH / times.median,
        "gflop": operations,
        "share_of_ceiling": operations / times.median / ceiling["product"],
        "memory_mb": grown,
    }


def _growth(name: str, weights: Path) -> float:
    step = contender(name, batches()[0], weights)
    before = machine.resident_mb()
    for _ in range(6):
        step()
    return machine.peak_mb() - before


def _table(found: dict[str, Any]) -> str:
    ceiling = found["ceilings"]
    lines = [
        f"Training steps on {found['data']}, batches of {BATCH}; ceiling {ceiling['product']:.0f} GFLOP/s (product), "
        f"{ceiling['convolution']:.0f} (convolution).",
        "",
        "| step | mmbench ms (quartiles) | reference ms (quartiles) | ratio | goal | MB | GFLOP | of ceiling |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        ours, other = (found["contenders"][row[key]] for key in ("ours", "reference"))
        goal = "" if row["aim"] is None else f"{row['aim']:g}: {'met' if row['ratio'] >= row['aim'] else 'not met'}"
        lines.append(
            f"| {row['title']} (`{row['ours']}` / `{row['reference']}`) | {_ms(ours)} | {_ms(other)} "
            f"| {row['ratio']:.2f} | {goal} | {ours['memory_mb']:.0f} / {other['memory_mb']:.0f} "
            f"| {ours['gflop']:.1f} / {other['gflop']:.1f} "
            f"| {ours['share_of_ceiling']:.0%} / {other['share_of_ceiling']:.0%} |"
        )
    return "\n".join(lines)


def _ms(cost: dict[str, float]) -> str:
    return f"{cost['ms']:.0f} ({cost['quartile_low_ms']:.0f} to {cost['quartile_high_ms']:.0f})"


def _plain_table(rows: list[dict[str, Any]]) -> str:
    lines = ["| what | seconds | goal | |", "| --- | --- | --- | --- |"]
    for row in rows:
        verdict = "" if row["limit"] is None else ("met" if row["seconds"] < row["limit"] else "not met")
        limit = "" if row["limit"] is None else f"< {row['limit']:g}"
        lines.append(f"| {row['what']} | {row['seconds']:.2f} | {limit} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
