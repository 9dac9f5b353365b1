"""The page on a whole store: every figure is there, every link leads to a file, names are text, gaps are named."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmbench.config import RunSpec
from mmbench.results.report import write
from mmbench.results.report.captions import DASH
from mmbench.results.report.sections.models import capabilities

FIGURES = [
    "digits-common-coherence",
    "digits-common-latent-linear-sample",
    "digits-common-latent-logistic-mean",
    "digits-common-w2-complete",
    "digits-common-w2-split-0.25",
    "digits-common-classes-handwritten-street-complete",
    "digits-common-classes-handwritten-street-split-0.25",
    "digits-common-cross-handwritten-street-complete",
    "digits-common-cross-street-handwritten-complete",
    "digits-common-cross-street-handwritten-split-0.25",
    "digits-common-joint-complete",
    "digits-common-training-2-meme",
    "mnist-svhn-common-coherence-published",
    "mnist-svhn-common-latent-linear-sample-published",
]
TABLES = ["coherence", "coherence-per-class", "joint", "classifiers", "latent-accuracy", "relatedness", "likelihood"]


class Page(HTMLParser):
    """Attributes of the elements, and whether every element that was opened was closed in order."""

    VOID = ("meta", "img", "br", "link", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attrs for name, attrs in self.found if name == tag]


@pytest.fixture(scope="module")
def html(page: Path) -> str:
    return (page / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_there_and_shown(page: Path, html: str, name: str) -> None:
    with Image.open(page / "figures" / f"{name}.png") as image:
        assert image.width > 300
        assert len(set(image.convert("RGB").resize((200, 200)).get_flattened_data())) > 5, "an empty figure"
    assert (page / "figures" / f"{name}.svg").stat().st_size > 1000
    assert f'src="figures/{name}.svg"' in html
    assert f'href="figures/{name}.png"' in html


@pytest.mark.parametrize("name", [f"digits-common-{table}" for table in TABLES] + ["runs", "scores", "models"])
def test_every_table_is_there(page: Path, name: str) -> None:
    assert (page / "tables" / f"{name}.csv").read_text(encoding="utf-8").count("\n") > 1


def test_the_page_is_well_formed_and_every_link_stays_in_the_folder(page: Path, html: str) -> None:
    parsed = Page(html)
    assert not parsed.open
    ids = {attrs["id"] for _, attrs in parsed.found if "id" in attrs}
    targets = [a["href"] for a in parsed.all("a")] + [i["src"] for i in parsed.all("img") + parsed.all("script")]
    targets += [a["href"] for a in parsed.all("link") if a["rel"] != "icon"]
    assert len(targets) > 50
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in ids
        else:
            assert (page / target).is_file(), target
    assert {"assets/page.css", "assets/page.js", "assets/tables.js", "assets/datatables.js"} <= set(targets)
    assert not re.search(r"<script>|<style| style=| on\w+=", html), "nothing of style or behaviour within the page"


def test_ids_are_unique(html: str) -> None:
    ids = [attrs["id"] for _, attrs in Page(html).found if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_every_image_has_a_text(html: str) -> None:
    assert all(len(image["alt"]) > 30 for image in Page(html).all("img"))


def test_the_alternative_text_states_the_finding(html: str) -> None:
    alt = next(i["alt"] for i in Page(html).all("img") if i["src"].endswith("digits-common-coherence.svg"))
    assert "MEME, handwritten → street, f = 1: 0.61 ± 0.01" in alt


def test_names_are_text_never_markup(html: str) -> None:
    assert "&lt;b&gt;" in html
    assert "&lt;B&gt;" in html
    assert "<b>" not in html.lower()


def test_status_counts_and_data_status_are_stated(html: str) -> None:
    assert "15 of 16 done; 1 diverged" in html
    captions = re.findall(r"<figcaption>\n<p>(.*?)</p>", html)
    assert len(captions) >= len(FIGURES)
    assert all("data embedded (train 1,438; test 359)" in caption for caption in captions)


def test_captions_say_how_many_seeds(html: str) -> None:
    assert "Means over 1 to 2 seeds; bands: one standard deviation over seeds (points with one seed have none)." in html
    assert "One seed a point, so no band is drawn." in html  # the runs on mnist-svhn


def test_what_is_missing_is_named_with_its_reason(html: str) -> None:
    missing = html[html.index("<h2>What is missing</h2>") :]
    assert "mvae-digits-split-0.5-s1" in missing
    assert "loss is nan" in missing
    assert "relatedness handwritten → street of mvae (1 run)" in missing
    assert "W2 has a closed form for diagonal posteriors only." in missing
    assert "mnist-svhn, preset common: generations" in missing
    assert "generations, scheme street-only, f = 0.25" in missing


def test_each_figure_can_be_reproduced_from_the_folder(page: Path, html: str) -> None:
    commands = set(re.findall(r"mmbench run --spec (\S+?\.json)", html))
    assert len(commands) == 18  # sixteen runs, and a second seed for <b> and MVAE
    for path in commands:
        values = json.loads((page / path).read_text(encoding="utf-8"))
        assert RunSpec.from_dict(values).to_dict() == values


def test_capabilities_come_from_the_stored_facts(html: str) -> None:
    table = html[html.index('id="table-models"') : html.index('id="runs"')]
    assert "pseudo-inputs" in table
    assert "yes: a bound for each pattern" in table
    assert "up to 2" in table


def test_capabilities_of_newer_and_older_records_stand_in_one_table(make: Any, tmp_path: Path) -> None:
    """Records of before have neither stages nor a rule for the density; theirs are dashes."""
    old = make()
    known = {**old.facts, "density": "conditionals", "density_rule": "by sampling", "private_latents": True}
    new = replace(make(model="telbo"), facts={**known, "stages": ["joint", "single"]})
    (tmp_path / "tables").mkdir()
    table = capabilities(tmp_path, [old, new])
    assert table is not None
    cells = [dict(zip(table.head, row, strict=True)) for row in table.body]
    assert [row["log likelihoods"] for row in cells] == ["yes", "conditionals: by sampling"]
    assert [row["private latents"] for row in cells] == ["no", "yes"]
    assert [row["stages"] for row in cells] == [DASH, "joint, single"]


def test_an_empty_store_gives_a_page_that_says_so(store: Any, tmp_path: Path) -> None:
    index = write(store, tmp_path / "out")
    assert index == tmp_path / "out" / "index.html"
    assert "The store holds no runs yet." in index.read_text(encoding="utf-8")


def test_a_store_without_one_good_run_gives_a_page(store: Any, make: Any, tmp_path: Path) -> None:
    store.add(make(status="failed"))
    store.add(make(model="mmvae", scheme="split", f=0.5, status="refused", provenance={"data": {}}))
    text = write(store, tmp_path / "out").read_text(encoding="utf-8")
    assert "0 of 2 done; 1 failed, 1 refused" in text
    assert "no run has the metric cross_coherence" in text
