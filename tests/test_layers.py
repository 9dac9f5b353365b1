"""Who may import whom: lower ranks only. Read from the source with `ast`, so that a breach fails even where no test
imports the module. Imports under `if TYPE_CHECKING:` do not run and do not count; imports inside functions do count,
except for torch in rooms that must only be free of it *at import*.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mmbench"

RANKS = {
    "errors": 0,
    "origins": 0,
    "plugins": 0,
    "registry": 0,
    "config": 0,
    "seeding": 0,
    "modality": 0,
    "_torchvision": 0,
    "datasets": 1,
    "models": 1,
    "results": 1,
    "training": 2,
    "metrics": 3,
    "run": 4,
    "testing": 4,
    "sweep": 5,
    "cli": 6,
}

# Modules that belong to a room although they stand beside it.
ROOM_OF = {
    "cli_options": "cli",
    "cli_many": "cli",
    "cli_data": "cli",
    "cli_plugins": "cli",
    "printing": "cli",
    "sweep_printing": "cli",
    "listing": "cli",
}

# What a room may know of a lower one where that is less than everything: never a concrete model, no loader, no store.
PARTS = {
    ("training", "models"): {"base", "execution"},
    ("training", "datasets"): set[str](),
    ("training", "results"): {"records"},
    ("metrics", "models"): {"base", "posteriors", "likelihoods", "bounds"},
    ("metrics", "datasets"): set[str](),
    ("metrics", "results"): {"records"},
}

# Rooms that may not load torch when they are imported, and rooms that may not load it at all.
NO_TORCH_AT_IMPORT = {
    "errors",
    "origins",
    "plugins",
    "registry",
    "config",
    "seeding",
    "modality",
    "results",
    "sweep",
    "cli",
}
NO_TORCH_EVER = {"results", "cli"}


@dataclass(frozen=True)
class Import:
    """One import statement: the dotted name it loads, its line, and whether it runs when the module is imported."""

    name: str
    line: int
    at_import: bool


def imports(source: str, module: str, *, is_package: bool) -> Iterator[Import]:
    """Every import in `source` that can run, as absolute dotted names."""
    package = module if is_package else module.rpartition(".")[0]
    yield from _walk(ast.parse(source).body, package, at_import=True)


def _walk(nodes: list[ast.AST] | list[ast.stmt], package: str, *, at_import: bool) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            yield from (Import(f"{base}.{alias.name}", node.lineno, at_import) for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _walk(node.orelse, package, at_import=at_import)
        else:
            lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(list(ast.iter_child_nodes(node)), package, at_import=at_import and not lazy)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    above = parts[: len(parts) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def breaches(module: str, found: Iterator[Import]) -> list[str]:
    """What `module` imports and may not, one sentence each."""
    room = _room(module.split(".")[1]) if "." in module else ""
    return [f"{module}:{item.line} imports {item.name}: {why}" for item in found if (why := _why_not(room, item))]


def _why_not(room: str, item: Import) -> str | None:
    top, _, rest = item.name.partition(".")
    if top in ("torch", "torchvision"):
        if room in NO_TORCH_EVER or (item.at_import and room in NO_TORCH_AT_IMPORT):
            return "this room stays free of torch"
        return None
    if top != "mmbench":
        return None
    other, _, part = rest.partition(".")
    other = _room(other)
    if other not in RANKS:
        return "not a room; name the module that defines it"
    return _why_not_room(room, other, part, at_import=item.at_import)


def _room(name: str) -> str:
    return ROOM_OF.get(name, name)


def _why_not_room(room: str, other: str, part: str, *, at_import: bool) -> str | None:
    if not room:  # the package's own module serves its public names lazily
        return "only lazily, inside a function" if at_import and RANKS[other] > 0 else None
    if other == room or RANKS[room] == RANKS[other] == 0:
        return None
    if RANKS[other] >= RANKS[room]:
        return f"rank {RANKS[room]} may not know rank {RANKS[other]}"
    known = PARTS.get((room, other))
    if known is not None and part.partition(".")[0] not in known:
        return f"{room} knows of {other} only {sorted(known)}"
    return None


def modules() -> list[tuple[str, Path]]:
    """Dotted name and file of every module of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


@pytest.mark.parametrize(("module", "path"), modules(), ids=[name for name, _ in modules()])
def test_module_imports_only_what_its_room_may_know(module: str, path: Path) -> None:
    found = imports(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
    assert not breaches(module, found)


def test_every_room_has_a_rank() -> None:
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {_room(name) for name in names - {"__init__"}} <= set(RANKS)


@pytest.mark.parametrize(
    ("module", "source", "caught"),
    [
        ("mmbench.models.vae", "from mmbench.training.loop import fit", True),
        ("mmbench.models.vae", "from mmbench.datasets import DATASETS", True),
        ("mmbench.models.vae", "from ..results import store", True),
        ("mmbench.models.vae", "def f():\n    from mmbench import run", True),
        ("mmbench.models.vae", "from mmbench.models.base import MODELS\nimport torch", False),
        ("mmbench.training.loop", "from mmbench.models.meme import MEME", True),
        ("mmbench.training.loop", "from mmbench.models.base import MultimodalVAE", False),
        ("mmbench.metrics.w2", "from mmbench.results.store import Store", True),
        ("mmbench.metrics.w2", "from mmbench.results.records import Score", False),
        ("mmbench.results.store", "def f():\n    import torch", True),
        ("mmbench.seeding", "import torch", True),
        ("mmbench.seeding", "def f():\n    import torch", False),
        ("mmbench.seeding", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", False),
        ("mmbench.config", "if not TYPE_CHECKING:\n    import mmbench.cli", True),
        ("mmbench.run", "from mmbench.testing import contract", True),
        ("mmbench", "from mmbench.run import load", True),
        ("mmbench", "def __getattr__(name):\n    from mmbench.run import load", False),
        ("mmbench.cli", "from mmbench import printing", False),
    ],
)
def test_a_made_up_breach_is_caught(module: str, source: str, caught: bool) -> None:
    found = imports(source, module, is_package=module.count(".") == 0)
    assert bool(breaches(module, found)) is caught
