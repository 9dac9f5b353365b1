r"""Every table of the page as LaTeX, for a paper: `booktabs` rules, a caption and a label, nothing to mend by hand.

Cells are text or the few HTML elements that cells are made of (a subscript, small print, emphasis, a link), which have
a counterpart each; every character that LaTeX would take for itself is escaped, and the signs that pdfLaTeX's default
fonts lack are spelt out. Tables beyond a page's length are `longtable`s.
"""

from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmbench.results.report.captions import DASH
from mmbench.results.report.contents import FigureItem, Section, TableItem

__all__ = ["latex", "with_latex"]

PAGE = 40  # rows that fit one page
SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{DAGGER}": r"$\dagger$",
    "\N{EN DASH}": "--",
    "\N{BULLET}": r"$\bullet$",
    "\n": " ",
}
TAGS = {
    "sub": (r"$_{\mathrm{", "}}$"),
    "small": (r"{\footnotesize ", "}"),
    "i": (r"\textit{", "}"),
    "em": (r"\textit{", "}"),
    "b": (r"\textbf{", "}"),
    "strong": (r"\textbf{", "}"),
}
"""Element of a cell -> what stands before and after its text; other elements leave their text alone."""

_ESCAPES = str.maketrans(SIGNS)
_NUMBER = frozenset("0123456789.,+-() e" + DASH)


def with_latex(folder: Path, sections: Sequence[Section]) -> list[Section]:
    """Write `tables/<id>.tex` for every table in `sections`, and return the sections with tables that name theirs."""
    return [
        replace(
            section,
            items=tuple(_with_file(folder, item) for item in section.items),
            sections=tuple(with_latex(folder, section.sections)),
        )
        for section in sections
    ]


def latex(item: TableItem) -> str:
    r"""The table as LaTeX; needs `\usepackage{booktabs}`, and `longtable` where it is longer than a page."""
    columns = "".join("r" if _is_numeric(item, place) else "l" for place in range(len(item.head)))
    head = " & ".join(map(_cell, item.head)) + r" \\"
    body = [" & ".join(map(_cell, row)) + r" \\" for row in item.body]
    number = f" ({item.number} of the MEME paper.)" if item.number else ""
    caption = f"\\caption{{{_cell(' '.join([item.title + '.' + number, *item.caption]))}}}"
    label = f"\\label{{tab:{item.id}}}"
    if len(body) > PAGE:
        top = [rf"\begin{{longtable}}{{{columns}}}", rf"{caption}{label} \\", r"\toprule", head, r"\midrule"]
        return "\n".join([_NEEDS_LONG, *top, r"\endhead", *body, r"\bottomrule", r"\end{longtable}", ""])
    top = [r"\begin{table}", r"\centering", caption, label, rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head]
    return "\n".join([_NEEDS, *top, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


_NEEDS = r"% \usepackage{booktabs}"
_NEEDS_LONG = r"% \usepackage{booktabs,longtable}"


def _with_file(folder: Path, item: FigureItem | TableItem) -> FigureItem | TableItem:
    if isinstance(item, FigureItem):
        return item
    path = f"tables/{item.id}.tex"
    (folder / "tables").mkdir(exist_ok=True)
    (folder / path).write_text(latex(item), encoding="utf-8")
    return replace(item, tex=path)


def _is_numeric(item: TableItem, place: int) -> bool:
    return bool(item.body) and all(_NUMBER.issuperset(str(row[place])) for row in item.body)


def _cell(cell: Any) -> str:
    if not isinstance(cell, Markup):
        return str(cell).translate(_ESCAPES)
    parser = _Cell()
    parser.feed(str(cell))
    parser.close()
    return "".join(parser.parts)


class _Cell(HTMLParser):
    """A cell's HTML, read into LaTeX."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.parts.append(TAGS.get(tag, ("", ""))[0])

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(TAGS.get(tag, ("", ""))[1])

    def handle_data(self, data: str) -> None:
        self.parts.append(data.translate(_ESCAPES))
