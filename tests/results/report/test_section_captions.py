"""Sections of images with captions: correlation (Table 5), attributes read by rule, the quality of captions."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from mmbench.results.published.stated import STATED
from mmbench.results.records import RunRecord, Score
from mmbench.results.report.captions import DASH
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.against_f import Panel, Reference, against_f
from mmbench.results.report.drawing.attributes import AttributePanel, Dots, attribute_dots
from mmbench.results.report.groups import Variant, groups_of
from mmbench.results.report.sections.attributes import attributes
from mmbench.results.report.sections.caption_quality import caption_quality
from mmbench.results.report.sections.comparisons import comparisons
from mmbench.results.report.sections.correlation import correlation, share_of_truth
from mmbench.results.report.sections.others import others
from mmbench.results.report.sections.overview import overview
from mmbench.results.report.sections.verdicts import verdicts
from mmbench.results.report.source import Records
from mmbench.results.report.summaries import rows_of

Make = Callable[..., RunRecord]
PROTOCOL = {"protocol": "mmvae", "directions": 40, "view": "image"}
SHARED = {
    "data": {"pairs": 1, "features": "resnet101"},
    "arch": {"networks": "paper", "likelihood": "laplace"},
    "loader": {},
    "train": {**STATED["cub"].optimiser, "batch_size": 64, "epochs": 300, "steps": 10},
}


def correlated(run: RunRecord, value: float, truth: float = 0.1, **protocol: Any) -> RunRecord:
    """The run on `cub` with `value` from image to caption, twice as much back, and real pairs beside."""
    params = {**PROTOCOL, **protocol}

    def score(estimator: str, mean: float, given: str = "", target: str = "", **more: Any) -> Score:
        return Score("caption_correlation", 1, given, target, mean, 0.003, 2000, estimator, {**params, **more})

    scores = (
        score("cca", value, "image", "caption"),
        score("cca", 2 * value, "caption", "image"),
        score("cca", 0.01, prior="N(0, I)"),
        score("ground-truth", truth),
        score("shuffled", 0.001),
    )
    return replace(run, spec={**run.spec, "dataset": "cub"}, scores=scores)


def desk_of(runs: Sequence[RunRecord], folder: Path) -> Desk:
    (group,) = groups_of(runs)
    return Desk(Records(runs), folder, group, [])


def table_of(section: Section | None, name: str) -> TableItem:
    assert section is not None
    (found,) = [item for item in section.items if isinstance(item, TableItem) and item.id.endswith(name)]
    return found


def figures_of(section: Section | None) -> dict[str, FigureItem]:
    assert section is not None
    return {item.title: item for item in section.items if isinstance(item, FigureItem)}


def line_of(table: TableItem, way: str, model: str, f: str = "1") -> tuple[Any, ...]:
    (found,) = [row for row in table.body if (row[0], str(row[1]), row[2]) == (way, model, f)]
    return found


# Correlation ----------------------------------------------------------------------------------------------------------
def test_table_5_has_real_pairs_beside_every_score(make: Make, tmp_path: Path) -> None:
    runs = [correlated(make(seed=seed), value, truth) for seed, value, truth in ((0, 0.05, 0.1), (1, 0.03, 0.12))]
    table = table_of(correlation(desk_of(runs, tmp_path)), "table-correlation")
    assert table.number == "Table 5"
    row = line_of(table, "image → caption", "MEME")
    assert row[3:] == ("0.040 ± 0.014", "0.110 ± 0.014", "0.001 ± 0.000", "0.38 ± 0.18", Markup("<i>0.064 ± 0.011</i>"),
                       Markup("<small>2 of 2</small>"))  # fmt: skip
    # the share is taken seed by seed: (0.5 + 0.25) / 2, not 0.04 / 0.11
    prior = line_of(table, "samples from the prior", "MEME")
    assert prior[4] == "0.110 ± 0.014"  # the same real pairs, though its protocol names a prior too
    assert prior[7] == DASH
    with (tmp_path / table.csv).open(encoding="utf-8") as file:
        held = {(line["given"], line["target"]): line for line in csv.DictReader(file)}
    assert float(held["caption", "image"]["share_of_truth"]) == pytest.approx(0.75)
    assert float(held["caption", "image"]["published_mean"]) == 0.074


def test_real_pairs_of_another_protocol_do_not_stand_beside(make: Make, tmp_path: Path) -> None:
    run = correlated(make(), 0.05)
    scores = tuple(
        replace(s, params={**s.params, "protocol": "small"}) if s.estimator == "ground-truth" else s for s in run.scores
    )
    row = line_of(table_of(correlation(desk_of([replace(run, scores=scores)], tmp_path)), "table-correlation"),
                  "image → caption", "MEME")  # fmt: skip
    assert (row[4], row[5], row[6]) == (DASH, "0.001", DASH)


def test_without_a_ground_truth_above_zero_there_is_no_share(make: Make) -> None:
    rows = rows_of([correlated(make(), 0.05, truth=0.0)], "caption_correlation")
    row = next(r for r in rows if r.given == "image")
    assert share_of_truth(row, next(r for r in rows if r.estimator == "ground-truth")) == (None, None)
    assert share_of_truth(row, None) == (None, None)


def test_curves_stand_between_ground_truth_and_shuffled_pairs(make: Make, tmp_path: Path) -> None:
    runs = [correlated(make(), 0.05), correlated(make(scheme="split", f=0.5), -0.02)]
    found = figures_of(correlation(desk_of(runs, tmp_path)))
    assert list(found) == ["Caption correlation against f, beside the published numbers"]  # one scheme: one figure
    (figure,) = found.values()
    assert figure.number == "Figure 6"
    assert any("Table 5), mean and one standard deviation" in text for text in figure.caption)
    assert "The paper's ground truth is 0.106." in figure.caption
    assert "image → caption, f = 0.5: -0.02" in figure.alt


def test_a_quantity_that_is_no_share_has_the_axis_it_needs(make: Make) -> None:
    runs = [correlated(make(), 0.05), correlated(make(scheme="split", f=0.5), -0.02)]
    (group,) = groups_of(runs)
    rows = tuple(r for r in rows_of(runs, "caption_correlation") if r.given == "image")
    panel = Panel("image → caption", rows, (Reference("ground truth", 0.1), Reference("shuffled pairs", 0.001)))
    (ax,) = against_f([panel], group.names, ylabel="correlation", shares=False).axes
    low, high = ax.get_ylim()
    assert low < -0.02
    assert 0.1 < high < 0.2
    assert [(t.get_text(), t.get_va()) for t in ax.texts] == [
        ("ground truth 0.100", "top"), ("shuffled pairs 0.001", "bottom"),
    ]  # fmt: skip
    (ax,) = against_f([panel], group.names, ylabel="correlation").axes
    assert ax.get_ylim() == (0.0, 1.0)


def comparable(make: Make, value: float, seed: int = 0, **about: Any) -> RunRecord:
    provenance = {"data": {"status": "published", "digest": "p"}, **about.pop("provenance", {})}
    run = make(seed=seed, shared=SHARED, own={"direction": "both"}, provenance=provenance)
    return correlated(replace(run, timings={**run.timings, "steps": 10}), value, **about)


def verdict_of(runs: Sequence[RunRecord], folder: Path, model: str) -> tuple[Any, ...]:
    table = table_of(verdicts(desk_of(runs, folder)), "table-verdicts")
    found = [
        row
        for row in table.body
        if str(row[2]).startswith(model) and row[1] in ("caption_correlation image → caption", "caption_correlation ")
    ]
    return next(row for row in found if row[3] in ("1", DASH))


def test_a_comparable_correlation_has_its_place(make: Make, tmp_path: Path) -> None:
    runs = [comparable(make, value, seed, truth=0.106) for seed, value in enumerate((0.06, 0.07))]
    assert verdict_of(runs, tmp_path, "MEME")[4:8] == ("0.064 ± 0.011", "0.065 ± 0.007", "2", "inside")
    assert verdict_of(runs, tmp_path, "GROUND-TRUTH")[4:8] == ("0.106 ± 0.000", "0.106 ± 0.000", "2", "inside")


def test_a_subset_and_another_protocol_are_not_comparable(make: Make, tmp_path: Path) -> None:
    subset = {"data": {"status": "unverified", "digest": "s", "subset": "18 of 200 classes"}}
    runs = [comparable(make, 0.064, provenance=subset, protocol="small")]
    for model in ("MEME", "GROUND-TRUTH"):
        row = verdict_of(runs, tmp_path, model)
        assert row[7] == "not comparable"
        assert "a subset of the data (18 of 200 classes)" in row[8]
        assert "another protocol: small (the paper's: mmvae)" in row[8]
    assert "networks" not in verdict_of(runs, tmp_path, "GROUND-TRUTH")[8]


def test_correlation_is_a_headline_and_joint_samples_are_called_so(make: Make, tmp_path: Path) -> None:
    runs = [
        correlated(make(model=model, seed=seed), base + 0.001 * seed * (1 + 10 * base))
        for model, base in (("mvae", 0.01), ("meme", 0.05))
        for seed in range(3)
    ]
    desk = desk_of(runs, tmp_path)
    head = table_of(overview(desk), "table-overview").head
    assert [name for name in head if "correlation" in name] == [
        "joint caption correlation", "caption correlation caption → image", "caption correlation image → caption",
    ]  # fmt: skip
    leaders = table_of(comparisons(desk), "table-leaders")
    row = next(r for r in leaders.body if r[0] == "caption correlation image → caption")
    assert row[1:] == ("cca", "common", "complete", "1", "3", "MEME", "MVAE")
    table = table_of(correlation(desk), "table-correlation")
    assert str(line_of(table, "image → caption", "MEME")[3]).startswith("<strong>")
    assert "<strong>" not in str(line_of(table, "image → caption", "MVAE")[3])


# Attributes -----------------------------------------------------------------------------------------------------------
NAMES = ("shape", "size", "colour")


def attributed(run: RunRecord, base: float) -> RunRecord:
    scores = []
    for given, target, add in (("image", "caption", 0.0), ("caption", "image", 0.2)):
        for place, name in enumerate(NAMES):
            value = base + add - 0.1 * place
            scores.append(
                Score("attribute_coherence", 1, given, target, value, 0.01, 500, "attribute", {"attribute": name})
            )
        scores.append(Score("attribute_coherence", 1, given, target, base + add - 0.1, 0.01, 500, "features"))
        scores.append(Score("attribute_coherence", 1, given, target, (base + add) ** 2, 0.01, 500, "strict"))
    scores.append(Score("attribute_coherence", 1, "", "", base / 2, 0.01, 1000, "joint-strict", {"prior": "N(0, I)"}))
    return replace(run, scores=tuple(scores))


def test_attributes_stand_side_by_side_by_direction(make: Make, tmp_path: Path) -> None:
    section = attributes(desk_of([attributed(make(), 0.5), attributed(make(model="mvae"), 0.4)], tmp_path))
    table = table_of(section, "table-attributes")
    assert table.head == ("given → target", "model", "f", "colour", "shape", "size", "mean", "all right", "seeds")
    row = line_of(table, "caption → image", "MEME")
    assert [str(cell).partition(" ")[0] for cell in row[3:8]] == ["0.500", "0.700", "0.600", "0.600", "0.490"]
    joint = table_of(section, "table-attributes-joint")
    assert [str(r[3]).partition(" ")[0] for r in joint.body] == ["0.250", "0.200"]
    (figure,) = figures_of(section).values()
    assert "MEME, image → caption: lowest colour (0.30), all right 0.25" in figure.alt
    with (tmp_path / table.csv).open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2 * 2 * 5


def test_attributes_are_a_headline_and_no_other_metric(make: Make, tmp_path: Path) -> None:
    desk = desk_of([attributed(make(), 0.5)], tmp_path)
    head = table_of(overview(desk), "table-overview").head
    assert [name for name in head if "attribute" in name] == [
        "joint attribute coherence", "attribute coherence caption → image", "attribute coherence image → caption",
    ]  # fmt: skip
    assert others(desk) is None


def test_attributes_of_many_directions_are_means_by_target_and_by_number(make: Make, tmp_path: Path) -> None:
    run, scores = make(), []
    for target in "abc":
        rest = [name for name in "abc" if name != target]
        for given in (*rest, "+".join(rest)):
            for estimator, value in (("features", 0.6), ("strict", 0.3 + 0.2 * ("+" in given))):
                scores.append(Score("attribute_coherence", 1, given, target, value, 0.01, 500, estimator))
    section = attributes(desk_of([replace(run, scores=tuple(scores))], tmp_path))
    found = figures_of(section)
    assert "0.30 with 1 given, 0.50 with 2" in found["Attribute coherence by number of given modalities"].alt
    dots = found["Attributes of generations, complete rows (f = 1)"]
    assert "Means over every subset of the other modalities; each is in the table." in dots.caption
    assert len(table_of(section, "table-attributes").body) == 9


def test_dots_are_the_values_and_stand_in_their_columns() -> None:
    a, b = (Variant(model, "common", False, "{}") for model in ("mvae", "meme"))
    models = (Dots(a, "MVAE", ((0, 0.2, None), (1, 0.4, 0.1))), Dots(b, "MEME", ((1, 0.6, None),)))
    (ax,) = attribute_dots([AttributePanel("image → caption", models)], ["shape", "size"], [a, b]).axes
    first, second = [line for line in ax.lines if line.get_marker() in ("o", "s")]
    assert list(first.get_ydata()) == [0.2, 0.4]
    assert [round(x) for x in first.get_xdata()] == [0, 1]
    assert first.get_xdata()[1] < 1 < second.get_xdata()[0]  # side by side in the column
    assert [text.get_text() for text in ax.get_xticklabels()] == ["shape", "size"]
    (bar,) = ax.containers
    assert np.ptp(bar.lines[2][0].get_segments()[0][:, 1]) == pytest.approx(0.2)


# Quality of captions --------------------------------------------------------------------------------------------------
def test_generated_captions_stand_beside_real_ones(make: Make, tmp_path: Path) -> None:
    def scored(run: RunRecord, perplexity: float, real: float) -> RunRecord:
        common = ("caption_quality", 1, "image", "caption")
        return replace(run, scores=(
            Score(*common, perplexity, 0.5, 500, "perplexity"),
            Score(*common, 0.1, None, 500, "distinct-1", {}, {"real": real}),
            Score(*common, 0.3, None, 500, "distinct-2", {}, {"real": 0.7}),
        ))  # fmt: skip

    runs = [scored(make(seed=0), 40.0, 0.2), scored(make(seed=1), 50.0, 0.4)]
    table = table_of(caption_quality(desk_of(runs, tmp_path)), "table-caption-quality")
    assert table.head == ("given → target", "model", "f", "perplexity", "distinct-1", "distinct-2", "seeds")
    (row,) = table.body
    assert row[3] == f"45.0 ± {math.sqrt(50):.1f}"
    assert row[4] == Markup("0.100 ± 0.000 <small>real 0.300</small>")
    assert row[5] == Markup("0.300 ± 0.000 <small>real 0.700</small>")
    with (tmp_path / table.csv).open(encoding="utf-8") as file:
        assert {line["estimator"]: line["real"] for line in csv.DictReader(file)}["perplexity"] == ""


def test_a_store_without_captions_has_none_of_these_sections_and_misses_nothing(make: Make, tmp_path: Path) -> None:
    desk = desk_of([make()], tmp_path)
    assert [section(desk) for section in (correlation, attributes, caption_quality)] == [None] * 3
    assert not desk.missing
