"""Sections made from stored arrays: relatedness (Figures 8 and 9), generations (Figure 3) and training curves."""

from collections.abc import Mapping, Sequence

import numpy as np

from mmbench.results.records import ArrayRecord, RunRecord
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.files import safe
from mmbench.results.report.from_scores import relatedness_table
from mmbench.results.report.grids import COLUMNS, Block, grid, is_images
from mmbench.results.report.groups import Condition, Variant, condition_of
from mmbench.results.report.relatedness import Histogram, Matrix, distance_matrices, histograms
from mmbench.results.report.training import PANELS, training_curves

__all__ = ["curves", "generations", "relatedness"]

Held = Mapping[Variant, tuple[RunRecord, Mapping[str, ArrayRecord]]]


def relatedness(desk: Desk) -> Section | None:
    """Histograms and class distances for each setting shown, and the table over all seeds."""
    items: list[FigureItem | TableItem] = []
    for setting in desk.settings():
        held = _arrays(desk, setting, "relatedness")
        found = [*_histograms(desk, setting, held), *_matrices(desk, setting, held)]
        if not found:
            desk.lacks(f"relatedness, {setting.text}", "its runs have no arrays of the metric relatedness")
        items += found
    items += relatedness_table(desk)
    if not items:
        desk.lacks("relatedness", "no run has the metric relatedness", "mmbench evaluate RUN, with relatedness")
        return None
    text = "Distances between encodings, one run a model (the smallest seed); the table holds every seed."
    return Section(f"{desk.group.slug}-section-relatedness", "Relatedness", (text,), tuple(items))


def generations(desk: Desk) -> Section | None:
    """Cross generations and samples from the prior for each setting shown."""
    items: list[FigureItem] = []
    for setting in desk.settings():
        held = _arrays(desk, setting, "samples")
        found = [figure for name in _names(held, "cross/") for figure in _cross(desk, setting, held, name)]
        found += _joint(desk, setting, held)
        if not found:
            desk.lacks(f"generations, {setting.text}", "its runs have no image arrays of the metric samples")
        items += found
    if not items:
        desk.lacks("generations", "no run has image arrays of the metric samples", "mmbench evaluate RUN, with samples")
        return None
    text = "Fixed test inputs, one run a model (the smallest seed), nothing chosen by hand."
    return Section(f"{desk.group.slug}-section-generations", "Generations", (text,), tuple(items))


def curves(desk: Desk) -> Section | None:
    """Training curves, a figure for each variant."""
    items = []
    for index, (variant, name) in enumerate(desk.group.names.items()):
        runs = [run for run in desk.group.runs if condition_of(run).variant == variant]
        held = {run.id: desk.source.curves(run.id) for run in runs}
        terms = {c.name.partition("/")[2] or c.name for found in held.values() for c in found if len(c.values)}
        if not terms:
            desk.lacks(f"training curves of {name}", "its runs have none", "")
            continue
        caption = (
            "Solid: means of training terms; dashed: the same terms on held-out test rows. One line a run; "
            "the first tenth of the steps does not set the axis. Losses of different models are not comparable.",
            f"The first {PANELS} of {len(terms)} terms are drawn." if len(terms) > PANELS else "",
        )
        items.append(
            desk.figure(
                training_curves(runs, held, name), f"training-{index + 1}-{safe(variant.model)}",
                title=f"Training of {name}", caption=caption, runs=runs,
                alt=f"Training terms of {name} against the step: {', '.join(sorted(terms)[:PANELS])}.",
            )
        )  # fmt: skip
    return Section(f"{desk.group.slug}-section-training", "Training", items=tuple(items)) if items else None


def _arrays(desk: Desk, setting: Setting, metric: str) -> Held:
    examples = desk.examples(setting)
    return {
        variant: (run, {array.name: array for array in desk.source.arrays(run.id, metric)})
        for variant, run in examples.items()
    }


def _names(held: Held, prefix: str) -> list[str]:
    return sorted({name for _, arrays in held.values() for name in arrays if name.startswith(prefix)})


def _pair(array: ArrayRecord) -> tuple[str, str]:
    given, _, target = array.name.partition("/")[2].partition("|")
    return str(array.meta.get("given", given)), str(array.meta.get("target", target))


def _seed_text(held: Held) -> str:
    seeds = sorted({run.spec["seed"] for run, _ in held.values()})
    return f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}."


def _lack_arrays(desk: Desk, setting: Setting, held: Held, name: str) -> None:
    for variant, (run, arrays) in held.items():
        if name not in arrays:
            why = f"run {run.id} has no array {name}"
            desk.lacks(f"{name} of {desk.group.names[variant]}, {setting.text}", why, f"mmbench evaluate {run.id}")


def _histograms(desk: Desk, setting: Setting, held: Held) -> list[FigureItem]:
    rows: dict[str, list[Histogram]] = {}
    told = []
    for name in _names(held, "histogram/"):
        _lack_arrays(desk, setting, held, name)
        for variant, (_, arrays) in held.items():
            if name in arrays and (drawn := _histogram(desk, setting, variant, arrays[name])):
                pair = " and ".join(_pair(arrays[name]))
                rows.setdefault(pair, []).append(drawn)
                told.append(f"{drawn.title}, {pair}")
    if not rows:
        return []
    caption = (
        "2-Wasserstein distance between encodings of two modalities: orange for pairs of the same concept, blue for "
        "pairs of different concepts, each normalised by itself. The less they overlap, the more of the concept the "
        "encodings share. AUROC of the negative distance: 0.5 is chance.",
        _seed_text(held),
    )
    figure = desk.figure(
        histograms(rows), f"w2-{setting.slug}", title=f"W2 between encodings, {setting.text}", caption=caption,
        alt=f"Histograms of W2 for same and different concepts. {'; '.join(told)}.",
        runs=[run for run, _ in held.values()],
    )  # fmt: skip
    return [figure]


def _histogram(desk: Desk, setting: Setting, variant: Variant, array: ArrayRecord) -> Histogram | None:
    edges = np.asarray(array.meta.get("edges", ()), float)
    if array.value.ndim != 2 or array.value.shape != (2, len(edges) - 1):
        desk.lacks(f"{array.name} of {desk.group.names[variant]}", "the stored counts and edges do not fit", "")
        return None
    return Histogram(_with_auroc(desk, setting, variant, _pair(array)), array.value, edges)


def _with_auroc(desk: Desk, setting: Setting, variant: Variant, pair: tuple[str, str]) -> str:
    wanted = (Condition(variant, setting.scheme, setting.f), *pair, "auroc")
    for row in desk.rows("relatedness"):
        if (row.condition, row.given, row.target, row.estimator) == wanted and row.mean is not None:
            spread = f" ± {row.sd:.2f}" if row.sd is not None else ""
            return f"{desk.group.names[variant]}, AUROC {row.mean:.2f}{spread}"
    return desk.group.names[variant]


def _matrices(desk: Desk, setting: Setting, held: Held) -> list[FigureItem]:
    items = []
    for name in _names(held, "class_distance/"):
        _lack_arrays(desk, setting, held, name)
        pair = name.removeprefix("class_distance/")
        members = [
            (arrays[name], _matrix(desk.group.names[variant], arrays, pair))
            for variant, (_, arrays) in held.items()
            if name in arrays
        ]
        first = members[0][0]
        given, target = _pair(first)
        method = next((a[f"linkage/{pair}"].meta.get("method") for _, a in held.values() if f"linkage/{pair}" in a), "")
        distance = str(first.meta.get("distance", "W2"))
        rows = first.meta.get("per_class")
        caption = (
            f"Mean {_symbol(distance)} between encodings of {given} (rows) and {target} (columns) by class, on one "
            "colour scale: a dark diagonal says that a class is nearest to itself."
            + (f" Rows per class: {_range(rows)}." if rows is not None else ""),
            f"Below, the dendrogram of the symmetrised distances (linkage {method})." if method else "",
            _seed_text(held),
        )
        figure = distance_matrices([m for _, m in members], given=given, target=target, distance=_symbol(distance))
        items.append(
            desk.figure(
                figure, f"classes-{safe(given)}-{safe(target)}-{setting.slug}",
                title=f"Class distances, {given} and {target}, {setting.text}", caption=caption,
                alt=f"Class distance matrices above dendrograms. {_diagonals(members)}",
                runs=[run for run, _ in held.values()],
            )
        )  # fmt: skip
    return items


def _matrix(name: str, arrays: Mapping[str, ArrayRecord], pair: str) -> Matrix:
    linkage = arrays.get(f"linkage/{pair}")
    return Matrix(name, np.asarray(arrays[f"class_distance/{pair}"].value), linkage.value if linkage else None)


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


def _cross(desk: Desk, setting: Setting, held: Held, name: str) -> list[FigureItem]:
    _lack_arrays(desk, setting, held, name)
    blocks: list[Block] = []
    given, target = "", ""
    for variant, (_, arrays) in held.items():
        if name not in arrays:
            continue
        given, target = _pair(arrays[name])
        outputs, inputs = arrays[name].value, arrays.get(f"input/{given}")
        if not is_images(outputs) or outputs.ndim != 5 or inputs is None or not is_images(inputs.value):
            desk.lacks(f"generations {given} → {target}, {setting.text}", "they are no images, or have no inputs", "")
            return []
        rows = (inputs.value, *np.moveaxis(outputs, 1, 0))
        blocks.append(Block(desk.group.names[variant], rows, inputs=True))
    if not blocks:
        return []
    caption = (
        f"First row: test inputs ({given}), the same for every model; below, in each row one generation of {target}, "
        "decoder means at samples of the posterior given the input above.",
        _seed_text(held),
    )
    figure = desk.figure(
        grid(blocks), f"cross-{safe(given)}-{safe(target)}-{setting.slug}",
        title=f"{given} → {target}, {setting.text}", caption=caption,
        alt=f"Grid of up to {COLUMNS} {given} inputs and, below each, {target} images generated from it by "
        f"{', '.join(desk.group.names[v] for v in held)}.", runs=[run for run, _ in held.values()],
    )  # fmt: skip
    return [figure]


def _joint(desk: Desk, setting: Setting, held: Held) -> list[FigureItem]:
    blocks = []
    names = _names(held, "joint/")
    for variant, (_, arrays) in held.items():
        rows = tuple(arrays[n].value for n in names if n in arrays and is_images(arrays[n].value))
        if rows:
            blocks.append(Block(desk.group.names[variant] + _prior(arrays, names), rows))
    if not blocks:
        return []
    modalities = [name.removeprefix("joint/") for name in names]
    caption = (
        f"Samples without any input: each column is one latent sample decoded to {' and '.join(modalities)}. "
        "Models without a joint prior are sampled from the stand-in named.",
        _seed_text(held),
    )
    figure = desk.figure(
        grid(blocks), f"joint-{setting.slug}", title=f"Joint samples, {setting.text}", caption=caption,
        alt=f"Grid of joint samples of {' and '.join(modalities)} by {', '.join(desk.group.names[v] for v in held)}.",
        runs=[run for run, _ in held.values()],
    )  # fmt: skip
    return [figure]


def _prior(arrays: Mapping[str, ArrayRecord], names: Sequence[str]) -> str:
    found = {str(arrays[name].meta["prior"]) for name in names if name in arrays and "prior" in arrays[name].meta}
    return f", {', '.join(sorted(found))}" if found else ""
