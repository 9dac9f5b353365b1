"""Sections made from the records themselves: what the store holds, what ended badly, the models, every run."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmbench.config import canonical_json
from mmbench.results.frame import COLUMNS, score_rows
from mmbench.results.records import RunRecord
from mmbench.results.report.captions import DASH, data_of
from mmbench.results.report.contents import Missing, TableItem
from mmbench.results.report.files import spec_path
from mmbench.results.report.groups import Group, flat
from mmbench.results.report.tables.lines import write_csv

__all__ = ["holdings", "missing_of_runs", "provenance", "runs_table", "settings_table"]

MANY = 10  # seeds that are not listed one by one
UNWELL = ("failed", "diverged", "interrupted", "refused")


def holdings(runs: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """What the store holds, as names and values."""

    def distinct(key: str) -> str:
        values = sorted({run.spec[key] for run in runs})
        if key == "seed" and len(values) > MANY:
            return f"{len(values)}, from {values[0]} to {values[-1]}"
        return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values) or "none"

    statuses = Counter(run.status for run in runs)
    ended = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()) if status != "done")
    return [
        ("Runs", f"{statuses['done']} of {len(runs)} done" + (f"; {ended}" if ended else "")),
        *((name, distinct(key)) for name, key in _KEYS),
    ]


_KEYS = (
    ("Models", "model"),
    ("Presets", "preset"),
    ("Datasets", "dataset"),
    ("Schemes", "scheme"),
    ("Fractions f", "f"),
    ("Seeds", "seed"),
)


def missing_of_runs(group: Group) -> list[Missing]:
    """Runs that did not end well, skipped metrics with their reasons, and older records that were left out."""
    found = [
        Missing(
            f"{group.title}: run {run.id} ({run.status})",
            run.error or "no reason was recorded",
            _again(run),
            "Runs that ended badly",
        )
        for run in group.runs
        if run.status in UNWELL
    ]
    skipped = Counter(
        (s.metric, s.given, s.target, run.spec["model"], s.note)
        for run in group.runs
        for s in run.scores
        if s.status == "skipped"
    )
    for (metric, given, target, model, note), count in sorted(skipped.items()):
        way = " → ".join(part for part in (given, target) if part)
        what = f"{group.title}: {metric}{f' {way}' if way else ''} of {model} ({count} run{'s' if count > 1 else ''})"
        found.append(Missing(what, f"skipped: {note}", kind="Metrics skipped"))
    found += [
        Missing(
            f"{group.title}: run {run.id}",
            "a later record takes its place, or a newer version of the model, of its plug-in file or of the engine",
            kind="Older records left out",
        )
        for run in group.left_out
    ]
    return found


def _again(run: RunRecord) -> str:
    """What carries the run out again: an interrupted one goes on, the others must be asked to; refused ones cannot."""
    retry = "" if run.status == "interrupted" else " --retry"
    return f"mmbench run --spec {spec_path(run)}{retry}" if run.status != "refused" else ""


def runs_table(folder: Path, groups: Sequence[Group]) -> TableItem:
    """Every run with its settings, timings and spec; all scores go to `tables/scores.csv`."""
    pairs = [(group, run) for group in groups for run in (*group.runs, *group.left_out)]
    path = write_csv(folder, "runs", [_run_record(group, run) for group, run in pairs])
    write_csv(folder, "scores", score_rows(run for _, run in pairs), columns=tuple(COLUMNS))
    head = ("run", "model", "preset", "dataset", "scheme", "f", "seed", "status", "parameters")
    timed = ("steps", "training", "pairs/s", "evaluation", "peak memory", "device", "own settings")
    caption = (
        "Every run with the settings of its model; shared settings stand with each group. The link is the run's whole "
        "spec, which mmbench run --spec takes. All scores: tables/scores.csv.",
    )
    body = tuple(_run_cells(run) for _, run in pairs)
    filters = ("model", "preset", "dataset", "scheme", "f", "status")
    return TableItem("table-runs", "Runs", (*head, *timed), body, caption, path, filters=filters)


def _run_cells(run: RunRecord) -> tuple[Any, ...]:
    spec, timings = run.spec, run.timings
    own = ", ".join(f"{k} {_word(v)}" for k, v in sorted(flat(spec["settings"].get("model", {})).items()))
    notes = ["paired rows only"] if spec["paired_only"] else []
    return (
        Markup('<a href="{}">{}</a>').format(spec_path(run), run.id),
        *(spec[key] for key in ("model", "preset", "dataset", "scheme")),
        f"{spec['f']:g}",
        str(spec["seed"]),
        run.status,
        _number(timings.get("parameters"), ",.0f"),
        _number(timings.get("steps"), ",.0f"),
        _number(timings.get("train_s"), ",.1f", " s"),
        _number(timings.get("pairs_per_s"), ",.0f"),
        _number(timings.get("evaluate_s"), ",.1f", " s"),
        _number(timings.get("peak_memory_mb"), ",.0f", " MB"),
        str(run.provenance.get("device", DASH)),
        Markup("<span class=settings>{}</span>").format("; ".join(text for text in (*notes, own) if text)),
    )


def _run_record(group: Group, run: RunRecord) -> dict[str, Any]:
    keys = ("model", "preset", "dataset", "scheme", "f", "seed", "paired_only")
    times = ("parameters", "steps", "train_s", "pairs_per_s", "evaluate_s", "peak_memory_mb")
    return {
        "group": group.slug,
        "run": run.id,
        **{key: run.spec[key] for key in keys},
        "status": run.status,
        "error": run.error,
        "data": data_of([run]).removeprefix("data "),
        **{key: run.timings.get(key) for key in times},
        "fit_key": run.fit_key,
        "created": run.created.isoformat(),
        "settings": canonical_json(run.spec["settings"]),
        "metrics": canonical_json(run.spec["metrics"]),
        "provenance": canonical_json(run.provenance),
    }


def _number(value: Any, form: str, unit: str = "") -> str:
    return f"{value:{form}}{unit}" if isinstance(value, int | float) else DASH


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings_table(folder: Path, group: Group) -> TableItem:
    """The settings that all runs of a group share."""
    records = [{"setting": name, "value": _word(value)} for name, value in group.settings.items()]
    path = write_csv(folder, f"{group.slug}-settings", records or [{"setting": "", "value": ""}])
    body = tuple((r["setting"], r["value"]) for r in records)
    caption = ("Settings shared by every run of this group.",)
    head = ("setting", "value")
    return TableItem(f"{group.slug}-settings", "Shared settings", head, body, caption, path, folded=True)


def provenance(folder: Path, group: Group) -> TableItem:
    """Where the runs come from: each recorded fact, or how many different values it has."""
    found: dict[str, list[str]] = {}
    for run in group.runs:
        for name, value in flat(run.provenance).items():
            text = _word(value)
            if text not in found.setdefault(name, []):
                found[name].append(text)
    records = [{"fact": name, "values": "; ".join(sorted(values))} for name, values in sorted(found.items())]
    path = write_csv(folder, f"{group.slug}-provenance", records or [{"fact": "", "values": ""}])
    body = tuple((name, _few(sorted(values))) for name, values in sorted(found.items()))
    caption = ("As recorded with the runs; a fact that differs from run to run is counted.",)
    head = ("fact", "values")
    return TableItem(f"{group.slug}-provenance", "Provenance", head, body, caption, path, folded=True)


def _few(values: Sequence[str]) -> str:
    return "; ".join(values) if len(values) <= 3 else f"{len(values)} different values"
