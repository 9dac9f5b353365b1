"""The overview: a line for each model, scheme and `f`, and the headline score of every metric beside its cost.

Beside its CSV the table is written as Markdown, for a paper's appendix or a page of documentation.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mmbench.results.records import RunRecord
from mmbench.results.report.averages import MANY
from mmbench.results.report.captions import DASH, n_of, seeds_of, terms_of, unreliable, value_text
from mmbench.results.report.contents import Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import Condition, condition_of
from mmbench.results.report.headlines import HEADLINES, words_of
from mmbench.results.report.sections.values import headlines_of, is_averaged
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import line_name, write_csv

__all__ = ["overview"]

FILTERS = ("model", "scheme", "f")
Column = tuple[str, str, str]  # metric, given, target
Columns = Mapping[Column, Mapping[Condition, Sequence[Row]]]


def overview(desk: Desk) -> Section | None:
    """One table of the group: `tables/<group>-overview.csv` and `.md`; None where nothing was scored."""
    by_column: Mapping[Column, dict[Condition, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for metric in HEADLINES:
        for row in headlines_of(desk, metric):
            by_column[metric, row.given, row.target][row.condition].append(row)
    if not by_column:
        return None
    by_column = {column: by_column[column] for column in sorted(by_column, key=_order)}
    speeds = _speeds(desk.group.runs)
    conditions = desk.group.conditions
    head = ("model", "f", *map(_heading, by_column), "pairs/s")
    body = [
        (
            line_name(desk.group, condition),
            f"{condition.f:g}",
            *(_cell(rows.get(condition, ()), HEADLINES[column[0]].digits) for column, rows in by_column.items()),
            f"{speeds[condition]:,.0f}" if condition in speeds else DASH,
        )
        for condition in conditions
    ]
    name = f"{desk.group.slug}-overview"
    path = write_csv(desk.folder, name, [_record(condition, by_column, speeds) for condition in conditions])
    rows = [row for found in by_column.values() for members in found.values() for row in members]
    caption = _caption(desk, rows, by_column)
    plain = [(_plain_name(desk, condition), *line[1:]) for condition, line in zip(conditions, body, strict=True)]
    _write_markdown(desk.folder / "tables" / f"{name}.md", head, plain, caption)
    table = TableItem(
        f"{desk.group.slug}-table-overview", "Overview", head, tuple(body), caption, path, filters=FILTERS,
        facets=tuple((desk.group.names[c.variant], c.scheme, f"{c.f:g}") for c in conditions),
    )  # fmt: skip
    return Section(f"{desk.group.slug}-section-overview", "Overview", items=(table,))


def _order(column: Column) -> tuple[object, ...]:
    """Metrics as in `HEADLINES`; nothing given first, then by how much is given, single targets before joint ones."""
    metric, given, target = column
    return list(HEADLINES).index(metric), len(given.split("+")) if given else 0, given, target.count("+"), target


def _heading(column: Column) -> str:
    metric, given, target = column
    words = words_of(metric, given, target)
    if metric in ("log_likelihood", "truth_gap"):
        inner = f"{target} | {given}" if given else target
        return f"{words}({inner})" if metric == "log_likelihood" else f"{words}, p({inner})"
    return " ".join([words, " → ".join(part for part in (given, target) if part)]).strip()


def _cell(rows: Sequence[Row], digits: int) -> str:
    """The value, and `n of N` where a run lacks it; several protocols of one condition stand side by side."""
    told = [
        value_text(row, digits) + (f" ({row.n} of {row.of})" if 0 < row.n < row.of else "") for row in rows if row.n
    ]
    return " / ".join(told) or DASH


def _speeds(runs: Iterable[RunRecord]) -> dict[Condition, float]:
    """Training pairs a second, mean over the seeds that ended well."""
    found: dict[Condition, list[float]] = defaultdict(list)
    for run in runs:
        if run.status == "done" and run.timings.get("pairs_per_s") is not None:
            found[condition_of(run)].append(float(run.timings["pairs_per_s"]))
    return {condition: math.fsum(values) / len(values) for condition, values in found.items()}


def _record(
    condition: Condition,
    by_column: Columns,
    speeds: Mapping[Condition, float],
) -> dict[str, object]:
    record: dict[str, object] = {
        "model": condition.variant.model,
        "preset": condition.variant.preset,
        "paired_only": condition.variant.paired_only,
        "settings": condition.variant.settings,
        "scheme": condition.scheme,
        "f": condition.f,
        "pairs_per_s": speeds.get(condition),
    }
    for column, found in by_column.items():
        rows = [row for row in found.get(condition, ()) if row.n]
        for key in ("estimator", "mean", "sd", "n", "of", "stderr", "ess"):
            record[f"{_heading(column)}: {key}"] = getattr(rows[0], key) if rows else None
    return record


def _plain_name(desk: Desk, condition: Condition) -> str:
    name = desk.group.names[condition.variant]
    return name if condition.scheme == "complete" else f"{name}, {condition.scheme}"


def _caption(desk: Desk, rows: Sequence[Row], columns: Iterable[Column]) -> tuple[str, ...]:
    metrics = {metric for metric, _, _ in columns}
    estimators = [
        f"{HEADLINES[metric].words}: {', '.join(sorted({r.estimator for r in rows if r.metric == metric and r.n}))}"
        for metric in HEADLINES
        if metric in metrics
    ]
    sentences = (
        seeds_of(rows),
        n_of(rows),
        unreliable(rows),
        f"Estimators: {'; '.join(estimators)}.",
        MANY if is_averaged(desk) else "",
        "Log likelihoods in nats a row, never rescaled; a difference of two estimates is no bound."
        if "log_likelihood" in metrics
        else "",
        "pairs/s: training rows a second as recorded; it compares only where the machine did nothing else.",
        f"Terms: {terms_of(desk.group)}",
    )
    return tuple(sentence for sentence in sentences if sentence)


def _write_markdown(path: Path, head: Sequence[str], body: Iterable[Sequence[object]], caption: Iterable[str]) -> None:
    lines = [head, ["---"] * len(head), *body]
    table = "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
    path.write_text(f"{table}\n\n{' '.join(caption)}\n", encoding="utf-8")
