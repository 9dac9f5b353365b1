"""What a page holds: plain frozen values between the parts that draw and count and the template that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmbench.results.report.drawing.canvas import Drawing

__all__ = ["FigureItem", "Missing", "Section", "TableItem"]


@dataclass(frozen=True)
class Missing:
    """Something the page cannot show: what, why, and the command that would bring it; `kind` is where it is listed."""

    what: str
    why: str
    how: str = ""
    kind: str = "Figures and tables"


@dataclass(frozen=True)
class FigureItem:
    """A figure.

    Attributes:
        number: what it is in the paper (`Figure 5`); empty where the paper has none.
        caption: sentences.
        alt: the finding, for those who cannot see it.
        csv: the numbers behind it, a path in the report's folder; empty for grids of images.
        commands: what reproduces the runs behind it.
    """

    id: str
    title: str
    drawing: Drawing
    caption: tuple[str, ...]
    alt: str
    number: str = ""
    csv: str = ""
    commands: tuple[str, ...] = ()

    kind = "figure"


@dataclass(frozen=True)
class TableItem:
    """A table: `head` and `body` are shown, the CSV at `csv` holds all digits and more columns.

    Attributes:
        number: what it is in the paper (`Table 3`); empty where the paper has none.
        folded: whether it is closed until it is asked for.
        filters: what a reader may filter by, columns of `head` or names of `facets`; with any, the table sorts too.
        facets: of each row, the texts that `filters` compare, in their order; empty: those of the columns.
        tex: the same table as LaTeX, a path in the report's folder; filled in when all tables are made.
    """

    id: str
    title: str
    head: tuple[str, ...]
    body: tuple[tuple[Any, ...], ...]
    caption: tuple[str, ...]
    csv: str = ""
    folded: bool = False
    number: str = ""
    filters: tuple[str, ...] = ()
    facets: tuple[tuple[str, ...], ...] = ()
    tex: str = ""

    kind = "table"


@dataclass(frozen=True)
class Section:
    """A heading, sentences, figures and tables, and sections below it."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    items: Sequence[FigureItem | TableItem] = ()
    sections: Sequence["Section"] = field(default_factory=tuple)
