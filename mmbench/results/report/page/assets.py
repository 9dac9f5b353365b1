"""The files beside `index.html`: style and scripts of our own, and DataTables, which sorts, searches and pages tables.

DataTables comes with the Python package itables, which bundles it (and jQuery) as one ES module. A browser loads no
module from disk (`file://` has no origin that could allow it), so the bundle's export is taken off and its default
export becomes a global: a classic script, in a function of its own, strict as a module is. Bytes depend on nothing but
the installed versions.
"""

import re
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path

from mmbench.errors import MMBenchError

__all__ = ["FOLDER", "assets", "classic", "text_of"]

PACKAGE = "mmbench.results.report.page"
FOLDER = "assets"
OWN = ("page.css", "page.js", "tables.js")
EXPORT = re.compile(r"\bexport\s*\{([^{}]*)\}\s*;?")
DEFAULT = re.compile(r"([\w$]+)\s+as\s+default\b")
NOTICES = re.compile(r"/\*!\s*Bundled license information:(.*?)\*/\s*$", re.DOTALL)


def assets() -> Mapping[str, bytes]:
    """Path relative to the report's folder -> content.

    Raises:
        MMBenchError: itables is not installed whole, or bundles DataTables in a way that is not known here.
    """
    found = {name: text_of(name) for name in OWN}
    try:
        itables = metadata.distribution("itables")
        bundle = Path(str(itables.locate_file("itables/html/dt_bundle.js"))).read_text(encoding="utf-8")
    except (metadata.PackageNotFoundError, OSError) as error:
        raise MMBenchError(f"the report's tables need the package itables ({error}); pip install itables.") from error
    found["datatables.js"] = classic(bundle)
    found["LICENSES.txt"] = _licenses(itables, bundle)
    return {f"{FOLDER}/{name}": text.encode() for name, text in sorted(found.items())}


def text_of(name: str) -> str:
    """A file of this room."""
    return resources.files(PACKAGE).joinpath(name).read_text(encoding="utf-8")


def classic(module: str) -> str:
    """An ES module as a classic script whose default export is the global `DataTable`.

    >>> classic("var a=1;export{a as default,b};").splitlines()[1]
    'var a=1;window.DataTable=a;'

    Raises:
        MMBenchError: the module has not exactly one list of exports with a default in it.
    """
    lists = EXPORT.findall(module)
    default = DEFAULT.search(lists[0]) if len(lists) == 1 else None
    if default is None:
        raise MMBenchError("the installed itables bundles DataTables in an unknown form; pip install 'itables<3'.")
    body = EXPORT.sub(lambda _: f"window.DataTable={default[1]};", module)
    return f'(() => {{"use strict";\n{body.rstrip()}\n}})();\n'


def _licenses(itables: metadata.Distribution, bundle: str) -> str:
    """The licence of itables, and the notices of what it bundles."""
    own = itables.read_text("licenses/LICENSE") or itables.metadata["License"] or "MIT License"
    notices = NOTICES.search(bundle)
    bundled = notices[1].strip() if notices else "DataTables and its extensions, (c) SpryMedia Ltd, MIT license"
    return (
        f"datatables.js is taken from itables {itables.version} (https://github.com/mwouts/itables).\n\n{own.strip()}\n\n"
        f"It bundles, under the licences named:\n\n{bundled}\n"
    )
