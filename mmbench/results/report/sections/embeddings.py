"""Encodings in the plane (Figures 19 and 20): t-SNE of all modalities together, model beside model."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from mmbench.results.records import ArrayRecord
from mmbench.results.report.commands import evaluation_of, lacks_metric
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.drawing.embeddings import CLASS_COLOURS, Cloud, clouds
from mmbench.results.report.groups import Condition, Variant
from mmbench.results.report.sections.arrays import Held, arrays_of, seed_text
from mmbench.results.report.sections.common import plain_table, section_of
from mmbench.results.report.sections.limits import few, left_out_text

__all__ = ["embeddings"]

PREFIX = "tsne/"
PANELS = 9  # dense pictures: fewer than of other kinds


def embeddings(desk: Desk) -> Section | None:
    """A figure for each setting shown, and the table of what was measured in the latent space."""
    items: list[FigureItem | TableItem] = []
    if desk.figures:
        for setting in desk.settings():
            items += _figure(desk, setting, arrays_of(desk, setting, "embeddings"))
    items += plain_table(
        desk, "embeddings", "embeddings", "Neighbours across modalities",
        "Measured in the latent space, not in the plane. nearest-other: share of rows whose nearest neighbour among "
        "the encodings of the other modality has the same class; chance: what arbitrary neighbours reach.",
    )  # fmt: skip
    if not items:
        lacks_metric(desk, "t-SNE of the encodings", "embeddings")
    return section_of(desk, "embeddings", "Encodings in the plane", items)


def _figure(desk: Desk, setting: Setting, held: Held) -> list[FigureItem]:
    names = desk.group.names
    having = {variant: pair for variant, pair in held.items() if _planes(pair[1])}
    for variant in held:
        if having and variant not in having:
            run = held[variant][0]
            desk.lacks(
                f"t-SNE of {names[variant]}, {setting.text}", f"run {run.id} has no arrays of the metric embeddings",
                evaluation_of(run, "embeddings"),
            )  # fmt: skip
    shown = few(desk, having, PANELS)
    if not shown:
        return []
    members = [Cloud(_title(desk, setting, v), _planes(having[v][1]), _classes(having[v][1])) for v in shown]
    kept = {variant: having[variant] for variant in shown}
    modalities = sorted({name for member in members for name in member.points})
    caption = (
        f"One posterior sample of each modality ({', '.join(modalities)}) of {_rows(kept)} test rows, all together by "
        f"{_method(kept)}. {_key(members)} Distances in the plane say little; each panel has axes of its own.",
        _score_text(members),
        seed_text(kept),
        left_out_text(desk, shown, having),
    )
    return desk.figure(
        partial(clouds, members), f"embeddings-{setting.slug}", title=f"Encodings in the plane, {setting.text}",
        caption=caption, alt=f"Scatter plots of encodings. {_told(members)}.",
        runs=[run for run, _ in kept.values()], data=_points(names, kept), number="Figures 19 and 20",
    )  # fmt: skip


def _planes(arrays: Mapping[str, ArrayRecord]) -> dict[str, np.ndarray]:
    """Modality -> `[n, 2]`."""
    return {
        name.removeprefix(PREFIX): array.value
        for name, array in sorted(arrays.items())
        if name.startswith(PREFIX) and array.value.ndim == 2 and array.value.shape[1] == 2
    }


def _classes(arrays: Mapping[str, ArrayRecord]) -> np.ndarray:
    """The class of each row; empty where none was stored, or not one a row."""
    for name, plane in _planes(arrays).items():
        found = np.asarray(arrays[PREFIX + name].meta.get("classes", ()))
        if len(found) == len(plane):
            return found
    return np.zeros(0)


def _title(desk: Desk, setting: Setting, variant: Variant) -> str:
    """The variant with its share of neighbours of the same class, mean over what is given and over seeds."""
    condition = Condition(variant, setting.scheme, setting.f)
    values = [
        row.mean
        for row in desk.rows("embeddings")
        if (row.condition, row.estimator) == (condition, "nearest-other") and row.mean is not None
    ]
    name = desk.group.names[variant]
    return f"{name}\nsame class {sum(values) / len(values):.2f}" if values else name


def _score_text(members: list[Cloud]) -> str:
    if not any("\nsame class " in member.title for member in members):
        return ""
    return (
        "Same class: share of rows whose nearest neighbour in the other modality's encodings, in the latent space, "
        "has their class; mean over directions and seeds."
    )


def _told(members: list[Cloud]) -> str:
    return "; ".join(member.title.replace("\n", ", ") for member in members)


def _key(members: list[Cloud]) -> str:
    counts = [len(np.unique(member.classes)) for member in members]
    if min(counts) > 0 and max(counts) <= len(CLASS_COLOURS):
        return "Colour: class; marker: modality."
    return "Colour and marker: modality."


def _rows(held: Held) -> str:
    counts = sorted({len(plane) for _, arrays in held.values() for plane in _planes(arrays).values()})
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


def _method(held: Held) -> str:
    metas = [arrays[PREFIX + name].meta for _, arrays in held.values() for name in _planes(arrays)]
    methods = sorted({str(meta.get("method", "t-SNE")) for meta in metas})
    perplexities = sorted({float(meta["perplexity"]) for meta in metas if "perplexity" in meta})
    told = f" (perplexity {', '.join(f'{p:g}' for p in perplexities)})" if perplexities else ""
    return " and ".join(methods) + told


def _points(names: Mapping[Variant, str], held: Held) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for variant, (_, arrays) in held.items():
        classes = _classes(arrays).tolist()
        for modality, plane in _planes(arrays).items():
            found += [
                {
                    "model": names[variant],
                    "modality": modality,
                    "row": row,
                    "class": classes[row] if classes else None,
                    "x": round(float(x), 4),
                    "y": round(float(y), 4),
                }
                for row, (x, y) in enumerate(plane)
            ]
    return found
