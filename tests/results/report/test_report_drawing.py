"""Figures: what is drawn is what is stored, the same bytes every time, and nothing outside is touched."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex

from mmbench.results.records import RunRecord
from mmbench.results.report import write
from mmbench.results.report.drawing.against_f import Panel, Published, Reference, against_f, by_scheme
from mmbench.results.report.drawing.grids import COLUMNS, is_images, mosaic
from mmbench.results.report.drawing.relatedness import Histogram, Matrix, distance_matrices, histograms
from mmbench.results.report.drawing.style import COLOURS, DIFFERENT, OTHERS, SAME, applied, colour
from mmbench.results.report.groups import groups_of
from mmbench.results.report.summaries import rows_of
from mmbench.results.store import Store

DRAW = """
import sys
from pathlib import Path
from mmbench.results.report import write
from mmbench.results.store import Store
with Store.open_readonly(sys.argv[1]) as store:
    write(store, Path(sys.argv[2]))
assert "torch" not in sys.modules, "torch was imported"
assert "matplotlib.pyplot" not in sys.modules, "pyplot was imported"
"""


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_drawn_twice_the_bytes_are_the_same_and_torch_stays_out(
    make: Callable[..., RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make(), make(seed=1, coherence=0.65), make(scheme="split", f=0.5), make(model="mvae", coherence=0.3)]
    for name, ordered in (("a.db", runs), ("b.db", runs[::-1])):
        with Store.open(tmp_path / name) as store:
            for run in ordered:
                store.add(run)
    monkeypatch.setitem(mpl.rcParams, "lines.linewidth", 9.0)  # a user's own style
    with Store.open_readonly(tmp_path / "a.db") as store:
        write(store, tmp_path / "first")
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    arguments = [sys.executable, "-W", "error", "-c", DRAW, tmp_path / "b.db", tmp_path / "second"]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = bytes_of(tmp_path / "first"), bytes_of(tmp_path / "second")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_the_users_style_is_put_back() -> None:
    before = dict(mpl.rcParams)
    with applied():
        assert mpl.rcParams["axes.grid"] is True
    assert dict(mpl.rcParams) == before


def panel_of(runs: list[RunRecord], **values: tuple[Reference | Published, ...]) -> Panel:
    rows = [r for r in rows_of(runs, "cross_coherence") if (r.estimator, r.given) == ("micro", "handwritten")]
    return Panel("handwritten → street", tuple(rows), **values)


def test_curves_show_the_means_their_band_and_the_references(make: Callable[..., RunRecord]) -> None:
    runs = [make(seed=s, scheme=c, f=f, coherence=v + 0.04 * s)
            for s in (0, 1) for c, f, v in (("complete", 1.0, 0.6), ("split", 0.5, 0.4))]  # fmt: skip
    (group,) = groups_of(runs)
    panel = panel_of(runs, references=(Reference("majority class", 0.11),))
    figure = against_f([panel], group.names, ylabel="coherence")
    (ax,) = figure.axes
    line = next(line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o")
    assert list(line.get_xdata()) == [1.0, 0.5]
    np.testing.assert_allclose(line.get_ydata(), [0.62, 0.42])
    assert to_hex(line.get_color()).upper() == colour("meme")
    (band,) = ax.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(0.62 + 0.04 / np.sqrt(2))
    assert heights.min() == pytest.approx(0.42 - 0.04 / np.sqrt(2))
    assert any(np.allclose(line.get_ydata(), 0.11) for line in ax.lines)
    assert "majority class 0.110" in [text.get_text() for text in ax.texts]
    assert ax.get_xscale() == "log"


def test_one_seed_draws_no_band(make: Callable[..., RunRecord]) -> None:
    runs = [make(), make(scheme="split", f=0.5)]
    (group,) = groups_of(runs)
    (ax,) = against_f([panel_of(runs)], group.names, ylabel="coherence").axes
    assert not ax.collections


def test_published_numbers_are_dashed_beside(make: Callable[..., RunRecord]) -> None:
    runs = [make(), make(scheme="split", f=0.5)]
    (group,) = groups_of(runs)
    numbers = (Published("meme", "split", 0.5, 0.625, 0.008), Published("meme", "complete", 1.0, 0.7, None),
               Published("meme", "svhn-only", 0.5, 0.1, 0.1))  # fmt: skip
    figure = by_scheme([panel_of(runs, published=numbers)], group.names, ylabel="coherence")
    (ax,) = figure.axes
    (dashed,) = [line for line in ax.lines if line.is_dashed() and line.get_marker() == "o"]
    assert list(dashed.get_ydata()) == [0.7, 0.625]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["MEME", "MEME (published)"]


def test_histograms_are_densities_orange_for_same_and_blue_for_different() -> None:
    counts, edges = np.array([[3.0, 1.0], [0.0, 8.0]]), np.array([0.0, 0.5, 1.0])
    (ax,) = histograms({"a and b": [Histogram("MEME", counts, edges)]}).axes
    same, different = ax.patches[0], ax.patches[2]
    np.testing.assert_allclose(same.get_data().values, [1.5, 0.5])
    np.testing.assert_allclose(different.get_data().values, [0.0, 2.0])
    assert (to_hex(same.get_facecolor()).upper(), to_hex(different.get_facecolor()).upper()) == (SAME, DIFFERENT)


def test_matrices_share_one_colour_scale() -> None:
    tree = np.array([[0, 1, 1.0, 2], [2, 3, 4.0, 3]])
    members = [Matrix("A", np.full((3, 3), 2.0), tree), Matrix("B", np.arange(9.0).reshape(3, 3), None)]
    figure = distance_matrices(members, given="a", target="b")
    images = [ax.images[0] for ax in figure.axes if ax.images]
    assert [image.get_clim() for image in images[:2]] == [(0.0, 8.0), (0.0, 8.0)]
    heights = [max(line.get_ydata()) for line in figure.axes[2].lines]
    assert sorted(heights) == [1.0, 4.0]


def test_a_mosaic_shows_the_stored_pixels() -> None:
    grey = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2) * 80
    colours = np.zeros((2, 3, 4, 4), np.float32)
    colours[1, 0] = 2.0  # beyond the range: clipped
    picture = mosaic([grey, colours], side=4, lead=True)
    assert picture.shape == (4 + 3 + 4, 4 + 1 + 4, 3)  # two gaps more below the inputs
    np.testing.assert_allclose(picture[:4, :4, 0], np.kron([[0, 80], [160, 240]], np.ones((2, 2))) / 255)
    np.testing.assert_array_equal(picture[7:, :4], 0)
    np.testing.assert_array_equal(picture[7:, 5:], np.broadcast_to([1.0, 0, 0], (4, 4, 3)))
    np.testing.assert_array_equal(picture[:4, 5:], 1)  # no second input: white


def test_of_many_images_evenly_spaced_ones_are_shown() -> None:
    many = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    picture = mosaic([many], side=1)
    shown = (picture[0, ::2, 0] * 255).round().astype(int)
    assert len(shown) == COLUMNS
    assert (shown[0], shown[-1]) == (0, 19)


def test_vectors_are_no_images() -> None:
    assert is_images(np.zeros((5, 3, 8, 8)))
    assert not is_images(np.zeros((5, 64)))
    assert not is_images(np.zeros((5, 7, 8, 8)))
    assert not is_images(np.zeros((0, 3, 8, 8)))


def test_no_two_models_share_a_colour_and_none_from_outside_takes_one() -> None:
    assert len(set(COLOURS.values())) == len(COLOURS)
    assert not set(OTHERS) & set(COLOURS.values())
    assert colour("a model from elsewhere") in OTHERS
