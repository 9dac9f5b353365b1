"""Two stores side by side: what they share, what differs, and that the other one is only read."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmbench.results.records import RunRecord, Score
from mmbench.results.report import write
from mmbench.results.report.beside import beside
from mmbench.results.report.contents import Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import groups_of
from mmbench.results.store import Store

Make = Callable[..., RunRecord]


def scored(run: RunRecord, value: float) -> RunRecord:
    return replace(run, scores=(Score("cross_coherence", 1, "a", "b", value, 0.02, 400, "micro"),))


def section(ours: list[RunRecord], theirs: list[RunRecord], store: Store, folder: Path) -> Section:
    return beside([Desk(store, folder, group, [], figures=False) for group in groups_of(ours)], theirs)


def tables(found: Section) -> dict[str, TableItem]:
    return {item.id: item for item in found.items if isinstance(item, TableItem)}


def records(folder: Path) -> list[dict[str, str]]:
    with (folder / "tables" / "beside.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_common_seeds_give_the_mean_of_their_differences(make: Make, store: Store, tmp_path: Path) -> None:
    ours = [scored(make(seed=seed), value) for seed, value in enumerate((0.5, 0.6, 0.9))]
    theirs = [scored(make(seed=seed), value) for seed, value in enumerate((0.4, 0.55))]
    section(ours, theirs, store, tmp_path)
    (record,) = records(tmp_path)
    assert float(record["difference"]) == pytest.approx((0.1 + 0.05) / 2)  # the seed that they lack does not count
    assert (record["common_seeds"], record["our_n"], record["their_n"]) == ("2", "3", "2")


def test_without_common_seeds_the_means_are_compared_and_that_is_said(make: Make, store: Store, tmp_path: Path) -> None:
    found = section([scored(make(seed=0), 0.5)], [scored(make(seed=7), 0.3)], store, tmp_path)
    assert float(records(tmp_path)[0]["difference"]) == pytest.approx(0.2)
    assert tables(found)["table-beside"].body[0][-1] == "none"


def test_other_versions_of_a_metric_and_other_protocols_are_not_laid_side_by_side(
    make: Make, store: Store, tmp_path: Path
) -> None:
    theirs = make()
    newer = replace(scored(theirs, 0.3).scores[0], version=2)
    found = section([scored(make(), 0.5)], [replace(theirs, scores=(newer,))], store, tmp_path)
    assert "No score is in both stores" in found.text[-1]


def test_what_differs_in_the_records_is_named(make: Make, store: Store, tmp_path: Path) -> None:
    theirs = make(provenance={"device": "cuda (H100)", "engine": 2})
    found = section([scored(make(), 0.5)], [scored(theirs, 0.5)], store, tmp_path)
    facts = tables(found)["table-beside-facts"].body
    assert facts == (("device", "cpu (x86_64)", "cuda (H100)"), ("engine", "1", "2"))


def test_conditions_of_one_store_are_counted_and_told_what_sets_them_apart(
    make: Make, store: Store, tmp_path: Path
) -> None:
    ours = [scored(make(), 0.5), scored(make(model="mvae"), 0.5)]
    theirs = [scored(make(own={"k": 30, "c": 10.0}), 0.5), scored(make(digest="0ther", model="mvae"), 0.5)]
    found = section(ours, theirs, store, tmp_path)
    assert found.text[0].startswith("0 conditions in both stores; 2 in this one alone, 2 in the other alone.")
    apart = {(line[0], line[2]): line[-1] for line in tables(found)["table-beside-alone"].body}
    assert apart == {
        ("this store", "MEME"): "model.k = 10",
        ("this store", "MVAE"): "data digest = d1e5",
        ("the other", "MEME"): "model.k = 30",
        ("the other", "MVAE"): "data digest = 0ther",
    }


def test_a_store_beside_itself_differs_in_nothing(filled: Path, tmp_path: Path) -> None:
    before = filled.read_bytes()
    with Store.open_readonly(filled) as store, Store.open_readonly(filled) as other:
        page = write(store, tmp_path / "out", only=["beside"], other=other)
    assert {float(record["difference"]) for record in records(page.parent)} == {0.0}
    html = page.read_text(encoding="utf-8")
    assert "Beside the other store" in html
    assert "0 in this one alone, 0 in the other alone" in html
    assert (page.parent / "figures" / "beside.svg").exists()
    assert "table-beside-facts" not in html
    assert filled.read_bytes() == before


def test_without_another_store_there_is_no_such_section(page: Path) -> None:
    assert "Beside the other store" not in (page / "index.html").read_text(encoding="utf-8")
