"""Relatedness: W2 between encodings (Figure 8) and class distances with dendrograms (Figure 9)."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from mmbench.results.records import ArrayRecord
from mmbench.results.report.commands import lacks_metric
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.drawing.relatedness import Histogram, Matrix, distance_matrices, histograms
from mmbench.results.report.files import safe
from mmbench.results.report.groups import Condition, Variant
from mmbench.results.report.sections.arrays import Held, arrays_of, lack_arrays, names_of, pair_of, seed_text
from mmbench.results.report.sections.common import plain_table
from mmbench.results.report.sections.limits import few_of, left_out_text
from mmbench.results.report.sections.pairs import pairs_figure

__all__ = ["relatedness"]

PAIRS = 3  # of modalities, that are drawn: all there are of three modalities


def relatedness(desk: Desk) -> Section | None:
    """Histograms and class distances for each setting shown, and the table over all seeds."""
    items: list[FigureItem | TableItem] = []
    for setting in desk.settings() if desk.figures else ():
        everyone = arrays_of(desk, setting, "relatedness")
        held = few_of(desk, everyone)
        left = left_out_text(desk, list(held), everyone)
        found = [*_histograms(desk, setting, held, left), *_matrices(desk, setting, held, left)]
        found += pairs_figure(desk, setting)
        if not found:
            desk.lacks(f"relatedness, {setting.text}", "its runs have no arrays of the metric relatedness")
        items += found
    items += _table(desk)
    if not items:
        lacks_metric(desk, "relatedness", "relatedness")
        return None
    text = "Distances between encodings, one run a model (the smallest seed); the table holds every seed."
    return Section(f"{desk.group.slug}-section-relatedness", "Relatedness", (text,), tuple(items))


def _table(desk: Desk) -> list[TableItem]:
    """AUROC and mean distances behind Figures 8 and 9."""
    return plain_table(
        desk, "relatedness", "relatedness", "Relatedness",
        "AUROC of the negative W2 distance, same concept against different ones (0.5 is chance), and mean distances.",
    )  # fmt: skip


def _few_pairs(names: Sequence[str]) -> tuple[list[str], str]:
    """The arrays, one a pair of modalities, that are drawn, and which pairs are left out."""
    others = [name.partition("/")[2].replace("|", " and ") for name in names[PAIRS:]]
    told = f"Not drawn, to stay readable: {', '.join(others)}; the table has every pair." if others else ""
    return list(names[:PAIRS]), told


def _histograms(desk: Desk, setting: Setting, held: Held, left: str) -> list[FigureItem]:
    rows: dict[str, list[Histogram]] = {}
    told = []
    names, pairs_left = _few_pairs(names_of(held, "histogram/"))
    for name in names:
        lack_arrays(desk, setting, held, "relatedness", name)
        for variant, (_, arrays) in held.items():
            if name in arrays and (drawn := _histogram(desk, setting, variant, arrays[name])):
                pair = " and ".join(pair_of(arrays[name]))
                rows.setdefault(pair, []).append(drawn)
                told.append(f"{drawn.title}, {pair}")
    if not rows:
        return []
    caption = (
        "2-Wasserstein distance between encodings of two modalities: orange for pairs of the same concept, blue for "
        "pairs of different concepts, each normalised by itself. The less they overlap, the more of the concept the "
        "encodings share. AUROC of the negative distance: 0.5 is chance.",
        seed_text(held),
        left,
        pairs_left,
    )
    return desk.figure(
        partial(histograms, rows), f"w2-{setting.slug}", number="Figure 8",
        title=f"W2 between encodings, {setting.text}", caption=caption,
        alt=f"Histograms of W2 for same and different concepts. {'; '.join(told)}.",
        runs=[run for run, _ in held.values()], data=_bins(rows),
    )  # fmt: skip


def _bins(rows: Mapping[str, Sequence[Histogram]]) -> list[dict[str, object]]:
    return [
        {"pair": pair, "model": member.title, "from": low, "to": high, "same": same, "different": different}
        for pair, members in rows.items()
        for member in members
        for low, high, same, different in zip(member.edges, member.edges[1:], *member.counts, strict=False)
    ]


def _histogram(desk: Desk, setting: Setting, variant: Variant, array: ArrayRecord) -> Histogram | None:
    edges = np.asarray(array.meta.get("edges", ()), float)
    if array.value.ndim != 2 or array.value.shape != (2, len(edges) - 1):
        desk.lacks(f"{array.name} of {desk.group.names[variant]}", "the stored counts and edges do not fit", "")
        return None
    return Histogram(_with_auroc(desk, setting, variant, pair_of(array)), array.value, edges)


def _with_auroc(desk: Desk, setting: Setting, variant: Variant, pair: tuple[str, str]) -> str:
    wanted = (Condition(variant, setting.scheme, setting.f), *pair, "auroc")
    for row in desk.rows("relatedness"):
        if (row.condition, row.given, row.target, row.estimator) == wanted and row.mean is not None:
            spread = f" ± {row.sd:.2f}" if row.sd is not None else ""
            return f"{desk.group.names[variant]}, AUROC {row.mean:.2f}{spread}"
    return desk.group.names[variant]


def _matrices(desk: Desk, setting: Setting, held: Held, left: str) -> list[FigureItem]:
    items = []
    names, pairs_left = _few_pairs(names_of(held, "class_distance/"))
    for name in names:
        lack_arrays(desk, setting, held, "relatedness", name)
        pair = name.removeprefix("class_distance/")
        members = [
            (arrays[name], _matrix(desk.group.names[variant], arrays, pair))
            for variant, (_, arrays) in held.items()
            if name in arrays
        ]
        first = members[0][0]
        given, target = pair_of(first)
        method = next((a[f"linkage/{pair}"].meta.get("method") for _, a in held.values() if f"linkage/{pair}" in a), "")
        distance = str(first.meta.get("distance", "W2"))
        rows = first.meta.get("per_class")
        caption = (
            f"Mean {_symbol(distance)} between encodings of {given} (rows) and {target} (columns) by class, on one "
            "colour scale: a dark diagonal says that a class is nearest to itself."
            + (f" Rows per class: {_range(rows)}." if rows is not None else ""),
            f"Below, the dendrogram of the symmetrised distances (linkage {method})." if method else "",
            seed_text(held),
            left,
            pairs_left,
        )
        matrices = [m for _, m in members]
        items += desk.figure(
            partial(distance_matrices, matrices, given=given, target=target, distance=_symbol(distance)),
            f"classes-{safe(given)}-{safe(target)}-{setting.slug}",
            title=f"Class distances, {given} and {target}, {setting.text}", caption=caption, number="Figure 9",
            alt=f"Class distance matrices above dendrograms. {_diagonals(members)}",
            runs=[run for run, _ in held.values()], data=_cells(matrices),
        )  # fmt: skip
    return items


def _matrix(name: str, arrays: Mapping[str, ArrayRecord], pair: str) -> Matrix:
    linkage = arrays.get(f"linkage/{pair}")
    return Matrix(name, np.asarray(arrays[f"class_distance/{pair}"].value), linkage.value if linkage else None)


def _cells(matrices: Sequence[Matrix]) -> list[dict[str, object]]:
    return [
        {"model": matrix.title, "row": i, "column": j, "distance": value}
        for matrix in matrices
        for (i, j), value in np.ndenumerate(matrix.values)
    ]


def _symbol(distance: str) -> str:
    return {"w2": "W2", "kl": "symmetric KL"}.get(distance, distance)


def _range(counts: object) -> str:
    values = np.ravel(np.asarray(counts))
    return f"{values.min():g}" if values.min() == values.max() else f"{values.min():g} to {values.max():g}"


def _diagonals(members: Sequence[tuple[ArrayRecord, Matrix]]) -> str:
    """How many classes are nearest to themselves, model by model."""
    told = []
    for _, matrix in members:
        nearest = int(np.sum(np.argmin(matrix.values, axis=1) == np.arange(len(matrix.values))))
        told.append(f"{matrix.title}: {nearest} of {len(matrix.values)} classes are nearest to themselves")
    return "; ".join(told) + "."
