"""Studies of one setting: variants of a model that differ in one number alone (Figure 21: MEME's pseudo-inputs)."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mmbench.config import canonical_json
from mmbench.results.report.averages import few_quantities
from mmbench.results.report.captions import n_of, seeds_of, value_text
from mmbench.results.report.contents import FigureItem, Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.studies import StudyLine, StudyPanel, against_setting
from mmbench.results.report.files import safe
from mmbench.results.report.groups import Variant, condition_of, flat
from mmbench.results.report.sections.common import section_of
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import direction, row_record

__all__ = ["Study", "numeric_studies", "studies"]

FEWEST = 3
NUMBERS = {("meme", "pseudo_inputs"): "Figure 21"}
QUANTITIES = (("cross_coherence", "micro", "coherence"), ("latent_accuracy", "linear-sample", "latent accuracy"))


@dataclass(frozen=True)
class Study:
    """Variants of one model that are alike but for the setting `key`; variant -> its value, in rising order."""

    model: str
    key: str
    values: Mapping[Variant, float]


def studies(desk: Desk) -> Section | None:
    """A figure for each study: each headline score against the setting, a line for each scheme and `f`."""
    items: list[FigureItem] = []
    for index, study in enumerate(numeric_studies(desk.group.names)):
        items += _figure(desk, index + 1, study)
    return section_of(desk, "studies", "Studies of one setting", items)


def numeric_studies(variants: Iterable[Variant]) -> list[Study]:
    """The numeric settings that take `FEWEST` values or more while everything else stays the same."""
    alike: dict[tuple[Variant, str], dict[Variant, float]] = defaultdict(dict)
    for variant in variants:
        settings = flat(json.loads(variant.settings))
        for key, value in settings.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                rest = canonical_json({k: v for k, v in settings.items() if k != key})
                base = Variant(variant.model, variant.preset, variant.paired_only, rest)
                alike[base, key][variant] = float(value)
    return [
        Study(base.model, key, dict(sorted(values.items(), key=lambda item: item[1])))
        for (base, key), values in sorted(alike.items())
        if len(values) >= FEWEST
    ]


def _figure(desk: Desk, index: int, study: Study) -> list[FigureItem]:
    panels, rows = _panels(desk, study)
    if not panels:
        return []
    name = f"model.{study.key}"
    title = desk.group.names[next(iter(study.values))].partition(" (")[0]
    runs = [run for run in desk.done() if condition_of(run).variant in study.values]
    caption = (
        f"{title} with {name} = {', '.join(f'{v:g}' for v in study.values.values())}, everything else alike. "
        "Colour: f; marker and line: scheme.",
        seeds_of(rows, band="bands"),
        n_of(rows),
    )
    data = [{study.key: study.values[row.condition.variant], **row_record(desk.group, row, None)} for row in rows]
    return desk.figure(
        partial(against_setting, panels, setting=name), f"study-{index}-{safe(study.model)}-{safe(study.key)}",
        title=f"{title} against {name}", caption=caption, alt=f"Scores against {name}. {_finding(rows, study)}",
        runs=runs, data=data,
        number=NUMBERS.get((study.model, study.key), ""),
    )  # fmt: skip


def _panels(desk: Desk, study: Study) -> tuple[list[StudyPanel], list[Row]]:
    """A panel for each quantity with three values of the setting or more in one line; the rows that are drawn."""
    panels, drawn = [], []
    for metric, estimator, words in QUANTITIES:
        rows = [
            row
            for row in few_quantities(desk.rows(metric))
            if row.estimator == estimator and row.n and row.condition.variant in study.values
        ]
        for key in sorted({(row.given, row.target) for row in rows}):
            members = _studied([row for row in rows if (row.given, row.target) == key])
            if not members:
                continue
            lines = _lines(members, study)
            if any(len(line.points) >= FEWEST for line in lines):
                panels.append(StudyPanel(f"{words}, {direction(members[0])}", lines))
                drawn += members
    return panels, drawn


def _studied(rows: Sequence[Row]) -> list[Row]:
    """The rows of a scheme and `f` at which the setting has two values or more."""
    held: dict[tuple[str, float], set[Variant]] = defaultdict(set)
    for row in rows:
        held[row.condition.scheme, row.condition.f].add(row.condition.variant)
    return [row for row in rows if len(held[row.condition.scheme, row.condition.f]) > 1]


def _lines(rows: Sequence[Row], study: Study) -> tuple[StudyLine, ...]:
    held: dict[tuple[str, float], dict[float, Row]] = defaultdict(dict)
    for row in rows:
        held[row.condition.scheme, -row.condition.f].setdefault(study.values[row.condition.variant], row)
    return tuple(
        StudyLine(scheme, -f, tuple((value, r.mean or 0.0, r.sd) for value, r in sorted(by_value.items())))
        for (scheme, f), by_value in sorted(held.items())
    )


def _finding(rows: Sequence[Row], study: Study) -> str:
    """The ends of each line."""
    told = []
    ends = {min(study.values.values()), max(study.values.values())}
    for row in rows:
        value = study.values[row.condition.variant]
        if value in ends:
            c = row.condition
            told.append(f"{direction(row)}, {c.scheme}, f = {c.f:g}, {study.key} {value:g}: {value_text(row, 2)}")
    return "; ".join(told[:16]) + ("; more in the CSV." if len(told) > 16 else ".")
