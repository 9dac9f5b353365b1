"""`write`: from the store to a folder with a page, its figures, tables and the specs of its runs."""

import json
from collections.abc import Sequence
from pathlib import Path

from mmbench.results.records import RunRecord
from mmbench.results.report.captions import data_of, figures_text
from mmbench.results.report.contents import Missing, Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.style import applied
from mmbench.results.report.files import spec_path
from mmbench.results.report.folder import replaced
from mmbench.results.report.groups import Group, groups_of
from mmbench.results.report.page.page import render
from mmbench.results.report.sections import PARTS
from mmbench.results.report.sections import models as of_models
from mmbench.results.report.sections import runs as of_runs
from mmbench.results.report.source import Source
from mmbench.results.report.tables.lines import write_csv

__all__ = ["write"]

TERMS = (
    "Runs are drawn together only when dataset and its settings, the digest of the data, networks, latent size, "
    "likelihoods, loader and training settings are the same, and when a metric's version and protocol agree.",
    "Within such a group, runs that differ in the seed only give a mean and a standard deviation; n of N counts the "
    "runs that have the score among those that were run, failed, diverged and interrupted ones included.",
    "A model's own settings may differ within a group. Presets and settings that differ are named with the model.",
    "No model is tuned to win, and no ranking is tested here: a difference within the seeds' spread is no finding.",
)


def write(store: Source, out: Path) -> Path:
    """Write the report of `store` into the folder `out` and return the path of its `index.html`.

    The old report stays until the new one is whole. The same store gives the same bytes.

    Args:
        store: an open `mmbench.results.store.Store`, or anything with its `runs`, `curves` and `arrays`.
        out: a new or empty folder, or one that holds an earlier report and nothing else.

    Raises:
        InvalidSetting: `out` is a file, holds files that no report wrote, or cannot be written.
        StorageFull: the disk is full; an earlier report is intact.
    """
    runs = sorted(store.runs(), key=lambda run: run.id)
    with replaced(out) as folder, applied():
        _write(store, runs, folder)
    return out.resolve() / "index.html"


def _write(store: Source, runs: Sequence[RunRecord], folder: Path) -> None:
    missing: list[Missing] = []
    groups = groups_of(runs)
    sections = [_group_section(Desk(store, folder, group, missing)) for group in groups]
    if runs:
        models = of_models.capabilities(folder, runs)
        sections.append(Section("models", "Models", items=(models,) if models else ()))
        sections.append(Section("runs", "Runs", items=(of_runs.runs_table(folder, groups),)))
        missing += [entry for group in groups for entry in of_runs.missing_of_runs(group)]
    else:
        missing.append(
            Missing("everything", "the store holds no runs", "mmbench run --model meme --scheme split --f 0.5")
        )
    write_csv(folder, "missing", [{"what": m.what, "why": m.why, "how": m.how} for m in missing] or [_NOTHING])
    _write_specs(folder, runs)
    page = render(holdings=of_runs.holdings(runs), terms=_terms(groups), sections=sections, missing=missing)
    (folder / "index.html").write_text(page, encoding="utf-8")


_NOTHING = {"what": "", "why": "", "how": ""}


_UNVERIFIED = (
    "Unverified data: well formed, but its content has not the digest of the published data set (a subset, for "
    "instance), so numbers here do not compare with published ones."
)


def _group_section(desk: Desk) -> Section:
    group = desk.group
    made = (part.make(desk) for part in PARTS if desk.figures or not part.drawn)
    done = len(desk.done())
    text = (
        f"{done} of {figures_text(len(group.runs), 'run')} done, "
        f"{figures_text(len({run.spec['seed'] for run in group.runs}), 'seed')}. Data: {data_of(group.runs)[5:]}.",
        _UNVERIFIED if "unverified" in data_of(group.runs) else "",
        f"What sets this group apart from the others of {group.dataset}: {group.differs}." if group.differs else "",
    )
    items = (of_runs.settings_table(desk.folder, group), of_runs.provenance(desk.folder, group))
    return Section(group.slug, group.title, tuple(t for t in text if t), items, tuple(s for s in made if s))


def _terms(groups: Sequence[Group]) -> tuple[str, ...]:
    mixed = [group.title for group in groups if len(group.presets) > 1]
    if not mixed:
        return TERMS
    return (*TERMS, f"More than one preset meets, with the same shared settings, in: {'; '.join(mixed)}.")


def _write_specs(folder: Path, runs: Sequence[RunRecord]) -> None:
    (folder / "specs").mkdir()
    for run in runs:
        text = json.dumps(run.spec, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / spec_path(run)).write_text(text + "\n", encoding="utf-8")
