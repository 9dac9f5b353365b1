"""A report on hand-made records, opened from disk in Debian's Chromium. Without a browser these tests are skipped with
the reason; where `CI=true` that is a failure.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mmbench.results.report import write
from mmbench.results.store import Store

SCRIPT = "<script>alert(1)</script>"
HANDLER = "<img src=x onerror=alert(1)>"  # runs where a <script> set as markup would not
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run the browser tests: {reason}")
    pytest.skip(reason)


@dataclass
class Opened:
    """A page, and what it complained of or asked for since it was opened."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def makers() -> ModuleType:
    """The makers of records that the report's own tests use."""
    path = Path(__file__).parents[1] / "results" / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("browser_makers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, started once."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _without("playwright is not installed; pip install 'mmbench[browser]'.")
    path = os.environ.get("MMBENCH_CHROMIUM") or shutil.which("chromium")
    if path is None:
        _without("no chromium on the PATH; apt-get install chromium, or set MMBENCH_CHROMIUM.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def site(makers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`index.html` of a report with names that are markup, and enough runs for a second page of the table."""
    made = makers.many()
    made += [makers.Made(SCRIPT, scheme=s, f=f, coherence=0.3) for s, f in (("complete", 1.0), ("split", 0.5))]
    made += [makers.Made(HANDLER, coherence=0.35, arrays=False)]
    made += [makers.Made("mmvae", scheme="split", f=0.125, seed=seed, arrays=False) for seed in range(2, 50)]
    path = tmp_path_factory.mktemp("browser") / "results.db"
    with Store.open(path) as store:
        for each in made:
            store.add(makers.record(each))
    with Store.open_readonly(path) as store:
        return write(store, path.with_name("report"))


@pytest.fixture
def opened(browser: Any, site: Path) -> Iterator[Callable[..., Opened]]:
    """`opened(width=360, dark=True)` opens the report; whatever it complains of fails the test at its end."""
    contexts, pages = [], []

    def open_page(*, width: int = 1280, dark: bool = False, **options: Any) -> Opened:
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, **options)
        contexts.append(context)
        context.set_default_timeout(60_000)  # a screenshot of a long section takes its time on a busy machine
        found = Opened(context.new_page())
        pages.append(found)
        found.page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
        found.page.on("pageerror", lambda error: found.complaints.append(f"error: {error}"))
        found.page.on("dialog", lambda dialog: (found.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("requestfailed", lambda request: found.complaints.append(f"failed: {request.url}"))
        found.page.goto(site.as_uri())
        return found

    yield open_page
    for context in contexts:
        context.close()
    assert [page.complaints for page in pages] == [[] for _ in pages]
    assert all(url.startswith(("file://", "data:", "blob:")) for page in pages for url in page.requests)
