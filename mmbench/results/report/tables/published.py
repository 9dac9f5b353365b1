"""Published numbers for a dataset and metric, in the shape that figures and tables take."""

import math
from collections import defaultdict

from mmbench.results.published import published_rows
from mmbench.results.report.drawing.against_f import Published

__all__ = ["published_numbers"]


def published_numbers(dataset: str, metric: str) -> dict[tuple[str, str], list[Published]]:
    """(given, target) -> the published means and standard deviations; empty where no paper has any."""
    found: dict[tuple[str, str], list[Published]] = defaultdict(list)
    for row in published_rows():
        if (row.dataset, row.metric) == (dataset, metric):
            number = Published(row.model, row.scheme, row.f, row.mean, None if math.isnan(row.sd) else row.sd)
            found[row.given, row.target].append(number)
    return dict(found)
