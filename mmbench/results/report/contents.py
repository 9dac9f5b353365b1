"""What a page holds: plain frozen values between the parts that draw and count and the template that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmbench.results.report.drawing import Drawing

__all__ = ["FigureItem", "Missing", "Section", "TableItem"]


@dataclass(frozen=True)
class Missing:
    """Something the page cannot show: what, why, and what would bring it."""

    what: str
    why: str
    how: str = ""


@dataclass(frozen=True)
class FigureItem:
    """A figure with its caption (sentences), a text for those who cannot see it, and the commands that reproduce it."""

    id: str
    title: str
    drawing: Drawing
    caption: tuple[str, ...]
    alt: str
    commands: tuple[str, ...] = ()

    kind = "figure"


@dataclass(frozen=True)
class TableItem:
    """A table: `head` and `body` are shown, the CSV at `csv` holds all digits and more columns."""

    id: str
    title: str
    head: tuple[str, ...]
    body: tuple[tuple[Any, ...], ...]
    caption: tuple[str, ...]
    csv: str = ""
    folded: bool = False

    kind = "table"


@dataclass(frozen=True)
class Section:
    """A heading, sentences, figures and tables, and sections below it."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    items: Sequence[FigureItem | TableItem] = ()
    sections: Sequence["Section"] = field(default_factory=tuple)
