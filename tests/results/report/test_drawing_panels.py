"""The drawings of studies, encodings, classes and gradients: what is drawn is what was given."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from mmbench.results.report.drawing.averaging import Mean
from mmbench.results.report.drawing.canvas import new_figure, titled
from mmbench.results.report.drawing.embeddings import CLASS_COLOURS, Cloud, clouds
from mmbench.results.report.drawing.heat_map import Heat, heat_map
from mmbench.results.report.drawing.relatedness import ACROSS, Histogram, Matrix, distance_matrices, histograms
from mmbench.results.report.drawing.signal_to_noise import SnrLine, signal_to_noise_curves
from mmbench.results.report.drawing.studies import StudyLine, StudyPanel, against_setting
from mmbench.results.report.drawing.style import DIFFERENT, SAME


def study(*values: float) -> StudyPanel:
    return StudyPanel("coherence", (StudyLine("split", 0.5, tuple((v, 0.3, 0.1) for v in values)),))


@pytest.mark.parametrize(("values", "scale"), [((1.0, 10.0, 100.0), "log"), ((8.0, 16.0, 32.0), "linear")])
def test_a_setting_over_a_decade_has_a_logarithmic_axis(values: tuple[float, ...], scale: str) -> None:
    (ax,) = against_setting([study(*values)], setting="model.k").axes
    assert ax.get_xscale() == scale
    assert list(ax.lines[0].get_xdata()) == list(values)
    assert ax.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(0.4)


def test_labels_that_would_run_into_one_another_are_left_out() -> None:
    (ax,) = against_setting([study(1.0, 10.0, 50.0, 100.0, 128.0)], setting="model.pseudo_inputs").axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "10", "50", "128"]


def test_points_have_the_colour_of_their_class_and_the_marker_of_their_modality() -> None:
    plane = np.arange(6.0).reshape(3, 2)
    cloud = Cloud("MEME", {"a": plane, "b": plane + 9}, np.array([4, 2, 4]))
    ax = clouds([cloud]).axes[0]
    first, second = ax.collections
    assert [to_hex(c, keep_alpha=False).upper() for c in first.get_facecolors()] == [
        CLASS_COLOURS[1].upper(), CLASS_COLOURS[0].upper(), CLASS_COLOURS[1].upper(),
    ]  # fmt: skip
    np.testing.assert_array_equal(second.get_offsets(), plane + 9)
    assert first.get_rasterized()
    assert len(first.get_paths()[0].vertices) != len(second.get_paths()[0].vertices)  # another marker


def test_where_classes_outnumber_colours_the_modalities_are_coloured() -> None:
    plane = np.zeros((11, 2))
    figure = clouds([Cloud("MEME", {"a": plane, "b": plane}, np.arange(11))])
    faces = [to_hex(c.get_facecolors()[0], keep_alpha=False).upper() for c in figure.axes[0].collections]
    assert faces == [DIFFERENT, SAME]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "b"]


def test_no_two_classes_share_a_colour() -> None:
    assert len(set(CLASS_COLOURS)) == 10


def test_a_heat_map_has_one_scale_and_its_numbers() -> None:
    values = np.array([[0.25, 0.996], [np.nan, 0.0]])
    figure = heat_map([Heat("a → b", values)], ["MEME", "MVAE"], ["0", "1"], label="coherence", xlabel="class")
    ax = figure.axes[0]
    assert ax.images[0].get_clim() == (0.0, 1.0)
    assert [t.get_text() for t in ax.texts] == [".25", "1", ".00"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["MEME", "MVAE"]


def mean(values: list[float], sds: list[float], seeds: int) -> Mean:
    steps = np.arange(1.0, len(values) + 1)
    return Mean(steps, np.array(values), np.array(sds), np.full(len(values), seeds), seeds)


def test_estimators_have_the_papers_colours_and_one_seed_has_no_band() -> None:
    lines = [
        SnrLine("full", "encoder", "a", mean([0.1, 0.2], [np.nan, np.nan], 1)),
        SnrLine("stop-gradient", "encoder", "a", mean([2.0, 3.0], [0.5, 0.5], 2)),
        SnrLine("stop-gradient", "decoder", "a", mean([2.0, 3.0], [0.5, 0.5], 2)),
    ]
    figure = signal_to_noise_curves(lines, floor=0.08)
    encoders, decoders = figure.axes
    assert (encoders.get_title(), decoders.get_title()) == ("encoders", "decoders")
    assert [line.get_color() for line in encoders.lines[:2]] == [SAME, DIFFERENT]
    assert (len(encoders.collections), len(decoders.collections)) == (1, 1)
    assert encoders.get_yscale() == "log"  # 0.08 to 3 spans more than a factor of ten
    assert [line.get_ydata()[0] for line in encoders.lines[2:]] == [0.08]


def test_many_models_are_broken_into_lines() -> None:
    tree = np.array([[0, 1, 1.0, 2], [2, 3, 4.0, 3]])
    matrices = [Matrix(f"M{i}", np.eye(3), tree) for i in range(ACROSS + 1)]
    figure = distance_matrices(matrices, given="a", target="b")
    drawn = [ax for ax in figure.axes if ax.images and ax.get_title()]
    assert [ax.get_title() for ax in drawn] == [f"M{i}" for i in range(ACROSS + 1)]
    assert figure.get_size_inches()[1] > 9
    bars = [Histogram(f"M{i}", np.ones((2, 2)), np.arange(3.0)) for i in range(ACROSS + 1)]
    shown = [ax for ax in histograms({"a and b": bars}).axes if ax.get_visible()]
    assert len(shown) == ACROSS + 1


def test_long_titles_are_broken_and_nothing_in_them_is_mathematics() -> None:
    ax = new_figure(3, 3).subplots()
    titled(ax, "MEME (direction both, pseudo_inputs 128)\ncosts 5$", 1.6)
    lines = ax.get_title().splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 20
    assert lines[-1] == r"costs 5\$"
