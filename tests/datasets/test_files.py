"""Where data files are looked for, and what their digests are."""

from pathlib import Path

import pytest

from mmbench.datasets.files import combined_digest, data_root, first_existing, require_root
from mmbench.errors import DataMissing


def test_the_option_comes_before_the_variable_and_none_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMBENCH_DATA", "/from/variable")
    assert data_root("/from/option") == Path("/from/option")
    assert data_root() == Path("/from/variable")
    monkeypatch.setenv("MMBENCH_DATA", "")
    assert data_root() is None
    monkeypatch.delenv("MMBENCH_DATA")
    assert data_root() is None


def test_the_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert data_root("~/data") == Path("/home/someone/data")


def test_missing_files_say_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    assert first_existing([tmp_path / "a", tmp_path / "b"], dataset="x") == tmp_path / "b"
    remedy = r"`mmbench data fetch x --data-root DIR`.*MMBENCH_DATA"
    with pytest.raises(DataMissing, match=remedy):
        first_existing([tmp_path / "c"], dataset="x")
    with pytest.raises(DataMissing, match=remedy):
        require_root(None, dataset="x")


def test_the_combined_digest_depends_on_names_and_digests_but_not_on_their_order() -> None:
    one = combined_digest({"a": "1", "b": "2"})
    assert one == combined_digest({"b": "2", "a": "1"})
    assert len({one, combined_digest({"a": "2", "b": "1"}), combined_digest({"a": "1"})}) == 3
