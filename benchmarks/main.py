"""The benchmark behind `make bench`: training steps against references, evaluation, start-up; a table and JSON.

    python -m benchmarks.main [--only steps,allocator,evaluation,startup] [--windows N] [--out DIR] [--weights DIR]

Ratios are of medians over windows interleaved in one process, two threads, float32, equal allocator state (the
thresholds that the launcher raises are raised for all; `allocator` measures what they do). Memory is what the peak of a
process of its own, which never read the dataset, grows by over six steps.
Weights `after 2,500 steps` are trained first where `--weights` has none, which takes a quarter of an hour. Without the
files of MNIST-SVHN, what needs them is left out, and random images serve for the rest.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
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
SIDES = """\
mmbench: its own networks (channels last, convolutions on one pixel as linear layers), fused Adam. multivae: the same
layer sizes as ordinary torch modules in the default memory format, its own objective, Adam as its trainer makes it;
`coders=ours` puts mmbench's networks in. Plain path: mmbench's networks and optimiser, `mmbench/testing/plain.py`.
JMVAE's joint encoders differ: mmbench's joins the trunks by one layer of 256 units, multivae's joins the encoders'
locations by two of 512. A step is zero_grad, objective, backward and optimiser, on the same batches."""

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
    parser.add_argument("--only", default="steps,allocator,evaluation,startup")
    parser.add_argument("--windows", type=int, default=9)
    parser.add_argument("--steps", type=int, default=4, help="steps of a window")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--weights", type=Path, default=HERE / ".cache")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--time-of", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--thresholds-as-they-are", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(2)
    raised = not options.thresholds_as_they_are and raise_thresholds()
    if options.memory_of:
        print(json.dumps(_growth(options.memory_of, torch.load(options.data), options.weights)))
        return
    if options.time_of:
        step = contender(options.time_of, torch.load(options.data), options.weights)
        print(json.dumps(interleaved({"": step}, windows=options.windows, steps=options.steps)[""].median))
        return
    data, what = batches()
    real = what == "MNIST-SVHN"
    found: dict[str, Any] = {"machine": machine.described(), "allocator thresholds raised": raised}
    text: list[str] = []
    if real and ("steps" in options.only or "evaluation" in options.only):
        provide(options.weights)
    if "steps" in options.only:
        found["steps"] = _steps(options.windows, options.steps, options.weights, data, what)
        text += [_table(found["steps"]), SIDES]
    if "allocator" in options.only:
        found["allocator"] = _allocator(options.windows, options.steps, options.weights, data)
        text.append(_plain_table(found["allocator"]))
    if "evaluation" in options.only and not real:
        text.append("No evaluation: it needs the files of MNIST-SVHN.")
    if "evaluation" in options.only and real:
        found["evaluation"] = evaluation.measured(options.weights)
        text.append(_plain_table(found["evaluation"]))
    if "startup" in options.only:
        found["startup"] = startup.measured()
        text.append(_plain_table(found["startup"]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.json").write_text(json.dumps(found, indent=1) + "\n")
    where = found["machine"]
    head = f"{where['processor']}, {where['cores']} cores, {where['threads']} threads, torch {where['torch']}, "
    head += f"multivae {where['multivae']}, huge pages `{where['huge_pages']}`, "
    head += (
        f"{where['date']}, revision {where['revision']}; allocator thresholds {'raised' if raised else 'as they are'}."
    )
    page = "\n\n".join([head, *text]) + "\n"
    (options.out / "bench.md").write_text(page)
    print(page)


def _steps(windows: int, steps: int, weights: Path, data: list[dict[str, Any]], what: str) -> dict[str, Any]:
    ceiling = machine.ceilings()
    rows, costs = [], dict[str, dict[str, float]]()
    for group in GROUPS:
        if what != "MNIST-SVHN":
            group = [goal for goal in group if "trained" not in f"{goal[1]} {goal[2]}"]
        names = list(dict.fromkeys(name for _, *pair, _ in group for name in pair))
        made = {name: contender(str(name), data, weights) for name in names}
        times = interleaved(made, windows=windows, steps=steps)
        for name in names:
            costs[str(name)] = _costs(str(name), made[name], times[name], weights, data)
        for title, ours, other, aim in group:
            ratio = times[other].median / times[ours].median
            rows.append({"title": title, "ours": ours, "reference": other, "ratio": ratio, "aim": aim})
        ceiling = {way: max(value, ceiling[way]) for way, value in machine.ceilings().items()}
    for cost in costs.values():
        cost["share_of_ceiling"] = cost["gflop"] / cost["ms"] * 1e3 / max(ceiling.values())
    return {"data": what, "ceilings": ceiling, "rows": rows, "contenders": costs}


def _costs(name: str, step: Any, times: Times, weights: Path, data: list[dict[str, Any]]) -> dict[str, float]:
    with FlopCounterMode(display=False) as counter:
        step()
    low, high = times.spread
    grown = _in_a_process(["--memory-of", name, "--weights", str(weights)], data)
    return {
        "ms": 1e3 * times.median,
        "quartile_low_ms": 1e3 * low,
        "quartile_high_ms": 1e3 * high,
        "pairs_per_s": BATCH / times.median,
        "gflop": counter.get_total_flops() / 1e9,
        "memory_mb": grown,
    }


def _in_a_process(arguments: list[str], data: list[dict[str, Any]]) -> float:
    """The number that a fresh process prints, which is handed the batches in a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batches.pt"
        torch.save(data, path)
        command = [sys.executable, "-m", "benchmarks.main", *arguments, "--data", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _allocator(windows: int, steps: int, weights: Path, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seconds of a step with the allocator's thresholds raised and as they are, in six processes that take turns."""
    found = []
    for name in ("meme own=drawn", "meme own=one plain", "mvtcae", "multivae mvtcae"):
        base = ["--time-of", name, "--weights", str(weights), "--windows", str(windows), "--steps", str(steps)]
        ways: dict[str, list[str]] = {"raised": [], "as they are": ["--thresholds-as-they-are"]}
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(3):
            for way, more in ways.items():
                taken[way].append(_in_a_process([*base, *more], data))
        for way, seconds in taken.items():
            what = f"a step of `{name}`, allocator thresholds {way}"
            found.append({"what": what, "seconds": statistics.median(seconds), "limit": None})
    return found


def _growth(name: str, data: list[dict[str, Any]], weights: Path) -> float:
    step = contender(name, data, weights)
    before = machine.resident_mb()
    for _ in range(6):
        step()
    return machine.peak_mb() - before


def _table(found: dict[str, Any]) -> str:
    ceiling = found["ceilings"]
    lines = [
        f"Training steps on {found['data']}, batches of {BATCH}; the ceiling is the largest of "
        + ", ".join(f"{value:.0f} GFLOP/s ({name})" for name, value in ceiling.items())
        + ".",
        "",
        "| step | mmbench ms (quartiles) | reference ms (quartiles) | ratio | goal | MB | GFLOP | of ceiling |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        ours, other = (found["contenders"][row[key]] for key in ("ours", "reference"))
        goal = _verdict(row, smaller=ours["memory_mb"] < other["memory_mb"])
        lines.append(
            f"| {row['title']} (`{row['ours']}` / `{row['reference']}`) | {_ms(ours)} | {_ms(other)} "
            f"| {row['ratio']:.2f} | {goal} | {ours['memory_mb']:.0f} / {other['memory_mb']:.0f} "
            f"| {ours['gflop']:.1f} / {other['gflop']:.1f} "
            f"| {ours['share_of_ceiling']:.0%} / {other['share_of_ceiling']:.0%} |"
        )
    return "\n".join(lines)


def _verdict(row: dict[str, Any], *, smaller: bool) -> str:
    """Whether the ratio is reached, and, of the steps of one sample, whether with less memory."""
    if row["aim"] is None:
        return ""
    met, words = row["ratio"] >= row["aim"], f"{row['aim']:g}"
    if row["ours"] in SMALL:
        met, words = met and smaller, f"{words}, less memory"
    return f"{words}: {'met' if met else 'not met'}"


def _ms(cost: dict[str, float]) -> str:
    return f"{cost['ms']:.0f} ({cost['quartile_low_ms']:.0f} to {cost['quartile_high_ms']:.0f})"


def _plain_table(rows: list[dict[str, Any]]) -> str:
    lines = ["| what | seconds | goal | |", "| --- | --- | --- | --- |"]
    for row in rows:
        verdict = "" if row["limit"] is None else ("met" if row["seconds"] < row["limit"] else "not met")
        limit = "" if row["limit"] is None else f"< {row['limit']:g}"
        lines.append(f"| {row['what']} | {row['seconds']:.3g} | {limit} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
