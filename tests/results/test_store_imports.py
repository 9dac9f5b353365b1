"""`import mmbench.results` is light: neither torch nor anything heavy comes with it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import mmbench.results

Start = Callable[..., "subprocess.Popen[str]"]
HEAVY = ("torch", "torchvision", "pandas", "scipy", "matplotlib", "seaborn", "sqlalchemy", "alembic", "sklearn")


def _loaded(python: Start, program: str) -> set[str]:
    out, problem = python(f"{program}\nimport sys; print(*sys.modules)").communicate(timeout=120)
    assert problem == ""
    return set(out.split())


def test_the_package_loads_nothing_heavy(python: Start) -> None:
    assert _loaded(python, "import mmbench.results").isdisjoint({*HEAVY, "numpy"})


def test_no_public_name_loads_torch(python: Start) -> None:
    program = "import mmbench.results as r\nfor name in r.__all__: getattr(r, name)\nr.published_scores()"
    assert _loaded(python, program).isdisjoint({"torch", "torchvision"})


def test_a_store_at_work_loads_neither_torch_nor_pandas(python: Start) -> None:
    program = "from mmbench.results import Store\nStore.open(':memory:').runs()"
    loaded = _loaded(python, program)
    assert loaded.isdisjoint({"torch", "pandas", "scipy", "matplotlib"})
    assert "sqlalchemy" in loaded


def test_opening_a_store_of_this_schema_does_not_load_alembic(python: Start, tmp_path: Path) -> None:
    mmbench.results.Store.open(f"{tmp_path}/results.db").close()
    program = f"from mmbench.results import Store\nStore.open({str(tmp_path)!r} + '/results.db').close()"
    assert "alembic" not in _loaded(python, program)


@pytest.mark.parametrize("name", mmbench.results.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(mmbench.results, name) is not None
    assert name in dir(mmbench.results)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'torch'"):
        mmbench.results.torch  # noqa: B018  # reading it is what raises
