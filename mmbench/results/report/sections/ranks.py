"""Ranks: models over all blocks of a dataset, scheme and `f`, with Friedman's test where there are enough of them.

A block is one condition of one group; in it every model has one number, the mean over the directions or modalities of
a headline score. Blocks meet only under one preset, estimator and protocol, and of each model only the settings that
most runs have take part. Blocks of one dataset are not independent, so that ranks are a summary, and the text says so.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mmbench.config import content_hash
from mmbench.results.ranks import Ranking, ranking
from mmbench.results.report.captions import DASH, figures_text, protocol_text
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.rank_lines import rank_lines
from mmbench.results.report.files import safe
from mmbench.results.report.groups import Condition
from mmbench.results.report.headlines import HEADLINES
from mmbench.results.report.sections.values import headlines_of
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import write_csv

__all__ = ["ranks"]

HALF = 0.5  # share of the blocks that a model must be in, to be ranked

TERMS = (
    "In every block (a dataset with its settings, a scheme and f) models are ranked by the mean over seeds and over "
    "directions or modalities, 1 for the best; below stand the averages over the blocks in which all of them have a "
    "score. Friedman's test and Nemenyi's critical difference (Demsar, JMLR 2006) treat blocks as independent; those "
    "that share a dataset are not, so that p is too small: a summary, no evidence.",
)


@dataclass(frozen=True)
class Field:
    """What is ranked: `protocol` is in words."""

    preset: str
    metric: str
    estimator: str
    protocol: str

    @property
    def title(self) -> str:
        """The score and the preset in words."""
        return f"{HEADLINES[self.metric].words} ({self.estimator}), preset {self.preset}"


Quantity = tuple[str, str]
Blocks = Mapping[str, Mapping[str, float]]


def ranks(desks: Sequence[Desk]) -> Section | None:
    """A table for each headline score, with a diagram where there is a test; None where no two models meet."""
    items: list[FigureItem | TableItem] = []
    for field, blocks in sorted(_fields(desks).items(), key=lambda item: _order(item[0])):
        ranked, absent = _ranked(blocks)
        if len(ranked) < 2:
            continue
        found = ranking({name: _only(block, ranked) for name, block in blocks.items()},
                        higher_is_better=HEADLINES[field.metric].higher)  # fmt: skip
        if found.ranks:
            items += _items(desks, field, found, absent)
    return Section("ranks", "Ranks", TERMS, tuple(items)) if items else None


def _fields(desks: Sequence[Desk]) -> dict[Field, Blocks]:
    """Field -> block -> model -> mean over its quantities; a model that lacks a quantity of a block lacks the block."""
    cells: dict[Field, dict[str, dict[str, dict[Quantity, float]]]] = defaultdict(lambda: defaultdict(dict))
    for desk in desks:
        for metric in HEADLINES:
            for row in headlines_of(desk, metric):
                variant = row.condition.variant
                if row.mean is not None and variant in desk.group.main and not variant.paired_only:
                    block = cells[_field(row)][_block(desk, row.condition)]
                    block.setdefault(variant.model, {})[row.given, row.target] = row.mean
    return {field: {name: _means(block) for name, block in blocks.items()} for field, blocks in cells.items()}


def _field(row: Row) -> Field:
    protocol = protocol_text(row.protocol) if row.protocol else ""
    return Field(row.condition.variant.preset, row.metric, row.estimator, f"{protocol} v{row.version}".strip())


def _block(desk: Desk, condition: Condition) -> str:
    return f"{desk.group.slug} {condition.scheme} f={condition.f:g}"


def _means(block: Mapping[str, Mapping[Quantity, float]]) -> dict[str, float]:
    quantities = {quantity for held in block.values() for quantity in held}
    return {
        model: math.fsum(held.values()) / len(held) for model, held in sorted(block.items()) if set(held) == quantities
    }


def _ranked(blocks: Blocks) -> tuple[list[str], list[str]]:
    """The models that are in half of the blocks at least, and the others."""
    counts: dict[str, int] = defaultdict(int)
    for block in blocks.values():
        for model in block:
            counts[model] += 1
    ranked = sorted(model for model, count in counts.items() if count >= HALF * len(blocks))
    return ranked, sorted(set(counts) - set(ranked))


def _only(block: Mapping[str, float], models: Sequence[str]) -> dict[str, float]:
    return {model: block.get(model, math.nan) for model in models}


def _order(field: Field) -> tuple[object, ...]:
    return field.preset, list(HEADLINES).index(field.metric), field.estimator, field.protocol


def _items(desks: Sequence[Desk], field: Field, found: Ranking, absent: Sequence[str]) -> list[FigureItem | TableItem]:
    names = _titles(desks)
    slug = safe(f"ranks-{field.preset}-{field.metric}-{content_hash([field.estimator, field.protocol])[:6]}")
    caption = (
        f"{field.title}; protocol {field.protocol}.",
        f"{figures_text(len(found.blocks), 'block')}: {_blocks_text(found.blocks)}.",
        f"Left out, because a model has no score there: {_blocks_text(found.left_out)}." if found.left_out else "",
        f"Not ranked, being in fewer than half of the blocks: {', '.join(names[m] for m in absent)}." if absent else "",
        _test_text(found, names),
    )
    sentences = tuple(text for text in caption if text)
    records = [
        {"preset": field.preset, "metric": field.metric, "estimator": field.estimator, "model": model,
         "average_rank": rank, "blocks": len(found.blocks), "friedman": found.statistic, "p": found.p,
         "critical_difference": found.critical_difference}
        for model, rank in found.ranks.items()
    ]  # fmt: skip
    body = tuple((names[model], f"{rank:.2f}") for model, rank in found.ranks.items())
    path = write_csv(desks[0].folder, slug, records)
    head = ("model", "average rank")
    if found.critical_difference is None:
        return [TableItem(f"table-{slug}", f"Average ranks, {field.title}", head, body, sentences, path)]
    short = (sentences[0], sentences[-1]) if desks[0].figures else sentences
    table = TableItem(f"table-{slug}", f"Average ranks, {field.title}", head, body, short, path)
    figure = desks[0].drawn(
        partial(rank_lines, found.ranks, names, found.together, found.critical_difference), slug,
        title=f"Ranks, {field.title}", caption=sentences, alt=_alt(found, names), data=records,
    )  # fmt: skip
    return [*figure, table]


def _blocks_text(blocks: Iterable[str]) -> str:
    """Conditions behind the name of their group, once: `digits-common (complete f=1, split f=0.5)`."""
    by_group: dict[str, list[str]] = defaultdict(list)
    for name in blocks:
        group, _, condition = name.partition(" ")
        by_group[group].append(condition)
    return "; ".join(f"{group} ({', '.join(conditions)})" for group, conditions in by_group.items())


def _titles(desks: Sequence[Desk]) -> dict[str, str]:
    """Model -> its name without notes on settings."""
    return {v.model: name.partition(" (")[0] for desk in desks for v, name in desk.group.names.items()}


def _test_text(found: Ranking, names: Mapping[str, str]) -> str:
    if found.p is None or found.critical_difference is None:
        return f"Not testable: {found.reason}."
    p = "p < 0.0001" if found.p < 1e-4 else f"p = {found.p:.4f}"
    return (
        f"Friedman's chi-square {found.statistic:.2f}, {p}; critical difference {found.critical_difference:.2f} at "
        f"5 %: {_together_text(found, names)}."
    )


def _together_text(found: Ranking, names: Mapping[str, str]) -> str:
    if not found.together:
        return "every two models are told apart"
    if found.together == (tuple(found.ranks),):
        return "no two models are told apart"
    return "not told apart: " + "; ".join(" and ".join(names[m] for m in members) for members in found.together)


def _alt(found: Ranking, names: Mapping[str, str]) -> str:
    order = ", ".join(f"{names[model]} {rank:.2f}" for model, rank in found.ranks.items())
    return f"Average ranks, best first: {order or DASH}. {_test_text(found, names)}"
