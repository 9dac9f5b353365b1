"""The tables of docs/models.md from a store: each model's headline scores with intervals over seeds, and its ranks.

    python scripts/models_table.py --store results.db --out docs/models [--dataset digits]

Writes `<dataset>-<scheme>-<f>.md` and `.csv` for every scheme and f under preset `common`. Intervals are Student's over
seeds (95 %). In each column of shares the models are ranked, 1 for the best; the average over these columns orders the
table and is a summary: columns of one dataset are not independent, and nothing is tested here.
"""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.models import MODELS
from mmbench.results.frame import scores_frame
from mmbench.results.ranks import average_ranks
from mmbench.results.report.captions import DASH
from mmbench.results.report.headlines import HEADLINES, words_of
from mmbench.results.statistics import over_seeds
from mmbench.results.store import Store

SHARES = ("cross_coherence", "joint_coherence", "latent_accuracy")
LIKELIHOOD = "log_likelihood"

Cells = Mapping[str, Mapping[str, Mapping[Any, Any]]]
"""Column -> model -> a row of `over_seeds`."""


def main() -> None:
    """Write the tables and say where."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dataset", default="digits")
    options = parser.parse_args()
    with Store.open_readonly(options.store) as store:
        frame = scores_frame(store)
    frame = frame[(frame["dataset"] == options.dataset) & (frame["preset"] == "common") & ~frame["paired_only"]]
    table = headlines(over_seeds(frame))
    for (scheme, f), rows in table.groupby(["scheme", "f"]):
        path = options.out / f"{options.dataset}-{scheme}-{f:g}.md"
        path.write_text(markdown(cells_of(rows)), encoding="utf-8")
        rows.drop(columns=["settings", "data"]).to_csv(path.with_suffix(".csv"), index=False)
        print(path)


def headlines(table: pd.DataFrame) -> pd.DataFrame:
    """The scores that stand for their metric, with the column each belongs to; scores by class are no headline."""
    wanted = [
        metric in (*SHARES, LIKELIHOOD) and HEADLINES[metric].estimator in estimator and '"class"' not in params
        for metric, estimator, params in zip(table["metric"], table["estimator"], table["params"], strict=True)
    ]
    found = table[wanted]
    whole = found[(found["metric"] != LIKELIHOOD) | (found["target"].str.contains("+", regex=False))]
    names = [column(*key) for key in zip(whole["metric"], whole["given"], whole["target"], strict=True)]
    return whole.assign(column=names).sort_values(["metric", "given", "target", "model"])


def column(metric: str, given: str, target: str) -> str:
    """Its heading.

    >>> column("cross_coherence", "street", "handwritten")
    'coherence street → handwritten'
    """
    return f"{words_of(metric, given, target)} {' → '.join(part for part in (given, target) if part)}".strip()


def cells_of(rows: pd.DataFrame) -> dict[str, dict[str, dict[Any, Any]]]:
    """Column -> model -> its row; shares first."""
    found: dict[str, dict[str, dict[Any, Any]]] = {}
    order = rows["metric"].map({metric: i for i, metric in enumerate((*SHARES, LIKELIHOOD))})
    for row in rows.assign(order=order).sort_values("order", kind="stable").to_dict("records"):
        if math.isfinite(row["mean"]):
            found.setdefault(row["column"], {})[row["model"]] = row
    return found


def markdown(cells: Cells) -> str:
    """The table, best average rank first."""
    models = sorted({model for members in cells.values() for model in members})
    ranks = {
        name: {
            model: sum(other["mean"] > row["mean"] for other in members.values()) + 1 for model, row in members.items()
        }
        for name, members in cells.items()
    }
    shares = [name for name, members in cells.items() if next(iter(members.values()))["metric"] in SHARES]
    average = average_ranks([{m: float(cells[name][m]["mean"]) for m in models} for name in shares])
    head = ["model", "average rank", *cells]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for model, rank in average.items():
        told = [
            cell(members[model], ranks[name][model]) if model in members else DASH for name, members in cells.items()
        ]
        lines.append(f"| {' | '.join([MODELS[model].facts.title, f'{rank:.1f}', *told])} |")
    return "\n".join(lines) + "\n"


def cell(row: Mapping[Any, Any], rank: int) -> str:
    """Mean, interval over seeds, and rank."""
    digits = HEADLINES[str(row["metric"])].digits
    missing = "" if row["n"] == row["of"] else f", {row['n_of']}"
    return f"{row['mean']:.{digits}f} [{row['low']:.{digits}f}, {row['high']:.{digits}f}] ({rank}{missing})"


if __name__ == "__main__":
    main()
