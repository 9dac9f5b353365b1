"""Published numbers for a dataset and metric, in the shape that figures and tables take."""

import math
from collections import defaultdict

from mmbench.results.published import published_scores
from mmbench.results.report.drawing.against_f import Published

__all__ = ["published_numbers"]


def published_numbers(dataset: str, metric: str) -> dict[tuple[str, str], list[Published]]:
    """(given, target) -> the published means and standard deviations; empty where no paper has any."""
    table = published_scores()
    found: dict[tuple[str, str], list[Published]] = defaultdict(list)
    for row in table[(table["dataset"] == dataset) & (table["metric"] == metric)].to_dict("records"):
        sd = float(row["sd"])
        number = Published(row["model"], row["scheme"], float(row["f"]), float(row["mean"]), _known(sd))
        found[row["given"], row["target"]].append(number)
    return dict(found)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
