"""Where everything comes from: the sources of each model, dataset and metric, as recorded with the runs, and the terms
under which the data may be used.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmbench.results.published import published_rows
from mmbench.results.records import RunRecord
from mmbench.results.report.contents import Section, TableItem
from mmbench.results.report.tables.lines import write_csv

__all__ = ["references"]

UNRECORDED = "not recorded"
PUBLISHED = (
    "Joy, Shi, Torr, Rainforth, Schmon & Siddharth, Learning Multimodal VAEs through Mutual Supervision, ICLR 2022, "
    "https://openreview.net/forum?id=1xXvPrAshao"
)

Line = tuple[str, str, str, str]  # kind, name, source, terms


def references(folder: Path, runs: Sequence[RunRecord]) -> Section | None:
    """A line for each source of what the runs used; None without runs."""
    lines = sorted({line for run in runs for line in _lines(run)}, key=_order)
    lines = [line for line in lines if line[2] != UNRECORDED or not _known(line, lines)]
    if not lines:
        return None
    if {row.dataset for row in published_rows()} & {run.spec["dataset"] for run in runs}:
        lines.append(("published numbers", "the MEME paper, Tables 2 to 7", PUBLISHED, ""))
    head = ("kind", "name", "source", "terms of use")
    path = write_csv(folder, "references", [dict(zip(head, line, strict=True)) for line in lines])
    caption = ("As recorded with the runs; the terms are those under which the data may be used.",)
    table = TableItem("table-references", "Sources", head, tuple(lines), caption, path, filters=("kind",))
    return Section("references", "References", items=(table,))


def _lines(run: RunRecord) -> Iterator[Line]:
    recorded = run.provenance.get("references")
    known: Mapping[str, Any] = recorded if isinstance(recorded, Mapping) else {}
    for source in _or_unrecorded(run.facts.get("references")):
        yield "model", run.spec["model"], source, ""
    terms = str(known.get("terms", "")) or UNRECORDED
    for source in _or_unrecorded(known.get("dataset")):
        yield "dataset", run.spec["dataset"], source, terms
    by_metric = known.get("metrics", {})
    for metric in sorted({score.metric for score in run.scores if score.status == "ok"}):
        for source in _or_unrecorded(by_metric.get(metric)):
            yield "metric", metric, source, ""


def _or_unrecorded(sources: Iterable[str] | None) -> list[str]:
    return [str(source) for source in sources or ()] or [UNRECORDED]


def _known(line: Line, lines: Iterable[Line]) -> bool:
    """Whether another run has recorded a source of the same thing."""
    return any(other[:2] == line[:2] and other[2] != UNRECORDED for other in lines)


def _order(line: Line) -> tuple[object, ...]:
    return ("model", "dataset", "metric").index(line[0]), line
