"""Published numbers beside ours: inside, above or below the paper's interval, or not comparable and why."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mmbench.results.published import GROUND_TRUTH, PublishedScore, published_rows, published_slips
from mmbench.results.published.stated import UNSTATED
from mmbench.results.records import RunRecord
from mmbench.results.report.captions import DASH, figures_text, terms_of
from mmbench.results.report.contents import Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import Condition, Variant, flat
from mmbench.results.report.tables.lines import subscripted, write_csv
from mmbench.results.verdicts import Summary, Verdict, Word, verdict

__all__ = ["verdicts"]

WORDS: tuple[Word, ...] = ("inside", "above", "below", "not comparable", "not measured")
LONG = 20  # rows beyond which the table is closed until it is asked for


def verdicts(desk: Desk) -> Section | None:
    """A line for each number printed about the group's dataset; None where no paper has any."""
    printed = [row for row in published_rows() if row.dataset == desk.group.dataset]
    if not printed:
        return None
    found = [verdict(row, _beside(row, desk.seeds, desk.group.main)) for row in printed]
    counted = Counter(one.verdict for one in found)
    text = (
        f"{figures_text(len(found), 'number')} printed about {desk.group.dataset} in the MEME paper (Joy et al., ICLR "
        f"2022): {', '.join(f'{counted[word]} {word}' for word in WORDS if counted[word])}.",
        "Inside: the mean of our seeds lies within the paper's mean plus and minus its standard deviation; above and "
        "below are neither praise nor blame. Not comparable: the run differs from what the paper states, whatever its "
        "number. Not measured: no run of this group has the score.",
        UNSTATED,
    )
    return Section(f"{desk.group.slug}-section-verdicts", "Published numbers beside ours", text, (_table(desk, found),))


def _beside(
    row: PublishedScore, seeds: dict[Condition, list[RunRecord]], chosen: frozenset[Variant]
) -> Sequence[RunRecord]:
    """The runs of the condition that is nearest to the paper's: first by the settings it names.

    Real pairs, which no model had a part in, are those of the first condition that has scored them.
    """
    if row.model == GROUND_TRUTH:
        order = sorted(seeds.items(), key=lambda item: (item[0].variant not in chosen, item[0].scheme != "complete"))
        return next((runs for _, runs in order if verdict(row, runs).ours.n), ())
    candidates = [
        (condition, runs)
        for condition, runs in seeds.items()
        if (condition.variant.model, condition.scheme, condition.f) == (row.model, row.scheme, row.f)
    ]

    def distance(candidate: tuple[Condition, list[RunRecord]]) -> tuple[Any, ...]:
        condition, runs = candidate
        own = flat(runs[0].spec["settings"])
        differing = sum(str(own.get(name)) != value for name, value in row.wanted.items())
        return condition.variant.paired_only, differing, condition.variant not in chosen, condition

    return min(candidates, key=distance)[1] if candidates else ()


def _table(desk: Desk, found: Sequence[Verdict]) -> TableItem:
    path = write_csv(desk.folder, f"{desk.group.slug}-verdicts", [_record(desk, one) for one in found])
    ordered = sorted(found, key=lambda one: one.verdict == "not measured")
    body = tuple(_cells(one) for one in ordered)
    head = ("table", "score", "model", "f", "published", "ours", "seeds", "verdict", "reasons")
    notes = [slip for slip in published_slips() if slip.partition(":")[0] in {one.row.table for one in found}]
    caption = ("± one standard deviation over seeds.", *notes, f"Terms: {terms_of(desk.group)}")
    return TableItem(
        f"{desk.group.slug}-table-verdicts", "Verdicts", head, body, caption, path, folded=len(body) > LONG,
        filters=("table", "model", "scheme", "verdict"),
        facets=tuple((one.row.table, one.row.model.upper(), one.row.scheme, one.verdict) for one in ordered),
    )  # fmt: skip


def _cells(one: Verdict) -> tuple[object, ...]:
    row = one.row
    digits = 1 if row.metric == "log_likelihood" else 3
    way = " → ".join(part for part in (row.given, row.target) if part)
    settings = f" ({row.own_settings.replace(';', ', ')})" if row.own_settings else ""
    return (
        row.table,
        f"{row.metric} {way}",
        subscripted(row.model.upper(), row.scheme) + settings,
        DASH if row.f != row.f else f"{row.f:g}",
        _summary(one.published, digits),
        _summary(one.ours, digits),
        str(one.ours.n or 0),
        one.verdict,
        "; ".join((*one.reasons, *one.notes)) or DASH,
    )


def _summary(known: Summary, digits: int) -> str:
    if known.mean != known.mean:
        return DASH
    return f"{known.mean:.{digits}f}" + (f" ± {known.sd:.{digits}f}" if known.sd is not None else "")


def _record(desk: Desk, one: Verdict) -> dict[str, object]:
    row = one.row
    keys = ("table", "model", "scheme", "f", "metric", "given", "target", "own_settings")
    return {
        "group": desk.group.slug,
        **{key: getattr(row, key) for key in keys},
        "published_mean": row.mean,
        "published_sd": one.published.sd,
        "our_estimator": one.counterpart.estimator if one.counterpart else "",
        "our_mean": one.ours.mean if one.ours.n else None,
        "our_sd": one.ours.sd,
        "n": one.ours.n,
        "verdict": one.verdict,
        "reasons": "; ".join(one.reasons),
        "notes": "; ".join(one.notes),
    }
