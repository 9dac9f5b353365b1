"""`write`: from the store to a folder with a page, its figures, tables and the specs of its runs.

Sections of a group come from `PARTS`; those of the whole page are made here. What is not wanted is not made.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from mmbench.results.records import RunRecord
from mmbench.results.report.beside import beside
from mmbench.results.report.captions import data_of, figures_text
from mmbench.results.report.choice import PAGE_PARTS, Choice, choice_of
from mmbench.results.report.collector import nothing_collected
from mmbench.results.report.contents import Missing, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.style import applied
from mmbench.results.report.files import spec_path
from mmbench.results.report.folder import replaced
from mmbench.results.report.groups import Group, groups_of
from mmbench.results.report.page.gaps import gaps_of
from mmbench.results.report.page.page import assets, render
from mmbench.results.report.page.summary import summary_of
from mmbench.results.report.sections import PARTS
from mmbench.results.report.sections import models as of_models
from mmbench.results.report.sections import runs as of_runs
from mmbench.results.report.sections.ranks import ranks
from mmbench.results.report.sections.references import references
from mmbench.results.report.source import Source
from mmbench.results.report.studio import Studio, with_drawings
from mmbench.results.report.tables.latex import with_latex
from mmbench.results.report.tables.lines import write_csv

__all__ = ["write"]

TERMS = (
    "Runs are drawn together only when dataset and its settings, the digest of the data, networks, latent size, "
    "likelihoods, loader and training settings are the same, and when a metric's version and protocol agree.",
    "Within such a group, runs that differ in the seed only give a mean and a standard deviation; n of N counts the "
    "runs that have the score among all seeds, and what became of the others (failed, diverged, interrupted, refused) "
    "is said beside it.",
    "A model's own settings may differ within a group. Presets and settings that differ are named with the model.",
    "No model is tuned to win. Bold face and verdicts stand only where a paired test over common seeds, corrected for "
    "the number of pairs, is behind them; a difference within the seeds' spread is no finding.",
)


def _nobody(sentence: str) -> None:
    """Tell nobody."""


def write(
    store: Source,
    out: Path,
    *,
    only: Sequence[str] = (),
    other: Source | None = None,
    say: Callable[[str], None] = _nobody,
) -> Path:
    """Write the report of `store` into the folder `out` and return the path of its `index.html`.

    The old report stays until the new one is whole. The same stores give the same bytes.

    Args:
        store: an open `mmbench.results.store.Store`, or anything with its `runs`, `curves` and `arrays`.
        out: a new or empty folder, or one that holds an earlier report and nothing else.
        only: names of sections, and `tables` or `figures`; nothing for everything. `choice.choice_of` has the rules.
        other: a second store, laid beside the first; only its runs are read.
        say: is told how many figures are drawn, before they are.

    Raises:
        UnknownName: `only` has a name that no part of the report has.
        InvalidSetting: `out` is a file, holds files that no report wrote, or cannot be written.
        StorageFull: the disk is full; an earlier report is intact.
    """
    choice = choice_of(only)
    with nothing_collected():
        runs = sorted(store.runs(), key=lambda run: run.id)
        others = None if other is None else sorted(other.runs(), key=lambda run: run.id)
    with replaced(out) as folder, applied():
        _write(store, runs, others, folder, choice, say)
    return out.resolve() / "index.html"


def _write(
    store: Source,
    runs: Sequence[RunRecord],
    others: Sequence[RunRecord] | None,
    folder: Path,
    choice: Choice,
    say: Callable[[str], None],
) -> None:
    missing: list[Missing] = []
    groups = groups_of(runs)
    studio = Studio(folder)
    desks = [Desk(store, folder, group, missing, choice.figures, studio) for group in groups]
    with nothing_collected():
        sections = [_group_section(desk, choice) for desk in desks if choice.of_groups]
        sections += _page_sections(desks, runs, others, choice)
    missing += [entry for group in groups for entry in of_runs.missing_of_runs(group)]
    missing += [gap.missing for group in groups for gap in gaps_of(group)]
    if not runs:
        missing.append(
            Missing("everything", "the store holds no runs", "mmbench run --model meme --scheme split --f 0.5")
        )
    write_csv(folder, "missing", [asdict(entry) for entry in missing] or [_NOTHING])
    _write_specs(folder, groups, runs)
    if studio.count:
        say(f"drawing {figures_text(studio.count, 'figure')} of {figures_text(len(runs), 'run')}.")
    wanted = [part for part in map(choice.trimmed, with_drawings(sections, studio.drawn())) if part]
    page = render(
        holdings=of_runs.holdings(runs), terms=_terms(groups), sections=with_latex(folder, wanted), missing=missing,
        summary=summary_of(groups, runs, missing),
    )  # fmt: skip
    (folder / "index.html").write_text(page, encoding="utf-8")
    for path, content in assets().items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)


def _page_sections(
    desks: Sequence[Desk], runs: Sequence[RunRecord], others: Sequence[RunRecord] | None, choice: Choice
) -> list[Section]:
    """Sections of the whole page, in its order; those that have nothing to say are left out."""
    if not desks:
        return []
    folder, groups = desks[0].folder, [desk.group for desk in desks]
    makers: dict[str, Callable[[], Section | None]] = {
        "beside": lambda: None if others is None else beside(desks, others),
        "ranks": lambda: ranks(desks),
        "models": lambda: _section("models", "Models", of_models.capabilities(folder, runs)),
        "runs": lambda: _section("runs", "Runs", of_runs.runs_table(folder, groups)),
        "references": lambda: references(folder, runs),
    }
    return [part for name in PAGE_PARTS if name in choice.names and (part := makers[name]())]


def _section(name: str, title: str, table: TableItem | None) -> Section | None:
    return Section(name, title, items=(table,)) if table else None


_NOTHING = asdict(Missing("", "", kind=""))


_UNVERIFIED = (
    "Unverified data: well formed, but its content has not the digest of the published data set (a subset, for "
    "instance), so numbers here do not compare with published ones."
)


def _group_section(desk: Desk, choice: Choice) -> Section:
    group = desk.group
    wanted = [part for part in PARTS if part.name in choice.names and (desk.figures or not part.drawn)]
    made = [part.make(desk) for part in wanted]
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


def _write_specs(folder: Path, groups: Sequence[Group], runs: Sequence[RunRecord]) -> None:
    (folder / "specs").mkdir()
    specs = {gap.path: gap.spec for group in groups for gap in gaps_of(group)}
    for path, spec in (specs | {spec_path(run): run.spec for run in runs}).items():
        text = json.dumps(spec, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / path).write_text(text + "\n", encoding="utf-8")
