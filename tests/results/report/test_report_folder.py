"""The report's folder: replaced whole or not at all, and never at the cost of what is not a report's."""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mmbench.errors import InvalidSetting, StorageFull
from mmbench.results.records import ArrayRecord, Curve, RunRecord
from mmbench.results.report import write
from mmbench.results.report.folder import MANIFEST, replaced


class Nothing:
    """A source without runs."""

    def runs(self, *, include_superseded: bool = False) -> Sequence[RunRecord]:
        return []

    def curves(self, run_id: str) -> Sequence[Curve]:
        return []

    def arrays(self, run_id: str, metric: str | None = None) -> Sequence[ArrayRecord]:
        return []


def _write_half(out: Path, error: BaseException) -> None:
    with replaced(out) as folder:
        (folder / "new.txt").write_text("half")
        raise error


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_manifest_lists_every_file(tmp_path: Path) -> None:
    write(Nothing(), tmp_path / "out")
    listed = (tmp_path / "out" / MANIFEST).read_text(encoding="utf-8").splitlines()
    assert set(listed) == files(tmp_path / "out")


def test_a_new_report_replaces_the_old_and_leaves_nothing_beside(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with replaced(tmp_path / "out") as folder:
            (folder / f"{text}.txt").write_text(text)
    assert files(tmp_path / "out") == {"new.txt", MANIFEST}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_interrupted_report_leaves_the_old(tmp_path: Path, error: BaseException) -> None:
    with replaced(tmp_path / "out") as folder:
        (folder / "old.txt").write_text("old")
    with pytest.raises(type(error)):
        _write_half(tmp_path / "out", error)
    assert files(tmp_path / "out") == {"old.txt", MANIFEST}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write(Nothing(), tmp_path / "out").is_file()


@pytest.mark.parametrize("before", [False, True], ids=["no report", "a report"])
def test_foreign_files_are_never_lost(tmp_path: Path, before: bool) -> None:
    out = tmp_path / "out"
    if before:
        write(Nothing(), out)
    (out / "notes").mkdir(parents=True)
    (out / "notes" / "mine.txt").write_text("mine")
    held = files(out)
    with pytest.raises(InvalidSetting, match=r"holds files that no report wrote \(such as notes/mine.txt\)"):
        write(Nothing(), out)
    assert files(out) == held


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InvalidSetting, match="needs a folder"):
        write(Nothing(), tmp_path / "out")


def test_a_full_disk_leaves_the_old_report(tmp_path: Path) -> None:
    with replaced(tmp_path / "out") as folder:
        (folder / "old.txt").write_text("old")
    with pytest.raises(StorageFull, match="the disk is full, no report was written"), replaced(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert files(tmp_path / "out") == {"old.txt", MANIFEST}


def test_a_swap_that_fails_puts_the_old_report_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with replaced(tmp_path / "out") as folder:
        (folder / "old.txt").write_text("old")
    rename = Path.rename

    def failing(self: Path, target: Any) -> Path:
        if "writing" in self.name:
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InvalidSetting, match="Permission denied"), replaced(tmp_path / "out"):
        pass
    assert files(tmp_path / "out") == {"old.txt", MANIFEST}
