"""The page: sections in, HTML out. The template escapes everything that is not made here as markup."""

from collections.abc import Sequence
from importlib import resources

import jinja2

from mmbench.results.report.contents import Missing, Section

__all__ = ["render"]

PACKAGE = "mmbench.results.report.page"


def render(
    *,
    holdings: Sequence[tuple[str, str]],
    terms: Sequence[str],
    sections: Sequence[Section],
    missing: Sequence[Missing],
) -> str:
    """The whole `index.html`."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template("page.html.j2")
    return template.render(holdings=holdings, terms=terms, sections=sections, missing=missing, style=_text("page.css"))


def _text(name: str) -> str:
    return resources.files(PACKAGE).joinpath(name).read_text(encoding="utf-8")
