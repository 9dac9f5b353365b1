"""The page: sections in, HTML out. The template escapes everything that is not made here as markup."""

import re
from collections.abc import Sequence

import jinja2
from markupsafe import escape

from mmbench.results.report.contents import Missing, Section, TableItem
from mmbench.results.report.page.assets import FOLDER, assets, text_of
from mmbench.results.report.page.summary import Summary, kinds_of

__all__ = ["assets", "render"]

FEW = 8  # entries of a kind of missing things that are shown unfolded
COMMAND = re.compile(r"mmbench(?: [\w./,=:@+-]+| '[^']*')+")
PLACEHOLDER = re.compile(r"\bRUN\b|\.\.\.")
WIDE = 560  # CSS pixels from which a figure scrolls on a narrow screen rather than shrinks


def render(
    *,
    holdings: Sequence[tuple[str, str]],
    terms: Sequence[str],
    sections: Sequence[Section],
    missing: Sequence[Missing],
    summary: Summary | None = None,
) -> str:
    """The whole `index.html`.

    Args:
        holdings: what the store holds, names and values.
        terms: sentences on what is compared.
        summary: the matrices of runs and what is missing by kind; None leaves the matrices out.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(text_of), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["facets"] = facets
    environment.tests["command"] = is_command
    return environment.get_template("page.html.j2").render(
        holdings=holdings,
        terms=terms,
        sections=sections,
        missing=missing,
        kinds=summary.kinds if summary else kinds_of(missing),
        matrices=summary.matrices if summary else (),
        few=FEW,
        wide=WIDE,
        assets=FOLDER,
    )


def facets(item: TableItem) -> tuple[tuple[str, ...], ...]:
    """Of each row of a table, the texts that its filters compare."""
    if item.facets:
        return item.facets
    columns = [item.head.index(name) for name in item.filters]
    return tuple(tuple(escape(row[column]).striptags() for column in columns) for row in item.body)


def is_command(text: str) -> bool:
    """Whether a text can go into a shell as it stands: nothing to fill in, nothing that a shell would act upon.

    >>> is_command("mmbench run --spec specs/a.json --retry"), is_command("mmbench evaluate RUN")
    (True, False)
    >>> is_command("mmbench evaluate a>b"), is_command("mmbench evaluate 'a>b'")
    (False, True)
    """
    return COMMAND.fullmatch(text) is not None and PLACEHOLDER.search(text) is None
