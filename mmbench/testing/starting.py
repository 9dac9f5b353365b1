"""`mmbench new`: a file with a component that keeps its contract already, under the name that its author chose."""

import re
from pathlib import Path

from mmbench.errors import InvalidSetting

__all__ = ["KINDS", "default_file", "source", "write"]

KINDS = ("model", "dataset", "scheme", "metric")
NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
RESERVED = ("none",)  # `--metrics none` is no metric
LONGEST = 40  # it becomes a part of the names of runs, tables and files


def source(kind: str, name: str) -> str:
    """The file's text.

    Raises:
        InvalidSetting: the name is not of small letters, digits, `-` and `_`, begins with no letter, or is reserved.
    """
    from importlib.resources import files

    from jinja2 import Environment, StrictUndefined

    if not NAME.fullmatch(name) or len(name) > LONGEST or name in RESERVED:
        raise InvalidSetting(
            f"a {kind} cannot be named {name!r}; use up to {LONGEST} small letters and digits, in words joined by - "
            "or _, e.g. my-model."
        )
    text = files("mmbench.testing.templates").joinpath(f"{kind}.py.j2").read_text(encoding="utf-8")
    made = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False).from_string(
        text
    )  # code
    return made.render(name=name, cls=_class_name(kind, name))


def _class_name(kind: str, name: str) -> str:
    """`MyModel` of `my-model` and of `my`: it ends with the kind, and is the name of nothing that is imported."""
    words = [word.capitalize() for word in re.split("[-_]", name)]
    return "".join(words if words[-1] == kind.capitalize() and len(words) > 1 else [*words, kind.capitalize()])


def default_file(name: str) -> Path:
    """The file that a component of this name is written to, in the current folder."""
    return Path(name.replace("-", "_") + ".py")


def write(kind: str, name: str, out: Path) -> None:
    """Write the file, which must not be there yet.

    Raises:
        InvalidSetting: the name cannot be used, the file is there, or it cannot be written.
    """
    text = source(kind, name)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidSetting(f"{out} is there already; name another file with --out.") from None
    except OSError as error:
        raise InvalidSetting(f"cannot write {out}: {error.strerror}; name another file with --out.") from error
