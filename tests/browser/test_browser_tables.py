"""Tables in a browser: they sort by number, filter by model, scheme and f, search, turn pages, and without scripts
show everything.
"""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser
RUNS = "#table-runs"


def column(page: Any, name: str, table: str = RUNS) -> list[str]:
    """The texts of the rows that are shown."""
    heads = [text.strip() for text in page.locator(f"{table} thead th").all_inner_texts()]
    index = next(i for i, head in enumerate(heads) if head.split("\n")[0] == name) + 1
    return list(page.locator(f"{table} tbody td:nth-child({index})").all_inner_texts())


def header(page: Any, name: str, table: str = RUNS) -> Any:
    return page.locator(f"{table} thead th", has_text=name).first


def sort_by(page: Any, name: str, state: str, table: str = RUNS) -> None:
    """Click the header, and wait until it says that it is sorted."""
    header(page, name, table).click()
    page.locator(f"{table} thead th[aria-sort={state}]", has_text=name).first.wait_for()


def choices(page: Any, label: str, table: str = RUNS) -> list[str]:
    return list(page.locator(table).get_by_label(label, exact=True).locator("option").all_inner_texts())


def test_a_header_sorts_by_number_and_says_so(opened: Callable[..., Any]) -> None:
    page = opened().page
    before = column(page, "seed")
    sort_by(page, "seed", "ascending")
    ascending = [int(text) for text in column(page, "seed")]
    assert ascending == sorted(ascending)
    assert [int(text) for text in before] != ascending
    assert [str(n) for n in ascending] != sorted(map(str, ascending)), "the data cannot tell numbers from text"
    sort_by(page, "seed", "descending")
    assert [int(text) for text in column(page, "seed")][:3] == [49, 48, 47]


def test_fractions_and_means_with_spread_sort_as_numbers(opened: Callable[..., Any]) -> None:
    page = opened().page
    table = "#digits-common-table-coherence"
    sort_by(page, "f = 0.5", "ascending", table)
    shown = [text.split(" ")[0] for text in column(page, "f = 0.5", table)]
    numbers = [float(text) for text in shown if text[:1].isdigit()]
    assert len(numbers) > 4
    assert numbers == sorted(numbers)
    assert not any(text[:1].isdigit() for text in shown[len(numbers) :]), "absent numbers come last"
    sort_by(page, "f = 0.5", "descending", table)
    again = [text.split(" ")[0] for text in column(page, "f = 0.5", table)]
    assert [float(text) for text in again[: len(numbers)]] == sorted(numbers, reverse=True)


def test_filters_by_model_and_by_f(opened: Callable[..., Any]) -> None:
    page = opened().page
    runs = page.locator(RUNS)
    assert choices(page, "f") == ["any", "0.125", "0.25", "0.5", "1"]
    runs.get_by_label("model", exact=True).select_option("meme")
    assert set(column(page, "model")) == {"meme"}
    assert len(column(page, "model")) == 12
    runs.get_by_label("f", exact=True).select_option("0.25")
    assert set(column(page, "f")) == {"0.25"}
    assert len(column(page, "f")) == 5
    assert runs.get_by_role("status").inner_text() == "1 to 5 of 5 rows (of 67 in all)"
    runs.get_by_label("dataset", exact=True).select_option("mnist-svhn")
    runs.get_by_label("scheme", exact=True).select_option("complete")
    assert runs.locator("tbody").inner_text().strip() == "No row matches."


def test_a_table_of_scores_filters_by_model_and_scheme(opened: Callable[..., Any]) -> None:
    page = opened().page
    table = "#digits-common-table-coherence"
    page.locator(table).get_by_label("scheme", exact=True).select_option("street-only")
    page.locator(table).get_by_label("model", exact=True).select_option("MEME")
    assert {text.replace("\n", "") for text in column(page, "model", table)} == {"MEMESTREET"}


def test_the_search_box_and_the_pages(opened: Callable[..., Any]) -> None:
    page = opened().page
    runs = page.locator(RUNS)
    assert len(column(page, "run")) == 50
    runs.get_by_role("link", name="2", exact=True).click()
    assert len(column(page, "run")) == 17
    runs.get_by_label("search").fill("mvae-digits-complete")
    assert column(page, "model") == ["mvae"]


def test_paper_gets_every_row(opened: Callable[..., Any]) -> None:
    page = opened().page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(column(page, "run")) == 67
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(column(page, "run")) == 50


def test_names_that_are_markup_stay_text(opened: Callable[..., Any]) -> None:
    """Whatever alert would run is a dialog, and `opened` fails on it."""
    page = opened().page
    for name in ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>"):
        assert name in choices(page, "model")
        page.locator(RUNS).get_by_label("model", exact=True).select_option(name)
        assert set(column(page, "model")) == {name}
        page.locator(RUNS).get_by_label("search").fill(name)
        assert set(column(page, "model")) == {name}
        page.locator(RUNS).get_by_label("search").fill("")
    assert page.locator("script:not([src])").count() == 0
    assert page.locator("img[src=x]").count() == 0


def test_without_scripts_the_tables_are_whole_and_plain(opened: Callable[..., Any]) -> None:
    page = opened(java_script_enabled=False).page
    assert len(column(page, "run")) == 67
    assert page.locator("select, input, .dt-container, #theme:visible").count() == 0
