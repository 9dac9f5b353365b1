"""What every part of a group's section works with: the store, the folder, the group, and what is missing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mmbench.results.records import RunRecord
from mmbench.results.report.captions import terms_of
from mmbench.results.report.contents import FigureItem, Missing
from mmbench.results.report.drawing.canvas import save
from mmbench.results.report.files import safe, spec_path
from mmbench.results.report.groups import Condition, Group, Variant, condition_of, of_seeds
from mmbench.results.report.source import Source
from mmbench.results.report.studio import Studio
from mmbench.results.report.summaries import Row, rows_of
from mmbench.results.report.tables.lines import write_csv

__all__ = ["Desk", "Setting"]


@dataclass(frozen=True)
class Setting:
    """A scheme and fraction of which one figure shows every model."""

    scheme: str
    f: float

    @property
    def text(self) -> str:
        """The setting in words."""
        return "complete rows (f = 1)" if self.scheme == "complete" else f"scheme {self.scheme}, f = {self.f:g}"

    @property
    def slug(self) -> str:
        """The setting in a file name."""
        return "complete" if self.scheme == "complete" else safe(f"{self.scheme}-{self.f:g}")


@dataclass(frozen=True)
class Desk:
    """One group's working place; `missing` is filled on the way.

    Attributes:
        figures: whether any are made; without, only tables are.
        studio: where figures are drawn when all are known; without, each is drawn at once.
    """

    source: Source
    folder: Path
    group: Group
    missing: list[Missing]
    figures: bool = True
    studio: Studio | None = None
    _rows: dict[str, list[Row]] = field(default_factory=dict)

    def rows(self, metric: str) -> list[Row]:
        """The group's rows of a metric, counted once."""
        if metric not in self._rows:
            self._rows[metric] = rows_of(self.group.runs, metric, self.seeds)
        return self._rows[metric]

    @cached_property
    def seeds(self) -> dict[Condition, list[RunRecord]]:
        """The group's runs by condition."""
        return of_seeds(self.group.runs)

    def lacks(self, what: str, why: str, how: str = "") -> None:
        """Note something that cannot be shown."""
        self.missing.append(Missing(f"{self.group.title}: {what}", why, how))

    def figure(
        self,
        draw: Callable[[], Figure],
        name: str,
        *,
        title: str,
        caption: Iterable[str],
        alt: str,
        runs: Iterable[RunRecord],
        data: Sequence[Mapping[str, Any]] = (),
        number: str = "",
    ) -> list[FigureItem]:
        """Draw and write a figure, with the numbers behind it as CSV; nothing where only tables are wanted.

        Args:
            draw: makes the figure, a `functools.partial` of a function with its numbers, because it may be sent to
                another process; is not called where it is not wanted.
            caption: sentences, empty ones are left out; the group's terms close them.
            data: one record a point, bar or cell, as `against_f` and others give them.
            number: what the figure is in the paper.
        """
        if not self.figures:
            return []
        sentences = (*(sentence for sentence in caption if sentence), f"Terms: {terms_of(self.group)}")
        return self.drawn(
            draw, f"{self.group.slug}-{name}", title=title, caption=sentences, alt=alt, runs=runs, data=data,
            number=number,
        )  # fmt: skip

    def drawn(
        self,
        draw: Callable[[], Figure],
        slug: str,
        *,
        title: str,
        caption: Sequence[str],
        alt: str,
        runs: Iterable[RunRecord] = (),
        data: Sequence[Mapping[str, Any]] = (),
        number: str = "",
    ) -> list[FigureItem]:
        """As `figure`, for one that belongs to the whole page: `slug` names its files, and nothing is added."""
        if not self.figures:
            return []
        drawing = self.studio.later(draw, slug) if self.studio else save(draw(), self.folder, slug)
        commands = tuple(f"mmbench run --spec {path}" for path in sorted(set(map(spec_path, runs))))
        csv = write_csv(self.folder, slug, data, below="figures") if data else ""
        return [FigureItem(slug, title, drawing, tuple(caption), alt, number, csv, commands)]

    def done(self) -> tuple[RunRecord, ...]:
        """The runs that ended well."""
        return tuple(run for run in self.group.runs if run.status == "done")

    def settings(self) -> list[Setting]:
        """What is shown run by run: the complete runs, and of each scheme the smallest `f`."""
        lowest: dict[str, float] = {}
        for run in self.done():
            scheme, f = run.spec["scheme"], float(run.spec["f"])
            lowest[scheme] = min(f, lowest.get(scheme, f))
        order = sorted(lowest.items(), key=lambda item: (item[0] != "complete", item[0]))
        return [Setting(scheme, f) for scheme, f in order]

    def examples(self, setting: Setting) -> dict[Variant, RunRecord]:
        """Of each variant, the run of this setting with the smallest seed."""
        found: dict[Variant, RunRecord] = {}
        for run in sorted(self.done(), key=lambda run: (run.spec["seed"], run.id)):
            condition = condition_of(run)
            if (condition.scheme, condition.f) == (setting.scheme, setting.f):
                found.setdefault(condition.variant, run)
        return {variant: found[variant] for variant in self.group.names if variant in found}
