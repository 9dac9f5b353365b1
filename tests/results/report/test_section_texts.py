"""Captions in the report: as they stand, whatever is in them, beside the images that they are about."""

import csv
import html
import re
import xml.dom.minidom
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmbench.results.records import ArrayRecord, RunRecord
from mmbench.results.report import write
from mmbench.results.report.contents import FigureItem, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.canvas import save
from mmbench.results.report.drawing.style import applied, drawable
from mmbench.results.report.drawing.texts import LINES, Answer, Entry, texts_beside
from mmbench.results.report.groups import groups_of
from mmbench.results.report.sections.exhibits import kind_of, nearest_rows, texts_of
from mmbench.results.report.sections.generations import generations
from mmbench.results.report.source import Records
from mmbench.results.store import Store

Make = Callable[..., RunRecord]
R, G, J, L = 4, 2, 3, 6
NASTY = (
    "<script>alert(1)</script>",
    r"costs $5_a and $\alpha$ \frac{1}{2} & 100%",
    "_leading ^ {x} \x07 \N{BIRD} \u202e",
    "",
)


def texts(*lead: int, say: str = "a bird") -> list[Any]:
    """Nested lists of texts that say where they stand: `a bird 0.1`."""
    return (
        np.array([f"{say} {'.'.join(map(str, place))}" for place in np.ndindex(*lead)], object).reshape(lead).tolist()
    )


def array(name: str, value: np.ndarray, **meta: Any) -> ArrayRecord:
    given, _, target = name.partition("/")[2].rpartition("|")
    return ArrayRecord("samples", name, value, {"given": given, "target": target, **meta})


def captioned(kind: str, inputs: Sequence[str] = NASTY) -> tuple[ArrayRecord, ...]:
    """Arrays of `samples` for a caption and an image, which is an image or a vector."""
    rng = np.random.default_rng(1)
    tokens = {lead: np.zeros((*lead, L), np.int32) for lead in ((R,), (R, G), (J,))}

    def image(*lead: int) -> np.ndarray:
        if kind == "vector":
            return rng.normal(size=(*lead, 8)).astype(np.float32)
        return rng.integers(0, 256, (*lead, 3, 8, 8)).astype(np.uint8)

    real = image(R)
    made = image(R, G)
    if kind == "vector":  # rows 0 to 2 make vectors that are nearest to their own row, row 3 to that of row 0
        made = np.repeat(real[[0, 1, 2, 0]][:, None], G, axis=1) * 1.1
    return (
        array("input/image", real),
        array("input/caption", tokens[(R,)], texts=list(inputs)),
        array("cross/image|caption", tokens[R, G], texts=texts(R, G)),
        array("cross/caption|image", made),
        array("joint/image", image(J), prior="N(0, I)"),
        array("joint/caption", tokens[(J,)], prior="N(0, I)", texts=texts(J, say="a dream")),
    )


def shown(runs: Sequence[RunRecord], folder: Path) -> tuple[dict[str, FigureItem], TableItem, Desk]:
    (group,) = groups_of(runs)
    desk = Desk(Records(runs), folder, group, [])
    with applied():
        section = generations(desk)
    assert section is not None
    (table,) = [item for item in section.items if isinstance(item, TableItem)]
    return {item.title: item for item in section.items if isinstance(item, FigureItem)}, table, desk


def words_in(svg: Path) -> list[str]:
    """The texts of a figure: matplotlib writes each as a comment beside its outlines."""
    return [html.unescape(text) for text in re.findall(r"<!-- (.*?) -->", svg.read_text(encoding="utf-8"), re.DOTALL)]


AT = ", complete rows (f = 1)"


# Reading --------------------------------------------------------------------------------------------------------------
def test_arrays_say_what_they_are() -> None:
    tokens = np.zeros((2, 3, 5), np.int32)
    assert kind_of(array("cross/a|b", tokens, texts=texts(2, 3))) == "text"
    assert kind_of(array("cross/a|b", tokens)) == "vector"  # nothing says what the tokens mean
    assert kind_of(array("input/a", np.zeros((2, 3, 8, 8), np.uint8))) == "image"
    assert kind_of(array("input/a", np.zeros((2, 64), np.float32))) == "vector"


@pytest.mark.parametrize("held", [["one"], ["one", 2], [["one"], ["two", "three"]], "one", None, [["one"], ["two"]]])
def test_texts_that_do_not_fit_their_array_are_no_texts(held: Any) -> None:
    assert texts_of(array("input/a", np.zeros((2, 5), np.int32), texts=held)) is None


def test_what_no_page_should_hold_is_replaced() -> None:
    found = texts_of(array("input/a", np.zeros((1, 5), np.int32), texts=["a\x00b\ud800c\u202ed\u00a0e\nf"]))
    assert found is not None
    assert found.tolist() == ["a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d e f"]


def test_nearest_rows_are_by_angle_about_the_mean() -> None:
    real = np.array([[101.0, 0.0], [99.0, 0.0], [100.0, 1.0]])  # far from zero, where all angles would be alike
    made = np.array([[[100.5, 0.33], [97.0, 0.3]], [[100.0, 9.0], [100.1, 0.9]]])
    assert nearest_rows(made, real).tolist() == [[0, 1], [2, 2]]


def test_a_vector_without_direction_is_no_error() -> None:
    assert nearest_rows(np.zeros((1, 2)), np.array([[1.0, 0.0], [-1.0, 0.0]])).tolist() == [0]


# Figures --------------------------------------------------------------------------------------------------------------
def test_images_have_their_captions_beside_them(make: Make, tmp_path: Path) -> None:
    run = replace(make(dataset="digits"), arrays=captioned("image"))
    found, table, desk = shown([run], tmp_path)
    assert set(found) == {f"image → caption{AT}", f"caption → image{AT}", f"Joint samples{AT}"}
    figure = found[f"image → caption{AT}"]
    assert figure.number == ""  # the paper shows CUB alone
    assert figure.alt.endswith(
        'The first generation for the first input, "<script>alert(1)</script>": MEME: "a bird 0.0".'
    )
    words = words_in(tmp_path / figure.drawing.svg)
    assert [w for w in words if "a bird" in w] == [f"\N{BULLET} a bird {i}.{j}" for i in range(R) for j in range(G)]
    assert not desk.missing
    assert [row[-1] for row in table.body] == [
        *(f"a bird {i}.0" for i in range(R)),
        *(f"a dream {j}" for j in range(J)),
    ]
    with (tmp_path / table.csv).open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == R * G + J
    assert lines[1]["generation"] == "a bird 0.1"
    assert lines[0]["input"] == "(image; real caption: <script>alert(1)</script>)"


def test_on_cub_the_figures_have_the_papers_numbers(make: Make, tmp_path: Path) -> None:
    run = make()
    run = replace(run, spec={**run.spec, "dataset": "cub"}, arrays=captioned("vector"))
    found, _, _ = shown([run], tmp_path)
    assert {title: item.number for title, item in found.items()} == {
        f"image → caption{AT}": "Figure 18",
        f"caption → image{AT}": "Figure 4",
        f"Joint samples{AT}": "Figure 4",
    }


def test_vectors_are_told_in_words_and_the_figure_says_so(make: Make, tmp_path: Path) -> None:
    inputs = ("a red bird", "a blue bird", "a green bird", "a black bird")
    run = replace(make(), arrays=captioned("vector", inputs))
    found, table, desk = shown([run], tmp_path)
    given = found[f"image → caption{AT}"]
    assert any("no picture: the real caption of the same row stands for it" in text for text in given.caption)
    words = words_in(tmp_path / given.drawing.svg)
    assert "a red bird" in words
    assert "row 1, the real caption of this row" in words
    target = found[f"caption → image{AT}"]
    assert target.alt == "Share of image vectors, generated from caption, nearest to their own row: MEME 0.75."
    assert any("by chance 0.25 would be nearest to their own row" in text for text in target.caption)
    words = words_in(tmp_path / target.drawing.svg)
    assert words.count("\N{BULLET} its own row") == 3 * G
    assert words.count("\N{BULLET} row 1: a red bird") == G
    joint = found[f"Joint samples{AT}"]
    assert "Of image, feature vectors, there is no picture." in joint.caption
    assert "N(0, I); image: no picture" in words_in(tmp_path / joint.drawing.svg)
    assert not desk.missing
    assert "row 1: a red bird" in [row[-1] for row in table.body]


def test_every_sign_of_a_caption_is_drawn_as_it_stands(make: Make, tmp_path: Path) -> None:
    run = replace(make(), arrays=captioned("vector"))
    found, _, _ = shown([run], tmp_path)
    svg = tmp_path / found[f"image → caption{AT}"].drawing.svg
    words = " ".join(words_in(svg))
    assert "<script>alert(1)</script>" in words
    assert r"costs $5_a and $\alpha$" in words  # in two lines, no mathematics
    assert "_leading ^ {x}" in words
    assert "(empty)" in words
    xml.dom.minidom.parse(str(svg))  # whole, and no character that XML forbids
    assert "<script" not in svg.read_text(encoding="utf-8")


def test_the_page_escapes_captions_wherever_they_stand(make: Make, store: Store, tmp_path: Path) -> None:
    arrays = tuple(
        replace(a, meta={**a.meta, "texts": np.broadcast_to(NASTY[0], np.shape(a.meta["texts"])).tolist()})
        if "texts" in a.meta
        else a
        for a in captioned("image")
    )
    store.add(replace(make(), arrays=arrays))
    page = write(store, tmp_path / "out", only=["generations"])
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= R + J
    (tex,) = (page.parent / "tables").glob("*-table-texts.tex")
    assert r"\textless{}script\textgreater{}alert(1)" in tex.read_text(encoding="utf-8")


def test_a_caption_that_is_a_formula_is_none_in_a_spreadsheet(make: Make, tmp_path: Path) -> None:
    run = replace(make(), arrays=captioned("image", ("=1+1", "b", "c", "d")))
    _, table, _ = shown([run], tmp_path)
    (found,) = [row for row in table.body if row[3] == "1" and row[4] == "image"]
    assert found[5] == "(image; real caption: =1+1)"
    vectors = replace(make(), arrays=captioned("vector", ("=1+1", "b", "c", "d")))
    _, table, _ = shown([vectors], tmp_path)
    with (tmp_path / table.csv).open(encoding="utf-8") as file:
        assert {line["input"] for line in csv.DictReader(file) if line["given"] == "caption"} == {
            "'=1+1",
            "b",
            "c",
            "d",
        }


def test_inputs_and_generations_that_do_not_fit_are_missing_and_no_error(make: Make, tmp_path: Path) -> None:
    broken = tuple(
        replace(a, value=a.value[:2], meta={**a.meta, "texts": a.meta["texts"][:2]})
        if a.name == "cross/image|caption"
        else a
        for a in captioned("image")
    )
    whole = replace(make(model="mvae"), arrays=captioned("image"))
    found, _, desk = shown([replace(make(), arrays=broken), whole], tmp_path)
    assert ["cross/image|caption of MEME" in m.what for m in desk.missing] == [True]
    assert '"a bird 0.0"' in found[f"image → caption{AT}"].alt


def test_vectors_alone_are_missing_and_no_error(make: Make, tmp_path: Path) -> None:
    bare = tuple(a for a in captioned("vector") if "caption" not in a.name or a.name == "cross/caption|image")
    (group,) = groups_of([run := replace(make(), arrays=bare)])
    desk = Desk(Records([run]), tmp_path, group, [])
    with applied():
        assert generations(desk) is None
    assert any("they are no images, or have no inputs" in m.why for m in desk.missing)


def test_one_model_of_many_is_left_out_by_name(make: Make, tmp_path: Path) -> None:
    models = ("mvae", "mmvae", "mopoe", "mmjsd", "mvtcae", "vsae", "jmvae")
    runs = [replace(make(model=model), arrays=captioned("image")) for model in models]
    found, _, _ = shown(runs, tmp_path)
    figure = found[f"image → caption{AT}"]
    assert figure.caption[-2] == "Not drawn, to stay readable: VSAE."
    assert found[f"image → caption{AT}"].drawing.height < 1600


# Drawing --------------------------------------------------------------------------------------------------------------
def texts_of_figure(entries: Sequence[Entry]) -> Mapping[str, tuple[float, float]]:
    (ax,) = texts_beside(entries).axes
    return {text.get_text(): text.get_position() for text in ax.texts}


def test_answers_stand_right_of_their_input_and_below_one_another() -> None:
    entries = [
        Entry("first", (Answer("A", "mvae", texts=("one",)), Answer("B", "meme", texts=("two",)))),
        Entry(np.zeros((1, 4, 4)), (Answer("A", "mvae", texts=("three",)),), note="row 2"),
    ]
    at = texts_of_figure(entries)
    assert at["first"][0] < at["one"][0] == at["two"][0] == at["three"][0]
    assert at["one"][1] == at["first"][1] < at["two"][1] < at["three"][1] < at["row 2"][1]


def test_a_picture_keeps_its_proportions() -> None:
    entry = Entry("given", (Answer("A", "mvae", pictures=(np.zeros((3, 4, 8), np.uint8),)),))
    (image,) = texts_beside([entry]).axes[0].images
    left, right, bottom, top = image.get_extent()
    assert (right - left) == pytest.approx(2 * (bottom - top))
    assert image.get_array().shape == (4, 8, 3)


def test_a_text_without_end_ends_in_dots_and_stays_in_the_figure(tmp_path: Path) -> None:
    figure = texts_beside([Entry("w" * 4000, (Answer("A", "mvae", texts=("word " * 900,)),))])
    (ax,) = figure.axes
    lines = [text.get_text() for text in ax.texts]
    assert len(lines) == 2 * LINES + 1
    assert sum(line.endswith("\N{HORIZONTAL ELLIPSIS}") for line in lines) == 2
    with applied():
        drawing = save(figure, tmp_path, "long")
    assert drawing.height < 200


def test_signs_without_a_glyph_are_replaced_so_that_nothing_warns() -> None:
    sign, accented = "\N{REPLACEMENT CHARACTER}", "\N{LATIN SMALL LETTER E WITH ACUTE}"
    assert drawable(f"\N{BIRD}\N{CJK UNIFIED IDEOGRAPH-9CE5} {accented}\x07") == f"{sign}{sign} {accented}{sign}"


def test_what_would_be_broken_mathematics_is_drawn_as_text(tmp_path: Path) -> None:
    figure = texts_beside([Entry(r"$\frac{$ here", (Answer(r"$\x$", "mvae", texts=(r"$_{$",)),), note="$^$")])
    with applied():
        drawing = save(figure, tmp_path, "signs")
    assert {r"$\frac{$ here", r"$\x$", r"$_{$", "$^$"} <= set(words_in(tmp_path / drawing.svg))
