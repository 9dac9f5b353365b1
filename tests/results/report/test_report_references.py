"""Sources of models, data and metrics: as recorded, and named as unrecorded where they are not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmbench.results.records import RunRecord
from mmbench.results.report.contents import TableItem
from mmbench.results.report.sections.references import PUBLISHED, references

Make = Callable[..., RunRecord]


def lines(folder: Path, *runs: RunRecord) -> set[tuple[object, ...]]:
    section = references(folder, runs)
    assert section is not None
    (table,) = section.items
    assert isinstance(table, TableItem)
    return set(table.body)


RECORDED = {
    "references": {
        "dataset": ["LeCun et al., 1998", "Netzer et al., 2011"],
        "terms": "for research",
        "metrics": {"cross_coherence": ["Shi et al., 2019"]},
    }
}


def test_everything_recorded_is_listed_with_the_terms_of_the_data(make: Make, tmp_path: Path) -> None:
    found = lines(tmp_path, make(provenance=RECORDED))
    assert ("dataset", "digits", "LeCun et al., 1998", "for research") in found
    assert ("dataset", "digits", "Netzer et al., 2011", "for research") in found
    assert ("metric", "cross_coherence", "Shi et al., 2019", "") in found
    assert ("metric", "relatedness", "not recorded", "") in found
    (model,) = (line for line in found if line[0] == "model")
    assert model[1:3] == ("meme", "Joy et al., ICLR 2022, https://openreview.net/forum?id=1xXvPrAshao")


def test_older_records_say_that_nothing_is_recorded(make: Make, tmp_path: Path) -> None:
    found = lines(tmp_path, replace(make(), facts={}))
    assert ("dataset", "digits", "not recorded", "not recorded") in found
    assert ("model", "meme", "not recorded", "") in found


def test_what_one_run_has_recorded_serves_for_the_others(make: Make, tmp_path: Path) -> None:
    found = lines(tmp_path, make(seed=0), make(seed=1, provenance=RECORDED))
    assert [line[2] for line in sorted(found) if line[0] == "dataset"] == ["LeCun et al., 1998", "Netzer et al., 2011"]


def test_the_paper_stands_where_its_numbers_are_shown(make: Make, tmp_path: Path) -> None:
    assert PUBLISHED not in {line[2] for line in lines(tmp_path, make())}
    assert PUBLISHED in {line[2] for line in lines(tmp_path, make(dataset="mnist-svhn"))}
