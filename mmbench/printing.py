"""What the command line prints: runs and scores as plain text, made by pure functions from records.

Numbers never stand alone: a run is headed by its model's settings, so that an estimator that departs from a paper's is
named wherever its scores are shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmbench.results.records import RunRecord, Score

__all__ = ["pairs", "run_heading", "run_text", "runs_table", "scores_table", "table"]

SCORE_HEADER = ("metric", "given", "target", "estimator", "value", "stderr", "n", "details")
RUN_HEADER = ("run", "status", "model", "preset", "dataset", "scheme", "f", "seed")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell and parted by two spaces; no trailing spaces."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def scores_table(scores: Iterable["Score"], *, whole: bool = False) -> str:
    """One row a score, in the order they were computed; per-class scores only where `whole` is asked for.

    What was measured beside the values stands in a last column, where there is any. Below stands why scores were
    skipped, each reason once.
    """
    scores = tuple(scores)
    shown = [score for score in scores if whole or "class" not in score.params]
    if not shown:
        return "no scores"
    columns = len(SCORE_HEADER) if any(score.details for score in shown) else len(SCORE_HEADER) - 1
    lines = [table(SCORE_HEADER[:columns], [_score_row(score)[:columns] for score in shown])]
    if hidden := len(scores) - len(shown):
        lines.append(f"({hidden} per-class scores: `mmbench show RUN`)")
    return "\n".join([*lines, *_reasons(score for score in shown if score.status == "skipped")])


def runs_table(records: Iterable["RunRecord"]) -> str:
    """One row a run."""
    rows = [(r.id, r.status, *(str(r.spec[key]) for key in RUN_HEADER[2:])) for r in records]
    return table(RUN_HEADER, rows) if rows else "no runs"


def run_heading(record: "RunRecord") -> str:
    """What the run is and how it ended, with its model's settings."""
    spec = record.spec
    lines = [
        f"run {record.id}: {record.status}{_speed(record.timings)}",
        f"{spec['model']} ({spec['preset']}) on {spec['dataset']}{_unverified(record.provenance)}, "
        f"{spec['scheme']} f={spec['f']}, seed {spec['seed']}{', paired rows only' if spec['paired_only'] else ''}",
    ]
    if settings := spec["settings"].get("model"):
        lines.append("model settings: " + ", ".join(f"{key}={_word(value)}" for key, value in settings.items()))
    if record.error:
        lines.append(record.error)
    return "\n".join(lines)


def run_text(record: "RunRecord") -> str:
    """A run whole: heading, spec, provenance, class facts, timings, every score."""
    parts = [run_heading(record), f"fit key: {record.fit_key}", f"created: {record.created.isoformat()}"]
    if record.superseded:
        parts.append("superseded by a later run of the same spec")
    sections = ("spec", "provenance", "facts", "timings")
    parts += [f"\n{title}\n" + "\n".join(_nested(getattr(record, title), indent=2)) for title in sections]
    return "\n".join([*parts, "\nscores\n" + scores_table(record.scores, whole=True)])


def _reasons(skipped: Iterable["Score"]) -> list[str]:
    """One line for each reason, with the metrics that it holds for."""
    metrics: dict[str, list[str]] = {}
    for score in skipped:
        metrics.setdefault(score.note, []).append(score.metric)
    return [f"{', '.join(dict.fromkeys(names))} skipped: {reason}" for reason, names in metrics.items()]


def _score_row(score: "Score") -> tuple[str, ...]:
    value = score.status if score.value is None else _number(score.value)
    stderr = "" if score.stderr is None else _number(score.stderr)
    params = pairs(score.params, ",")
    estimator = f"{score.estimator} ({params})" if params else score.estimator
    details = pairs(score.details, ", ")
    return (score.metric, score.given, score.target, estimator, value, stderr, str(score.n), details)


def pairs(values: Mapping[str, Any], comma: str) -> str:
    """`key=value` of each, with numbers in short."""
    return comma.join(f"{key}={_word(item)}" for key, item in values.items())


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_word, value)) + "]"
    return "none" if value is None else str(value)


def _speed(timings: Mapping[str, Any]) -> str:
    if not timings.get("steps") or timings.get("train_s") is None:
        return ""
    return f" ({timings['steps']} steps in {timings['train_s']:.0f} s, {timings.get('pairs_per_s', 0):.0f} pairs/s)"


def _unverified(provenance: Mapping[str, Any]) -> str:
    data = provenance.get("data", {})
    if not isinstance(data, Mapping) or data.get("status") != "unverified":
        return ""
    return f" (unverified: not the published files; {_word(data.get('counts'))})"


def _nested(values: Mapping[str, Any], *, indent: int) -> Iterable[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield f"{' ' * indent}{key}:"
            yield from _nested(value, indent=indent + 2)
        else:
            yield f"{' ' * indent}{key}: {_word(value)}"
