"""Where a store is, and that no message ever shows a password."""

import logging
from pathlib import Path

import pytest

from mmbench.errors import StoreError
from mmbench.results import failures
from mmbench.results.location import default_store, locate
from mmbench.results.store import Store

SECRET = "hunter2"
URL = f"postgresql+psycopg://ada:{SECRET}@127.0.0.1:1/results?sslpassword={SECRET}&connect_timeout=2"


@pytest.mark.parametrize(
    ("where", "name", "path"),
    [
        ("results.db", "results.db", Path("results.db")),
        (Path("a/results.db"), "a/results.db", Path("a/results.db")),
        ("sqlite:///a/results.db", "a/results.db", Path("a/results.db")),
        ("sqlite:////abs/results.db", "/abs/results.db", Path("/abs/results.db")),
        ("sqlite+pysqlite:////abs/results.db", "/abs/results.db", Path("/abs/results.db")),
        ("sqlite:///file:/abs/a%20b.db?uri=true&vfs=unix", "/abs/a b.db", Path("/abs/a b.db")),
        (":memory:", ":memory:", None),
        ("sqlite://", ":memory:", None),
        ("sqlite:///:memory:", ":memory:", None),
        (URL, "postgresql+psycopg://ada:***@127.0.0.1:1/results", None),
    ],
)
def test_a_store_has_a_name_and_perhaps_a_file(where: str | Path, name: str, path: Path | None) -> None:
    location = locate(where)
    assert (location.name, location.path) == (name, path)
    assert SECRET not in repr(location)


def test_the_home_folder_may_be_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/results.db").path == tmp_path / "results.db"
    assert locate("~no-such-user/results.db").path == Path("~no-such-user/results.db")


def test_the_default_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMBENCH_STORE", "elsewhere.db")
    assert default_store() == "elsewhere.db"
    monkeypatch.delenv("MMBENCH_STORE")
    assert default_store() == "mmbench-results/results.db"


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("", "the store needs a name, got an empty one"),
        (f"postgresql://ada:{SECRET}@host:port/x", r"the store's URL postgresql://\.\.\. cannot be read"),
        (f"no such://ada:{SECRET}@host/x", r"the store's URL no such://\.\.\. cannot be read"),
        (f"nonsense://ada:{SECRET}@host/x", r"store nonsense://ada:\*\*\*@host/x needs a driver that is not there"),
        (URL, r"store postgresql\+psycopg://ada:\*\*\*@127\.0\.0\.1:1/results (failed|needs a driver)"),
    ],
)
def test_a_url_that_does_not_serve_is_refused_without_its_password(
    where: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreError, match=sentence) as caught:
        Store.open(where)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in caplog.text


def test_a_driver_that_repeats_the_password_is_silenced() -> None:
    error = failures.failure(RuntimeError(f"cannot connect with {SECRET}\nmore"), "x", SECRET)
    assert str(error) == "store x failed: cannot connect with ***."


def test_a_store_shows_its_name_only(tmp_path: Path) -> None:
    with Store.open(tmp_path / "results.db") as store:
        assert repr(store) == f"Store({str(tmp_path / 'results.db')!r})"
    with Store.open(":memory:") as store:
        assert (store.name, store.folder) == (":memory:", None)
