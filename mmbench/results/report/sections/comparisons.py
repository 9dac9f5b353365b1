"""Models against one another over common seeds: who leads each contest, and every pair with its test."""

import math
from collections import Counter
from collections.abc import Sequence

from mmbench.results.comparison import MIN_SEEDS, Comparison
from mmbench.results.report.averages import MANY
from mmbench.results.report.captions import DASH, figures_text, interval_text, terms_of
from mmbench.results.report.commands import further_run
from mmbench.results.report.contents import Section, TableItem
from mmbench.results.report.contests import Contest, contests_of
from mmbench.results.report.desk import Desk
from mmbench.results.report.headlines import HEADLINES, words_of
from mmbench.results.report.sections.values import headlines_of, is_averaged
from mmbench.results.report.tables.lines import write_csv

__all__ = ["comparisons"]

SHOWN = 500  # pairs on the page; the CSV has all

TERMS = (
    "Runs of two models with the same seed share the draw of the scheme, the pairing and the order of rows, so that "
    "their scores are compared seed by seed (paired t-test, two-sided). p is adjusted by Holm over all pairs of one "
    "score under one scheme and f; 5 % is the level. Models of different presets are not compared.",
    f"Not testable: fewer than {MIN_SEEDS} common seeds, or a difference that is the same for every seed.",
)


def comparisons(desk: Desk) -> Section | None:
    """Contests and pairs; a sentence where no two models share a score."""
    if len({variant.model for variant in desk.group.names}) < 2:
        return None
    found = [contest for metric in HEADLINES for contest in contests_of(desk.group, headlines_of(desk, metric))]
    if not found:
        desk.lacks("comparison of models", "no two models of one preset have the same score under the same condition")
        return None
    pairs = [(contest, pair) for contest in found for pair in contest.pairs]
    counted = Counter(pair.finding for _, pair in pairs)
    different = counted["higher"] + counted["lower"]
    if counted["not testable"] == len(pairs):
        seeds = max(pair.n for _, pair in pairs)
        desk.lacks(
            "a test of any difference between models",
            f"the models share {figures_text(seeds, 'seed')}, and a paired test needs {MIN_SEEDS}",
            further_run(desk, "--seeds", ",".join(map(str, range(MIN_SEEDS)))),
        )
    text = (
        f"{figures_text(len(pairs), 'pair')} of models in {figures_text(len(found), 'contest')}: {different} differ, "
        f"{counted['no difference found']} show no difference, {counted['not testable']} cannot be tested.",
        *TERMS,
        MANY if is_averaged(desk) else "",
        _left_out(desk),
    )
    items = (_leaders_table(desk, found), _pairs_table(desk, pairs))
    return Section(f"{desk.group.slug}-section-comparisons", "Comparison of models", tuple(t for t in text if t), items)


def _left_out(desk: Desk) -> str:
    others = sorted(desk.group.names[variant] for variant in desk.group.names if variant not in desk.group.main)
    return f"Each model takes part with the settings that most runs have; left out: {', '.join(others)}." * bool(others)


def _leaders_table(desk: Desk, contests: Sequence[Contest]) -> TableItem:
    body = tuple((*_about(contest), str(contest.leaders.n), *_outcome(desk, contest)) for contest in contests)
    records = [
        {
            **_record(desk, contest),
            "seeds": contest.leaders.n,
            "leaders": "; ".join(contest.leaders.names),
            "separates": contest.leaders.separates,
            "reason": contest.leaders.reason,
        }
        for contest in contests
    ]
    path = write_csv(desk.folder, f"{desk.group.slug}-leaders", records)
    caption = (
        "For each score and condition: the model with the best mean over the seeds that all models share and those "
        "that the test does not find worse, best first; and those found worse.",
        f"Terms: {terms_of(desk.group)}",
    )
    head = (*ABOUT, "common seeds", "best, and not found worse", "found worse")
    return TableItem(f"{desk.group.slug}-table-leaders", "Who leads", head, body, caption, path, filters=FILTERS)


ABOUT = ("score", "estimator", "preset", "scheme", "f")
FILTERS = ("score", "scheme", "f")


def _about(contest: Contest) -> tuple[str, ...]:
    way = " → ".join(part for part in (contest.given, contest.target) if part)
    words = f"{words_of(contest.metric, contest.given, contest.target)} {way}".strip()
    return words, contest.estimator, contest.preset, contest.scheme, f"{contest.f:g}"


def _outcome(desk: Desk, contest: Contest) -> tuple[str, str]:
    lead = contest.leaders
    if lead.reason:
        return f"not testable: {lead.reason}", DASH
    names = ", ".join(_title(desk, contest, model) for model in lead.names)
    if not lead.separates:
        return f"{names} (no difference found)", DASH
    return names, ", ".join(_title(desk, contest, model) for model in contest.rows if model not in lead.names)


def _title(desk: Desk, contest: Contest, model: str) -> str:
    return desk.group.names[contest.rows[model].condition.variant]


def _pairs_table(desk: Desk, pairs: Sequence[tuple[Contest, Comparison]]) -> TableItem:
    records = [
        {
            **_record(desk, contest),
            "first": pair.first,
            "second": pair.second,
            "seeds": pair.n,
            **{key: _known(getattr(pair, key)) for key in ("mean", "sd", "low", "high", "p", "adjusted")},
            "finding": pair.finding,
            "reason": pair.reason,
        }
        for contest, pair in pairs
    ]
    path = write_csv(desk.folder, f"{desk.group.slug}-comparisons", records)
    shown = pairs if len(pairs) <= SHOWN else [(c, p) for c, p in pairs if p.finding in ("higher", "lower")][:SHOWN]
    caption = (
        "Difference: first less second, with its 95 % t interval (of this pair alone, not adjusted).",
        f"Shown are {len(shown)} of {len(pairs)} pairs, of those that differ; the CSV has all."
        if len(shown) < len(pairs)
        else "",
        f"Terms: {terms_of(desk.group)}",
    )
    head = (*ABOUT, "first", "second", "seeds", "difference", "95 %", "p", "p (Holm)", "verdict")
    return TableItem(
        f"{desk.group.slug}-table-comparisons", "Every pair", head,
        tuple(_pair_cells(desk, contest, pair) for contest, pair in shown),
        tuple(text for text in caption if text), path, folded=True, filters=(*FILTERS, "verdict"),
        facets=tuple((*(_about(c)[place] for place in (0, 3, 4)), p.finding) for c, p in shown),
    )  # fmt: skip


def _pair_cells(desk: Desk, contest: Contest, pair: Comparison) -> tuple[object, ...]:
    digits = HEADLINES[contest.metric].digits
    low, high = _known(pair.low), _known(pair.high)
    return (
        *_about(contest),
        _title(desk, contest, pair.first),
        _title(desk, contest, pair.second),
        str(pair.n),
        DASH if math.isnan(pair.mean) else f"{pair.mean:+.{digits}f}",
        interval_text((low, high), digits),
        _p_text(pair.p),
        _p_text(pair.adjusted),
        f"{pair.finding}: {pair.reason}" if pair.reason else _VERDICTS.get(pair.finding, pair.finding),
    )


_VERDICTS = {"higher": "first is higher", "lower": "first is lower"}


def _p_text(p: float | None) -> str:
    return DASH if p is None else "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _record(desk: Desk, contest: Contest) -> dict[str, object]:
    return {
        "group": desk.group.slug,
        **{key: getattr(contest, key) for key in ("metric", "given", "target", "estimator", "preset", "scheme", "f")},
    }


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
