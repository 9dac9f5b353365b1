"""Sections made from scores: coherence and latent accuracy against `f`, and a table for every metric."""

from collections.abc import Callable, Mapping, Sequence

from mmbench.results.records import RunRecord
from mmbench.results.report.bounds import (
    bounds_table,
    classifiers_text,
    coherence_references,
    judges_differ,
    latent_references,
)
from mmbench.results.report.captions import n_of, seeds_of, terms_of, unreliable, value_text
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.curves import Panel, Published, Reference, against_f, by_scheme
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import condition_of
from mmbench.results.report.numbers import published_numbers
from mmbench.results.report.pivot import score_table
from mmbench.results.report.style import subscript
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables import direction, per_class_table

__all__ = ["coherence", "latent_accuracy", "likelihoods", "others", "relatedness_table"]

KNOWN = (
    "cross_coherence",
    "joint_coherence",
    "classifier_accuracy",
    "latent_accuracy",
    "log_likelihood",
    "relatedness",
)
Key = tuple[str, str]


def coherence(desk: Desk) -> Section | None:
    """Figure 5 with its tables: cross coherence, per class, joint coherence, and what bounds them."""
    rows = desk.rows("cross_coherence")
    items: list[FigureItem | TableItem] = []
    if not rows:
        desk.lacks("coherence", "no run has the metric cross_coherence", _evaluate("cross_coherence"))
    published = published_numbers(desk.group.dataset, "cross_coherence")
    micro = [row for row in rows if row.estimator == "micro"]
    if micro:
        items += _against_f(
            desk,
            micro,
            "coherence",
            "Cross coherence",
            coherence_references(desk),
            published,
            _coherence_caption(desk),
        )
    whole = [row for row in rows if "class" not in row.protocol]
    if whole:
        items.append(
            score_table(
                desk.folder, desk.group, whole, name="coherence", title="Cross coherence",
                caption=_table_caption(desk, whole, "Share of test rows whose generation has its input's class."),
                published=published, published_estimator="micro",
            )
        )  # fmt: skip
    if by_class := [row for row in rows if "class" in row.protocol]:
        caption = _table_caption(desk, by_class, "Cross coherence by the class of the input; means over seeds.")
        items.append(
            per_class_table(desk.folder, desk.group, by_class, title="Cross coherence by class", caption=caption)
        )
    items += _plain_table(
        desk, "joint_coherence", "joint", "Joint coherence",
        "Share of samples from the prior, or from the stand-in named, on which all classifiers agree.",
    )  # fmt: skip
    items += bounds_table(
        desk, "classifier_accuracy", ("classifier", "majority"), "classifiers", "Classifiers and majority class",
        "What coherence is measured with: accuracy of each modality's classifier on real test images (a generation can "
        "hardly do better), and the share of the largest class (what a constant guess reaches).",
    )  # fmt: skip
    return _section(desk, "coherence", "Coherence", items)


def latent_accuracy(desk: Desk) -> Section | None:
    """Figure 7: a figure for each estimator, and one table."""
    rows = desk.rows("latent_accuracy")
    items: list[FigureItem | TableItem] = []
    if not rows:
        desk.lacks("latent accuracy", "no run has the metric latent_accuracy", _evaluate("latent_accuracy"))
    bounds = [row for row in rows if row.estimator.startswith("input")]
    own = [row for row in rows if row not in bounds]
    published = published_numbers(desk.group.dataset, "latent_accuracy")
    for estimator in sorted({row.estimator for row in own}):
        members = [row for row in own if row.estimator == estimator]
        numbers = published if estimator == "linear-sample" else {}
        title = f"Latent accuracy ({estimator})"
        caption = (f"Accuracy of the class read from the latent space of each modality, estimator {estimator}.",)
        items += _against_f(
            desk, members, f"latent-{estimator}", title, latent_references(desk, bounds), numbers, caption
        )
    if own:
        text = "Accuracy of the class read from one modality's encoding."
        items.append(
            score_table(
                desk.folder, desk.group, own, name="latent-accuracy", title="Latent accuracy",
                caption=_table_caption(desk, own, text), published=published, published_estimator="linear-sample",
            )
        )  # fmt: skip
    text = "Supervised accuracy on the inputs themselves, which no encoding of them can be expected to beat."
    items += bounds_table(desk, "latent_accuracy", ("input",), "supervised", "Supervised accuracy on the input", text)
    return _section(desk, "latent", "Latent accuracy", items)


def likelihoods(desk: Desk) -> Section | None:
    """The table of importance-sampled log likelihoods."""
    items = _plain_table(
        desk, "log_likelihood", "likelihood", "Log likelihoods",
        "Test log likelihood in nats a row, never rescaled; the estimator and its number of samples stand beside it. "
        "A conditional made as a difference of two estimates is no bound.", digits=1,
    )  # fmt: skip
    return _section(desk, "likelihood", "Likelihoods", items)


def relatedness_table(desk: Desk) -> list[TableItem]:
    """AUROC and mean distances behind Figures 8 and 9."""
    return _plain_table(
        desk, "relatedness", "relatedness", "Relatedness",
        "AUROC of the negative W2 distance, same concept against different ones (0.5 is chance), and mean distances.",
    )  # fmt: skip


def others(desk: Desk) -> Section | None:
    """Tables for metrics that this page has no figure for."""
    names = {s.metric for run in desk.group.runs for s in run.scores if s.status == "ok"} - set(KNOWN)
    items = [item for name in sorted(names) for item in _plain_table(desk, name, f"other-{name}", name, "")]
    return _section(desk, "others", "Other metrics", items)


def _section(desk: Desk, name: str, title: str, items: Sequence[FigureItem | TableItem]) -> Section | None:
    return Section(f"{desk.group.slug}-section-{name}", title, items=tuple(items)) if items else None


def _against_f(
    desk: Desk,
    rows: Sequence[Row],
    name: str,
    title: str,
    references: Callable[[Key], tuple[Reference, ...]],
    published: Mapping[Key, Sequence[Published]],
    caption: Sequence[str],
) -> list[FigureItem]:
    keys = sorted({(row.given, row.target) for row in rows})
    panels = [
        Panel(
            " → ".join(part for part in key if part),
            tuple(row for row in rows if (row.given, row.target) == key),
            references(key),
            tuple(published.get(key, ())),
        )
        for key in keys
    ]
    if all(row.condition.scheme == "complete" for row in rows):
        desk.lacks(f"{title.lower()} below f = 1", "no run hides anything", _partial(desk))
    common = (*caption, seeds_of(rows, band="bands"), n_of(rows))
    alt, runs = f"{title} against f. {_finding(desk, rows)}", _behind(desk, rows)
    ylabel = title.split(" (")[0].lower()
    beside_published = any(panel.published for panel in panels)
    items = []
    if not (beside_published and len({row.condition.scheme for row in rows} - {"complete"}) < 2):
        drawn = against_f(panels, desk.group.names, ylabel=ylabel)
        items.append(desk.figure(drawn, name, title=f"{title} against f", caption=common, alt=alt, runs=runs))
    if beside_published:
        beside = (*common, _PUBLISHED)
        drawn = by_scheme(panels, desk.group.names, ylabel=ylabel)
        heading = f"{title} against f, beside the published numbers"
        items.append(desk.figure(drawn, f"{name}-published", title=heading, caption=beside, alt=alt, runs=runs))
    return items


_PUBLISHED = (
    "Dashed, hollow: numbers published in the MEME paper (ICLR 2022, Tables 3 and 4), mean and one standard deviation. "
    "They come from other networks, training lengths and data than this store's runs, so no verdict is drawn."
)


def _finding(desk: Desk, rows: Sequence[Row]) -> str:
    found = [
        f"{desk.group.names[row.condition.variant]} {subscript(row.condition.scheme)}".strip()
        + f", {direction(row)}, f = {row.condition.f:g}: {value_text(row, 2)}"
        for row in rows
        if row.mean is not None
    ]
    return "; ".join(found[:24]) + ("; more in the table." if len(found) > 24 else ".")


def _behind(desk: Desk, rows: Sequence[Row]) -> list[RunRecord]:
    conditions = {row.condition for row in rows if row.n}
    return [run for run in desk.done() if condition_of(run) in conditions]


def _coherence_caption(desk: Desk) -> tuple[str, ...]:
    stated = classifiers_text(desk)
    return (
        "Share of test rows whose generation, decoded from one posterior sample, is given the class of its input "
        "(estimator micro); the subscript names the modality that is always present.",
        f"The classifiers' own accuracy on real test images: {stated}." if stated else "",
        "Dotted: the majority class's share and the classifier's accuracy." if stated else "",
        judges_differ(desk),
    )


def _plain_table(desk: Desk, metric: str, name: str, title: str, text: str, digits: int = 3) -> list[TableItem]:
    rows = desk.rows(metric)
    if not rows:
        return []
    caption = _table_caption(desk, rows, text)
    return [score_table(desk.folder, desk.group, rows, name=name, title=title, caption=caption, digits=digits)]


def _table_caption(desk: Desk, rows: Sequence[Row], text: str) -> tuple[str, ...]:
    sentences = (text, seeds_of(rows), n_of(rows), unreliable(rows), f"Terms: {terms_of(desk.group)}")
    return tuple(sentence for sentence in sentences if sentence)


def _evaluate(metric: str) -> str:
    return f"mmbench evaluate RUN, with the metric {metric}"


def _partial(desk: Desk) -> str:
    model = desk.group.runs[0].spec["model"]
    return f"mmbench run --model {model} --dataset {desk.group.dataset} --scheme split --f 0.5"
