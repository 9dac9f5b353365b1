"""The page in a browser: light and dark, narrow, by keyboard, for a screen reader; a picture of every section."""

import os
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(22, 25, 29)"


def ground(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def focused(page: Any, script: str) -> Any:
    return page.evaluate(f"(() => {{ const e = document.activeElement; return {script}; }})()")


def test_the_page_follows_the_system(opened: Callable[..., Any]) -> None:
    assert ground(opened().page) == LIGHT
    assert ground(opened(dark=True).page) == DARK


def test_the_button_switches_and_the_choice_is_kept(opened: Callable[..., Any]) -> None:
    page = opened().page
    button = page.get_by_role("button", name="Dark mode")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert ground(page) == DARK
    assert button.get_attribute("aria-pressed") == "true"
    page.reload()
    assert ground(page) == DARK
    button.click()
    assert ground(page) == LIGHT


def test_the_button_works_where_storage_is_forbidden(opened: Callable[..., Any]) -> None:
    page = opened(dark=True).page
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } })")
    page.reload()
    page.get_by_role("button", name="Dark mode").click()
    assert ground(page) == LIGHT


def test_figures_lie_on_white_in_the_dark(opened: Callable[..., Any]) -> None:
    page = opened(dark=True).page
    sheets = page.evaluate("[...document.querySelectorAll('.sheet')].map(s => getComputedStyle(s).backgroundColor)")
    assert len(sheets) > 10
    assert set(sheets) == {LIGHT}


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_overflows(opened: Callable[..., Any], width: int) -> None:
    page = opened(width=width).page
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    inside = "!e.closest('.scroll, .sheet, pre') && e.getBoundingClientRect().right > innerWidth + 1"
    found = page.evaluate(f"[...document.querySelectorAll('main *')].filter(e => {inside}).map(e => e.outerHTML)")
    assert found == []
    sections = "[...document.querySelectorAll('section')].filter(s => s.scrollWidth > s.clientWidth + 1).map(s => s.id)"
    assert page.evaluate(sections) == []


def test_every_figure_is_shown(opened: Callable[..., Any]) -> None:
    page = opened().page
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every(i => i.complete)")
    assert page.evaluate("document.images.length") > 10
    assert page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)") == []
    assert page.evaluate("[...document.images].every(i => i.src.endsWith('.svg'))")


def test_the_keyboard_reaches_skip_link_filters_and_sorting(opened: Callable[..., Any]) -> None:
    page = opened().page
    page.keyboard.press("Tab")
    assert focused(page, "e.textContent") == "Skip to the report"
    assert focused(page, "e.getBoundingClientRect().top >= 0"), "the skip link is seen when it has the focus"
    page.keyboard.press("Enter")
    assert focused(page, "e.id") == "top"
    seen: list[str] = []
    while (tag := focused(page, "e.tagName")) != "SELECT":
        page.keyboard.press("Tab")
        seen.append(tag)
        assert len(seen) < 200
    assert focused(page, "e.labels[0].firstChild.textContent") == "model"
    page.keyboard.press("ArrowDown")
    assert focused(page, "e.selectedIndex") == 1
    while not focused(page, "e.closest('th') !== null"):
        page.keyboard.press("Tab")
        seen.append("")
        assert len(seen) < 200
    assert focused(page, "getComputedStyle(e).outlineStyle") == "solid", "the focus is seen"
    for state in ("ascending", "descending"):
        page.keyboard.press("Enter")
        page.wait_for_function(f"document.activeElement.closest('th').getAttribute('aria-sort') === '{state}'")


def test_names_and_headings_for_a_screen_reader(opened: Callable[..., Any]) -> None:
    page = opened().page
    assert page.evaluate("[...document.images].filter(i => i.alt.length < 30).map(i => i.src)") == []
    assert page.evaluate("document.querySelectorAll('select').length") > 10
    fields = "[...document.querySelectorAll('select, input')].filter(e => !e.labels.length).length"
    assert page.evaluate(fields) == 0
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert [(a, b) for a, b in pairwise(levels) if b > a + 1] == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    for role in ("main", "navigation"):
        assert page.get_by_role(role).count() >= 1
    nameless = "[...document.querySelectorAll('a, button, summary')].filter(e => !(e.textContent.trim() || "
    nameless += "e.getAttribute('aria-label') || e.querySelector('img[alt]'))).length"
    assert page.evaluate(nameless) == 0
    regions = "[...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0 && e.getAttribute('aria-label'))"
    assert page.evaluate(regions)


def test_a_link_to_something_folded_opens_it(opened: Callable[..., Any]) -> None:
    page = opened().page
    folded = page.locator("#missing details:not([open])").first
    name = folded.get_attribute("id")
    assert name.startswith("missing-")
    page.locator(f"#holdings a[href='#{name}']").click()
    page.locator(f"#{name}[open]").wait_for()


def test_a_command_is_copied_or_selected(opened: Callable[..., Any]) -> None:
    page = opened().page
    command = page.locator("#holdings .command").first
    button = command.get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#holdings .command button').textContent !== 'Copy'")
    assert button.inner_text() in ("Copied", "Selected")
    if button.inner_text() == "Selected":
        assert page.evaluate("getSelection().toString()") == command.locator("code").inner_text()


def test_motion_is_reduced_where_the_reader_asks(opened: Callable[..., Any]) -> None:
    motion = "getComputedStyle(document.documentElement).scrollBehavior"
    assert opened().page.evaluate(motion) == "smooth"
    assert opened(reduced_motion="reduce").page.evaluate(motion) == "auto"


def test_paper_shows_the_report_alone_in_light_colours(opened: Callable[..., Any]) -> None:
    page = opened(dark=True).page
    page.get_by_role("button", name="Dark mode").click()
    page.get_by_role("button", name="Dark mode").click()  # dark by choice, too
    page.emulate_media(media="print")
    assert ground(page) == LIGHT
    assert page.locator("nav.contents").is_hidden()
    assert page.locator(".filters").first.is_hidden()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_picture_of_every_section(opened: Callable[..., Any], tmp_path: Path, width: int, dark: bool) -> None:
    """To be looked at: they lie in `$MMBENCH_SHOTS`, or in the test's own folder."""
    page = opened(width=width, dark=dark, reduced_motion="reduce").page
    folder = Path(os.environ.get("MMBENCH_SHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every(i => i.complete)")
    mode = "dark" if dark else "light"
    page.screenshot(path=folder / f"{width}-{mode}-top.png")
    names = page.evaluate(
        "[...document.querySelectorAll('section')].filter(s => !s.querySelector('section')).map(s => s.id)"
    )
    assert len(names) > 10
    for number, name in enumerate(names):
        path = folder / f"{width}-{mode}-{number:02d}-{re.sub(r'[^a-z0-9-]', '-', name)}.png"
        page.locator(f"section[id='{name}']").screenshot(path=path)
        assert path.stat().st_size > 2000
