"""What the unpaired rows are worth (Figure 22): the same model on all rows, and on the complete rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from mmbench.results.report.averages import by_number, many_modalities
from mmbench.results.report.captions import n_of, seeds_of
from mmbench.results.report.commands import further_run
from mmbench.results.report.contents import FigureItem, Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.against_f import Line, lines_of
from mmbench.results.report.drawing.paired_only import Contrast, all_against_paired
from mmbench.results.report.groups import Variant, condition_of
from mmbench.results.report.sections.common import section_of
from mmbench.results.report.sections.values import coherence_rows
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import row_record

__all__ = ["paired_only"]


def paired_only(desk: Desk) -> Section | None:
    """Figure 22; None where no model was trained on the complete rows alone."""
    pairs = {v: replace(v, paired_only=True) for v in desk.group.names if not v.paired_only}
    pairs = {whole: paired for whole, paired in pairs.items() if paired in desk.group.names}
    if not pairs:
        desk.lacks("what the unpaired rows are worth", "no model was trained with and without them", _command(desk))
        return None
    rows = [row for row in coherence_rows(desk) if row.condition.variant in {*pairs, *pairs.values()}]
    if many := many_modalities(rows):
        rows = by_number(rows)
    contrasts = _contrasts(desk, rows, pairs)
    if not contrasts:
        desk.lacks("what the unpaired rows are worth", "no scheme has both kinds of run with a score", _command(desk))
        return None
    caption = (
        "Solid: all rows. Dashed: the complete rows alone, the fraction f of them. At f = 1 both are the same run. "
        "Share of test rows whose generation has the class of its input (estimator micro).",
        "Means over all subsets of so many given modalities and all targets." if many else "",
        seeds_of(rows, band="bands"),
        n_of(rows),
    )
    runs = [run for run in desk.done() if condition_of(run) in {row.condition for row in rows}]
    items: list[FigureItem] = desk.figure(
        partial(all_against_paired, contrasts, ylabel="cross coherence"), "paired-only", number="Figure 22",
        title="All rows against the complete rows alone", caption=caption, alt=_finding(contrasts), runs=runs,
        data=[row_record(desk.group, row, None) for row in rows],
    )  # fmt: skip
    return section_of(desk, "paired-only", "What the unpaired rows are worth", items)


def _contrasts(desk: Desk, rows: Sequence[Row], pairs: Mapping[Variant, Variant]) -> list[Contrast]:
    found = []
    for given, target in sorted({(row.given, row.target) for row in rows}):
        held = [row for row in rows if (row.given, row.target) == (given, target)]
        way = " → ".join(part for part in (given, target) if part)
        for whole, paired in pairs.items():
            complete = [r for r in held if r.condition.variant in (whole, paired) and r.condition.scheme == "complete"]
            for scheme in sorted({r.condition.scheme for r in held} - {"complete"}):
                lines = [_line(held, variant, scheme, complete) for variant in (whole, paired)]
                if lines[0] and lines[1]:
                    found.append(Contrast(desk.group.names[whole], scheme, way, lines[0], lines[1]))
    return found


def _line(rows: Sequence[Row], variant: Variant, scheme: str, complete: Sequence[Row]) -> Line | None:
    """The variant's line under a scheme, with the complete run of either variant at its end."""
    own = [r for r in rows if (r.condition.variant, r.condition.scheme) == (variant, scheme)]
    if not own:
        return None
    ends = [replace(row, condition=replace(row.condition, variant=variant)) for row in complete[:1]]
    return next(iter(lines_of([*own, *ends])), None)


def _finding(contrasts: Sequence[Contrast]) -> str:
    """Where f is smallest, the one beside the other."""
    told = []
    for c in contrasts:
        alone = {f: mean for f, mean, _ in c.paired.points}
        both = [(f, mean, alone[f]) for f, mean, _ in c.whole.points if f in alone]
        if both:
            f, whole, paired = min(both)
            told.append(f"{c.name}, {c.scheme}, {c.direction}, f = {f:g}: {whole:.2f} against {paired:.2f}")
    return f"Coherence with all rows against complete rows alone. {'; '.join(told[:16])}."


def _command(desk: Desk) -> str:
    return further_run(desk, "--scheme", "split", "--f", "0.25", "--paired-only")
