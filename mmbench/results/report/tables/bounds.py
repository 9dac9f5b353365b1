"""What bounds coherence and latent accuracy: the classifiers on real images, the majority class, supervised accuracy.

These values belong to dataset and classifiers, not to a model: they are drawn as horizontal lines and stand once in a
table of their own. Where runs differ in them, that is said.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from mmbench.results.report.captions import terms_of
from mmbench.results.report.contents import TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.against_f import Reference
from mmbench.results.report.summaries import Row, mean_and_sd
from mmbench.results.report.tables.lines import write_csv

__all__ = [
    "bounds_table",
    "classifiers_text",
    "coherence_references",
    "judges_differ",
    "latent_references",
    "mean_references",
]

Key = tuple[str, str]


def classifiers_text(desk: Desk) -> str:
    """The classifiers' accuracies, in words; empty where none is stored."""
    accuracies = _values(desk, "classifier_accuracy", "classifier")
    return ", ".join(f"{target} {_span(values)}" for target, values in sorted(accuracies.items()))


def judges_differ(desk: Desk) -> str:
    """A warning where not every run was judged by the same classifiers."""
    digests: dict[str, set[str]] = {}
    for run in desk.done():
        for s in run.scores:
            if s.estimator == "classifier" and "digest" in s.details:
                digests.setdefault(s.target, set()).add(str(s.details["digest"]))
    several = [f"{len(found)} for {target}" for target, found in sorted(digests.items()) if len(found) > 1]
    return f"Runs were judged by different classifiers ({', '.join(several)})." if several else ""


def coherence_references(desk: Desk) -> Callable[[Key], tuple[Reference, ...]]:
    """Lines of a direction: the majority class, and the classifier of the target on real images."""
    accuracies = _values(desk, "classifier_accuracy", "classifier")

    def references(key: Key) -> tuple[Reference, ...]:
        own = _reference(f"classifier on real {key[1]}", accuracies.get(key[1], ()))
        return (*_majority(desk), *own)

    return references


def mean_references(desk: Desk) -> tuple[Reference, ...]:
    """Lines of a mean over targets: the majority class, and the mean of the classifiers on real rows."""
    means = [mean for held in _values(desk, "classifier_accuracy", "classifier").values()
             if (mean := mean_and_sd(held)[0]) is not None]  # fmt: skip
    return (*_majority(desk), *_reference("classifiers on real rows", means))


def latent_references(desk: Desk, bounds: Sequence[Row]) -> Callable[[Key], tuple[Reference, ...]]:
    """Lines of a modality: the majority class, and supervised accuracy on the input (the rows `bounds`)."""

    def references(key: Key) -> tuple[Reference, ...]:
        found: dict[str, list[float]] = {}
        for row in bounds:
            if row.given == key[0] and row.mean is not None:
                found.setdefault(row.estimator, []).append(row.mean)
        own = [r for name, values in sorted(found.items()) for r in _reference(f"supervised on {name}", values)]
        return (*_majority(desk), *own)

    return references


def bounds_table(
    desk: Desk, metric: str, estimators: Sequence[str], name: str, title: str, text: str
) -> list[TableItem]:
    """Values that do not depend on the model, once for each distinct value, with the number of runs that have it."""
    counted: Counter[tuple[str, str, float, int]] = Counter(
        (s.estimator, s.target or s.given, s.value, s.n)
        for run in desk.done()
        for s in run.scores
        if s.metric == metric and s.estimator.startswith(tuple(estimators)) and s.status == "ok" and s.value is not None
    )
    if not counted:
        return []
    records = [
        {"group": desk.group.slug, "estimator": e, "modality": m, "value": v, "rows": n, "runs": runs}
        for (e, m, v, n), runs in sorted(counted.items())
    ]
    body = tuple(
        (r["estimator"], r["modality"] or "all", f"{r['value']:.3f}", f"{r['rows']:,}", str(r["runs"])) for r in records
    )
    path = write_csv(desk.folder, f"{desk.group.slug}-{name}", records)
    head = ("estimator", "modality", "value", "rows", "runs")
    caption = (text, f"Terms: {terms_of(desk.group)}")
    return [TableItem(f"{desk.group.slug}-table-{name}", title, head, body, caption, path)]


def _majority(desk: Desk) -> tuple[Reference, ...]:
    values = [v for held in _values(desk, "classifier_accuracy", "majority").values() for v in held]
    return _reference("majority class", values)


def _reference(text: str, values: Sequence[float]) -> tuple[Reference, ...]:
    mean, _ = mean_and_sd(values)
    return () if mean is None else (Reference(text, mean),)


def _values(desk: Desk, metric: str, estimator: str) -> dict[str, list[float]]:
    """Distinct values by target, over the runs of the group."""
    found: dict[str, set[float]] = {}
    for run in desk.done():
        for s in run.scores:
            if (s.metric, s.estimator, s.status) == (metric, estimator, "ok") and s.value is not None:
                found.setdefault(s.target, set()).add(s.value)
    return {target: sorted(values) for target, values in found.items()}


def _span(values: Sequence[float]) -> str:
    return f"{values[0]:.3f}" if len(values) == 1 else f"{values[0]:.3f} to {values[-1]:.3f}"
