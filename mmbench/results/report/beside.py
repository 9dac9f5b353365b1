"""Two stores side by side: the conditions that both have, score by score, and what differs between them.

A condition is in both when dataset, digest of the data, shared settings, model with its own settings, preset, scheme
and `f` are the same; versions and machines may differ, and are named. Nothing is averaged over the stores, and no test
is made: where seeds are shared, the same run was carried out twice, and the difference is of versions or machines.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mmbench.config import canonical_json
from mmbench.results.records import RunRecord
from mmbench.results.report.captions import DASH, figures_text, value_text
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.beside import Point, beside_each_other
from mmbench.results.report.groups import Condition, Group, flat, groups_of, of_seeds
from mmbench.results.report.headlines import HEADLINES, headline_rows
from mmbench.results.report.summaries import Row, rows_of
from mmbench.results.report.tables.lines import subscripted, write_csv

__all__ = ["beside"]

VARIED = ("code.dirty", "code.revision")  # they follow from the revision, which `mmbench` names less exactly
LISTED = 3  # values of a fact that are spelt out

Place = tuple[str, Condition]  # what a group's runs share, and the condition


@dataclass(frozen=True)
class Pair:
    """One score of one condition in both stores."""

    group: Group
    ours: Row
    theirs: Row

    @property
    def common(self) -> list[tuple[float, float]]:
        """Values of the seeds that both have."""
        theirs = dict(self.theirs.by_seed)
        return [(value, theirs[seed]) for seed, value in self.ours.by_seed if seed in theirs]

    @property
    def difference(self) -> float:
        """Ours less theirs: over the common seeds where there are any, of the means otherwise."""
        if gaps := [one - other for one, other in self.common]:
            return math.fsum(gaps) / len(gaps)
        return (self.ours.mean or 0.0) - (self.theirs.mean or 0.0)


def beside(desks: Sequence[Desk], other: Sequence[RunRecord]) -> Section:
    """The section "Beside the other store"; `desks` are those of this store, at least one."""
    ours = _by_place(desk.group for desk in desks)
    theirs = _by_place(groups_of(other))
    shared = [place for place in ours if place in theirs]
    pairs = [pair for place in shared for pair in _pairs(ours[place], theirs[place], place[1])]
    only_ours = [place for place in ours if place not in theirs]
    only_theirs = [place for place in theirs if place not in ours]
    text = (
        f"{figures_text(len(shared), 'condition')} in both stores; {len(only_ours)} in this one alone, "
        f"{len(only_theirs)} in the other alone. A condition is the same when dataset, digest of the data, settings, "
        "model, preset, scheme and f are.",
        "Where both have a seed, the difference is of the same runs carried out twice; otherwise of the means, and it "
        "includes how seeds scatter. Nothing is tested here.",
        "" if pairs else "No score is in both stores, so that there is nothing to lay side by side.",
    )
    items: list[FigureItem | TableItem] = []
    if pairs:
        items += _figure(desks[0], pairs)
        items.append(_scores_table(desks[0], pairs))
    items += _facts_table(desks[0], [ours[p] for p in shared], [theirs[p] for p in shared])
    alone = [("this store", ours[p], p[1]) for p in only_ours] + [("the other", theirs[p], p[1]) for p in only_theirs]
    items += _alone_table(desks[0], alone, [*ours.values(), *theirs.values()])
    return Section("beside", "Beside the other store", tuple(t for t in text if t), tuple(items))


@dataclass(frozen=True)
class Held:
    """The runs of one condition of one store, and the group that they are in."""

    group: Group
    runs: tuple[RunRecord, ...]


def _by_place(groups: Iterable[Group]) -> dict[Place, Held]:
    return {
        (canonical_json([group.dataset, group.settings, group.digest]), condition): Held(group, tuple(runs))
        for group in groups
        for condition, runs in of_seeds(group.runs).items()
    }


def _pairs(ours: Held, theirs: Held, condition: Condition) -> Iterator[Pair]:
    """Headline scores of one condition by the same estimator, protocol and version of the metric."""
    for metric in HEADLINES:
        held = {_quantity(row): row for row in headline_rows(rows_of(theirs.runs, metric)) if row.n}
        for row in headline_rows(rows_of(ours.runs, metric)):
            if row.n and _quantity(row) in held:
                yield Pair(ours.group, row, held[_quantity(row)])


def _quantity(row: Row) -> tuple[object, ...]:
    return row.version, row.given, row.target, row.estimator, canonical_json(row.protocol)


def _way(row: Row) -> str:
    return f"{HEADLINES[row.metric].words} {' → '.join(part for part in (row.given, row.target) if part)}".strip()


def _scores_table(desk: Desk, pairs: Sequence[Pair]) -> TableItem:
    head = ("dataset", "score", "estimator", "model", "f", "ours", "theirs", "ours - theirs", "common seeds")
    path = write_csv(desk.folder, "beside", [_record(pair) for pair in pairs])
    caption = ("Means ± one standard deviation over seeds, each over the seeds of its own store.",)
    return TableItem(
        "table-beside", "Scores in both stores", head, tuple(map(_cells, pairs)), caption, path,
        filters=("dataset", "score", "model", "scheme"),
        facets=tuple((p.group.dataset, _way(p.ours), _name(p), p.ours.condition.scheme) for p in pairs),
    )  # fmt: skip


def _name(pair: Pair) -> str:
    return pair.group.names[pair.ours.condition.variant]


def _cells(pair: Pair) -> tuple[object, ...]:
    digits = HEADLINES[pair.ours.metric].digits
    condition = pair.ours.condition
    return (
        pair.group.dataset,
        _way(pair.ours),
        pair.ours.estimator,
        subscripted(_name(pair), condition.scheme),
        f"{condition.f:g}",
        f"{value_text(pair.ours, digits)} (n = {pair.ours.n})",
        f"{value_text(pair.theirs, digits)} (n = {pair.theirs.n})",
        f"{pair.difference:+.{digits}f}",
        str(len(pair.common)) if pair.common else "none",
    )


def _record(pair: Pair) -> dict[str, object]:
    row, condition = pair.ours, pair.ours.condition
    return {
        "group": pair.group.slug,
        "dataset": pair.group.dataset,
        "model": condition.variant.model,
        "preset": condition.variant.preset,
        "settings": condition.variant.settings,
        "scheme": condition.scheme,
        "f": condition.f,
        **{key: getattr(row, key) for key in ("metric", "version", "given", "target", "estimator")},
        "protocol": canonical_json(row.protocol),
        **{f"our_{key}": getattr(row, key) for key in ("mean", "sd", "n")},
        **{f"their_{key}": getattr(pair.theirs, key) for key in ("mean", "sd", "n")},
        "difference": pair.difference,
        "common_seeds": len(pair.common),
    }


def _figure(desk: Desk, pairs: Sequence[Pair]) -> list[FigureItem]:
    panels: dict[str, list[Point]] = {}
    for pair in pairs:
        ours, theirs = pair.ours, pair.theirs
        model, name = ours.condition.variant.model, _name(pair).partition(" (")[0]
        point = Point(model, name, ours.mean or 0.0, theirs.mean or 0.0, ours.sd, theirs.sd)
        panels.setdefault(f"{pair.group.dataset}, {_panel(ours)}", []).append(point)
    largest = max(pairs, key=_share)
    caption = (
        "Each point is one score of one condition: ours against that of the other store, with one standard deviation "
        "over seeds where there are two or more. On the diagonal both stores say the same.",
    )
    alt = (
        f"{figures_text(len(pairs), 'score')} of both stores. The largest difference for its size: "
        f"{_way(largest.ours)} of {_name(largest)} on {largest.group.dataset}, {largest.ours.condition.scheme}, f = "
        f"{largest.ours.condition.f:g}: {largest.difference:+.3g}."
    )
    return desk.drawn(
        partial(beside_each_other, panels), "beside", title="Ours against theirs", caption=caption, alt=alt,
        data=[_record(pair) for pair in pairs],
    )  # fmt: skip


def _panel(row: Row) -> str:
    """Shares of all directions go together; nats of different modalities have no common scale."""
    shares = ("cross_coherence", "joint_coherence", "latent_accuracy")
    return HEADLINES[row.metric].words if row.metric in shares else _way(row)


def _share(pair: Pair) -> float:
    size = max(abs(pair.ours.mean or 0.0), abs(pair.theirs.mean or 0.0))
    return abs(pair.difference) / size if size else 0.0


def _facts_table(desk: Desk, ours: Sequence[Held], theirs: Sequence[Held]) -> list[TableItem]:
    """Recorded facts that are not the same in both: versions, device, threads, judging classifiers."""
    facts = [_facts(ours), _facts(theirs)]
    names = sorted({name for known in facts for name in known} - set(VARIED))
    body = tuple(
        (name, *(_few(known.get(name, ())) for known in facts))
        for name in names
        if facts[0].get(name) != facts[1].get(name)
    )
    if not body:
        return []
    head = ("fact", "ours", "theirs")
    path = write_csv(desk.folder, "beside-facts", [dict(zip(head, line, strict=True)) for line in body])
    caption = ("What the records of the common conditions say differently in the two stores.",)
    return [TableItem("table-beside-facts", "What differs", head, body, caption, path)]


def _facts(held: Sequence[Held]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for member in held:
        for run in member.runs:
            for name, value in flat(run.provenance).items():
                found.setdefault(name, set()).add(str(value))
    return {name: tuple(sorted(values)) for name, values in found.items()}


def _few(values: Sequence[str]) -> str:
    if not values:
        return "not recorded"
    return "; ".join(values) if len(values) <= LISTED else f"{len(values)} different values"


def _alone_table(
    desk: Desk, alone: Sequence[tuple[str, Held, Condition]], everything: Sequence[Held]
) -> list[TableItem]:
    """Conditions of one store only, with what sets them apart from the nearest condition of the same name."""
    if not alone:
        return []
    head = ("in", "dataset", "model", "preset", "scheme", "f", "seeds", "what sets it apart")
    body = tuple(
        (
            where,
            held.group.dataset,
            held.group.names[condition.variant],
            condition.variant.preset,
            condition.scheme,
            f"{condition.f:g}",
            str(len(held.runs)),
            _apart(held, everything) or DASH,
        )
        for where, held, condition in alone
    )
    path = write_csv(desk.folder, "beside-alone", [dict(zip(head, line, strict=True)) for line in body])
    caption = ("A dash: the other store has no run of this model, preset, dataset, scheme and f.",)
    table = TableItem(
        "table-beside-alone", "Conditions in one store only", head, body, caption, path, folded=True,
        filters=("in", "dataset", "model", "scheme"),
    )  # fmt: skip
    return [table]


def _apart(held: Held, everything: Sequence[Held]) -> str:
    """The settings that differ from the condition of the same name that differs least; empty where there is none."""
    own = _identity(held)
    differences = [
        sorted(key for key in own.keys() | other.keys() if own.get(key) != other.get(key))
        for member in everything
        if member is not held and _named(member) == _named(held) and (other := _identity(member)) != own
    ]
    if not differences:
        return ""
    nearest = min(differences, key=lambda keys: (len(keys), keys))
    return ", ".join(f"{key} = {own.get(key)}" for key in nearest)


def _named(held: Held) -> tuple[object, ...]:
    spec = held.runs[0].spec
    return tuple(spec[key] for key in ("dataset", "model", "preset", "scheme", "f", "paired_only"))


def _identity(held: Held) -> Mapping[str, object]:
    own = flat({"model": held.runs[0].spec["settings"].get("model", {})})
    return {**held.group.settings, **own, "data digest": held.group.digest[:12]}
