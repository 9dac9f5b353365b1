"""`only`: what is made, what is not, and what is not even read."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mmbench.errors import UnknownName
from mmbench.results.records import ArrayRecord, Curve, RunRecord
from mmbench.results.report import write
from mmbench.results.report.choice import PAGE_PARTS, choice_of
from mmbench.results.report.sections import PARTS
from mmbench.results.store import Store


class Tables:
    """A store of which only the runs may be read."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def runs(self, *, include_superseded: bool = False) -> Sequence[RunRecord]:
        return self.store.runs(include_superseded=include_superseded)

    def curves(self, run_id: str) -> Sequence[Curve]:
        raise AssertionError("curves were read")

    def arrays(self, run_id: str, metric: str | None = None) -> Sequence[ArrayRecord]:
        raise AssertionError("arrays were read")


def made(filled: Path, out: Path, *only: str) -> tuple[str, set[str]]:
    """The page and the folders of the report."""
    with Store.open_readonly(filled) as store:
        page = write(store, out, only=only)
    return page.read_text(encoding="utf-8"), {path.name for path in page.parent.iterdir()}


def test_tables_alone_draw_nothing_and_read_neither_arrays_nor_curves(filled: Path, tmp_path: Path, page: Path) -> None:
    with Store.open_readonly(filled) as store:
        written = write(Tables(store), tmp_path / "out", only=["tables"])
    html = written.read_text(encoding="utf-8")
    assert "<figure" not in html
    assert not (written.parent / "figures").exists()
    whole = {path.name: path.read_bytes() for path in page.glob("tables/*.csv") if path.name != "missing.csv"}
    own = {path.name: path.read_bytes() for path in written.parent.glob("tables/*.csv") if path.name != "missing.csv"}
    assert own == whole  # no table is lost or changed


def test_figures_alone_show_no_tables(filled: Path, tmp_path: Path) -> None:
    html, folders = made(filled, tmp_path / "out", "figures", "coherence")
    assert "<figure" in html
    assert "table-coherence" not in html
    assert "figures" in folders


def test_one_section_alone(filled: Path, tmp_path: Path) -> None:
    html, _ = made(filled, tmp_path / "out", "likelihoods")
    assert 'id="digits-common-section-likelihood"' in html
    assert "section-coherence" not in html
    assert 'id="table-runs"' not in html


def test_a_section_of_the_page_alone_leaves_the_groups_out(filled: Path, tmp_path: Path) -> None:
    html, folders = made(filled, tmp_path / "out", "references")
    assert 'id="table-references"' in html
    assert 'id="digits-common"' not in html
    assert "figures" not in folders


def test_an_unknown_name_is_answered_with_the_known_ones(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown part of the report 'coherense'; did you mean 'coherence'"):
        made(filled, tmp_path / "out", "coherense")
    assert not (tmp_path / "out").exists()


def test_every_part_has_a_name_of_its_own() -> None:
    names = [*(part.name for part in PARTS), *PAGE_PARTS, "tables", "figures"]
    assert len(set(names)) == len(names)
    assert choice_of(()).names == frozenset(names) - {"tables", "figures"}
