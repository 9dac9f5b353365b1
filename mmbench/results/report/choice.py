"""What of the report is wanted: `--only coherence,tables`.

Names are those of sections, and `tables` and `figures`, which choose the kind: `tables,coherence` is the tables of one
section. `tables` alone draws nothing and reads neither arrays nor curves. `figures` alone shows no tables; the CSV
files behind them are written all the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mmbench.errors import UnknownName
from mmbench.results.report.contents import FigureItem, Section
from mmbench.results.report.sections import PARTS

__all__ = ["KINDS", "PAGE_PARTS", "Choice", "choice_of"]

KINDS = ("tables", "figures")
PAGE_PARTS = ("beside", "ranks", "models", "runs", "references")
"""Sections of the whole page; those of a group are `PARTS`."""


@dataclass(frozen=True)
class Choice:
    """The sections that are made, and whether figures and tables are."""

    names: frozenset[str]
    figures: bool
    tables: bool

    @property
    def of_groups(self) -> bool:
        """Whether any section of a group is wanted."""
        return any(part.name in self.names for part in PARTS)

    def trimmed(self, section: Section) -> Section | None:
        """The section without the tables that are not wanted; None where nothing of it is left."""
        if self.tables:
            return section
        items = tuple(item for item in section.items if isinstance(item, FigureItem))
        below = tuple(part for part in map(self.trimmed, section.sections) if part)
        return replace(section, items=items, sections=below) if items or below else None


def choice_of(only: Iterable[str]) -> Choice:
    """The choice that names make; everything where there are none.

    Raises:
        UnknownName: a name that is no section and no kind; lists the known ones.
    """
    sections = [*(part.name for part in PARTS), *PAGE_PARTS]
    wanted = {name.strip() for name in only} - {""}
    for name in sorted(wanted):
        if name not in (*sections, *KINDS):
            raise UnknownName("part of the report", name, [*sections, *KINDS])
    kinds = wanted & set(KINDS) or set(KINDS)
    return Choice(frozenset(wanted - set(KINDS) or sections), "figures" in kinds, "tables" in kinds)
