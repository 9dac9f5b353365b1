"""Training in one direction or in both (Table 2): the log likelihoods of each test direction."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mmbench.config import canonical_json
from mmbench.results.published import published_rows
from mmbench.results.report.captions import DASH, n_of, seeds_of, terms_of, unreliable, value_text
from mmbench.results.report.commands import evaluation
from mmbench.results.report.contents import Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import Condition, Variant
from mmbench.results.report.sections.common import section_of
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import row_record, subscripted, write_csv

__all__ = ["directions", "modalities_in_order"]

DIRECTIONS = ("s->t", "t->s", "both")
ESTIMATOR = "conditional-iwae"
Trained = Mapping[str, Variant]


def directions(desk: Desk) -> Section | None:
    """Table 2; None where no two variants of a model differ in the direction of training alone."""
    found = _studies(desk)
    names = modalities_in_order(desk)
    if not found or len(names) != 2:
        return None
    s, t = names
    body: list[tuple[Any, ...]] = []
    used: list[Row] = []
    for trained, scheme, f in found:
        lines, rows = _lines(desk, trained, scheme, f, (s, t))
        body += lines
        used += rows
    body += _published(desk.group.dataset, (s, t))
    if not used:
        desk.lacks(
            "training directions",
            f"no run has the score log_likelihood by {ESTIMATOR}",
            evaluation(desk, "log_likelihood"),
        )
        return None
    head = ("model", "f", "test direction", "trained s → t", "trained t → s", "trained both")
    caption = (
        f"s is the first modality of the dataset ({s}), t the second ({t}), as in the setting model.direction. Each "
        "cell is a conditional log likelihood of test rows in nats, never rescaled: log p(s|t), the integral over z of "
        "d_s(s|z) e_t(z|t), when tested straight (s → t), and log p(t|s) when tested with the roles of both modalities "
        "exchanged. A run trained in the other direction alone is marked flip.",
        "The paper calls its numbers marginal likelihoods and states neither estimator, number of samples nor scale of "
        "the likelihood. Its bound has log p(t) as a term without parameters; without it, it bounds this conditional, "
        "which is why it stands here. Only the order within a line can be compared, never the values.",
        seeds_of(used),
        n_of(used),
        unreliable(used),
        f"Terms: {terms_of(desk.group)}",
    )
    path = write_csv(desk.folder, f"{desk.group.slug}-directions", [_record(desk, row, (s, t)) for row in used])
    table = TableItem(
        f"{desk.group.slug}-table-directions", "Log likelihoods by direction of training", head, tuple(body),
        tuple(sentence for sentence in caption if sentence), path, number="Table 2",
    )  # fmt: skip
    return section_of(desk, "directions", "Directions of training", [table])


def modalities_in_order(desk: Desk) -> tuple[str, ...]:
    """The modalities as the dataset orders them, read off the joint log likelihood; empty where none was asked for."""
    targets = [s.target for run in desk.done() for s in run.scores if s.metric == "log_likelihood" and not s.given]
    longest = max(targets, key=lambda name: name.count("+"), default="")
    return tuple(longest.split("+")) if "+" in longest else ()


def _studies(desk: Desk) -> list[tuple[Trained, str, float]]:
    """Direction -> variant, of each scheme and `f` in which two directions or more were trained, else alike."""
    alike: dict[Variant, dict[str, Variant]] = defaultdict(dict)
    for variant in desk.group.names:
        settings = json.loads(variant.settings)
        if settings.get("direction") in DIRECTIONS:
            rest = canonical_json({k: v for k, v in settings.items() if k != "direction"})
            base = Variant(variant.model, variant.preset, variant.paired_only, rest)
            alike[base][settings["direction"]] = variant
    found: list[tuple[Trained, str, float]] = []
    for _, trained in sorted(alike.items()):
        places = sorted({(c.scheme != "complete", c.scheme, -c.f) for c in desk.group.conditions})
        for _, scheme, f in places:
            own = {d: v for d, v in trained.items() if Condition(v, scheme, -f) in desk.group.conditions}
            if len(own) > 1:
                found.append((own, scheme, -f))
    return found


def _lines(
    desk: Desk, trained: Trained, scheme: str, f: float, names: tuple[str, str]
) -> tuple[list[tuple[Any, ...]], list[Row]]:
    """Two lines: tested straight, and with the roles exchanged."""
    s, t = names
    model = desk.group.names[next(iter(trained.values()))].partition(" (")[0]
    lines, used = [], []
    for own, target, given in (("s->t", s, t), ("t->s", t, s)):
        cells: list[Any] = []
        for way in DIRECTIONS:
            row = _row(desk, Condition(trained[way], scheme, f), target, given) if way in trained else None
            cells.append(_cell(row, flipped=way not in (own, "both")))
            used += [row] if row else []
        lines.append((subscripted(model, scheme), f"{f:g}", _test_text(own, target, given), *cells))
    return lines, used


def _row(desk: Desk, condition: Condition, target: str, given: str) -> Row | None:
    for row in desk.rows("log_likelihood"):
        if (row.condition, row.target, row.given) == (condition, target, given) and row.estimator.startswith(ESTIMATOR):
            return row if row.n else None
    return None


def _cell(row: Row | None, *, flipped: bool) -> Any:
    if row is None:
        return DASH
    text = Markup("{} <small>{} of {}</small>").format(value_text(row, 1), row.n, row.of)
    return text + Markup(" <em>flip</em>") if flipped else text


def _test_text(own: str, target: str, given: str) -> str:
    s, t = (target, given) if own == "s->t" else (given, target)
    return f"{'s → t' if own == 's->t' else 't → s'}: log p({target} | {given})" if s != t else own


def _published(dataset: str, names: tuple[str, str]) -> list[tuple[Any, ...]]:
    """The paper's own lines, in italics."""
    cells = {
        (row.target, row.wanted.get("model.direction", "")): row.mean
        for row in published_rows()
        if row.table == "Table 2" and row.dataset == dataset
    }
    lines = []
    for own, target, given in (("s->t", *names), ("t->s", *names[::-1])):
        values = [cells.get((target, way)) for way in DIRECTIONS]
        if any(value is not None for value in values):
            shown = [DASH if v is None else Markup("<i>{}</i>").format(f"{v:.1f}") for v in values]
            lines.append((Markup("<i>MEME (published)</i>"), "1", _test_text(own, target, given), *shown))
    return lines


def _record(desk: Desk, row: Row, names: tuple[str, str]) -> Mapping[str, Any]:
    trained = json.loads(row.condition.variant.settings)["direction"]
    return {
        "trained": trained,
        "tested": "s->t" if row.target == names[0] else "t->s",
        **row_record(desk.group, row, None),
    }
