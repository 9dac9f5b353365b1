"""Figures drawn in several processes: the same bytes as in one, and errors come back."""

import os
from functools import partial
from pathlib import Path

import pytest

from mmbench.results.report import studio
from mmbench.results.report.drawing.rank_lines import rank_lines
from mmbench.results.report.drawing.style import applied
from mmbench.results.report.studio import Studio

RANKS = {"meme": 1.2, "mvae": 2.1, "mmvae": 2.7}
DRAW = partial(rank_lines, RANKS, {model: model.upper() for model in RANKS}, [("mvae", "mmvae")], 0.8)


def drawn(folder: Path, monkeypatch: pytest.MonkeyPatch, *, processes: int) -> dict[str, bytes]:
    monkeypatch.setattr(studio, "FEW", 2)
    monkeypatch.setattr(studio, "MOST", processes)
    monkeypatch.setattr(os, "cpu_count", lambda: processes)
    folder.mkdir()
    desk = Studio(folder)
    asked = [desk.later(DRAW, f"f{number}") for number in range(4)]
    with applied():
        found = desk.drawn()
    assert set(found) == {drawing.png for drawing in asked}
    assert {(drawing.width, drawing.height) for drawing in found.values()} == {
        (round(DRAW().get_figwidth() * 96), round(DRAW().get_figheight() * 96))
    }
    return {path.name: path.read_bytes() for path in folder.glob("figures/*")}


def test_two_processes_write_the_same_bytes_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = drawn(tmp_path / "one", monkeypatch, processes=1)
    two = drawn(tmp_path / "two", monkeypatch, processes=2)
    assert len(one) == 8
    assert one == two


def test_what_the_disk_says_is_told_to_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process cannot write its figure: a folder has the figure's name."""
    monkeypatch.setattr(studio, "FEW", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    (tmp_path / "figures" / "there.png").mkdir(parents=True)
    desk = Studio(tmp_path)
    for name in ("here", "there"):
        desk.later(DRAW, name)
    with applied(), pytest.raises(IsADirectoryError):
        desk.drawn()


def test_a_process_that_ends_badly_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio, "FEW", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(studio, "START", "raise SystemExit(3)")
    desk = Studio(tmp_path)
    for name in ("here", "there"):
        desk.later(DRAW, name)
    with applied(), pytest.raises(RuntimeError, match="exit code 3"):
        desk.drawn()
