"""torchvision is imported as it is wherever that works; operators are declared only where its library does not load."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from numpy.linalg import _umath_linalg

from mmbench import _torchvision
from mmbench.errors import MMBenchError


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package named torchvision, first on the path and not yet imported; its import of nothing always works."""
    folder = tmp_path / "torchvision"
    folder.mkdir()
    (folder / "__init__.py").write_text("fake = True\n")
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "torchvision"}
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    sys.modules.pop("torchvision", None)
    sys.modules.update(before)


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    monkeypatch.setattr(_torchvision, "_declare", lambda: calls.append("declared"))
    return calls


def test_nothing_is_declared_where_its_own_library_loads(fake: Path, declared: list[str]) -> None:
    some_library = Path(_umath_linalg.__file__)
    (fake / f"_C{some_library.suffix}").write_bytes(some_library.read_bytes())
    assert _torchvision.load().fake
    assert declared == []


@pytest.mark.parametrize("library", [None, b"", b"not a library"])
def test_operators_are_declared_where_it_does_not(fake: Path, declared: list[str], library: bytes | None) -> None:
    if library is not None:
        (fake / "_C.so").write_bytes(library)
    assert _torchvision.load().fake
    assert declared == ["declared"]


def test_a_torchvision_that_is_imported_already_is_returned(fake: Path, declared: list[str]) -> None:
    first = _torchvision.load()
    declared.clear()
    assert _torchvision.load() is first
    assert declared == []


def test_without_torchvision_the_sentence_says_what_to_install(
    fake: Path, declared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MMBenchError, match="pip install torchvision"):
        _torchvision.load()


def test_the_installed_torchvision_imports_in_a_fresh_process() -> None:
    program = (
        "from mmbench import _torchvision; m = _torchvision.load(); "
        "m.datasets.MNIST, m.datasets.SVHN; assert _torchvision.load() is m"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
