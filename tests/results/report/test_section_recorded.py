"""Sections that need what runs recorded on the way: ratios of gradients, encodings in the plane, training curves."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score
from mmbench.results.report.contents import FigureItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import groups_of
from mmbench.results.report.sections.embeddings import embeddings
from mmbench.results.report.sections.signal_to_noise import signal_to_noise
from mmbench.results.report.sections.training import training
from mmbench.results.report.source import Records

Make = Callable[..., RunRecord]
A, B = "handwritten", "street"


def desk_of(runs: Sequence[RunRecord], folder: Path) -> Desk:
    (group,) = groups_of(runs)
    return Desk(Records(runs), folder, group, [])


def lines(folder: Path, path: str) -> list[dict[str, str]]:
    with (folder / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def recording(run: RunRecord, estimators: dict[str, float]) -> RunRecord:
    """With ratios of 1 and 2 times a factor, after steps 100 and 200."""
    settings = run.spec["settings"]
    train = {**settings["train"], "log_snr_every": 100, "log_snr_draws": 50}
    curves = [
        Curve(f"snr/{name}/{network}/{A}", np.array([100, 200]), np.array([1.0, 2.0]) * factor)
        for name, factor in estimators.items()
        for network in ("encoder", "decoder")
    ]
    return replace(
        run, spec={**run.spec, "settings": {**settings, "train": train}}, curves=(*run.curves, *curves)
    )  # fmt: skip


def test_figure_10_has_the_last_ratios_and_the_floor(make: Make, tmp_path: Path) -> None:
    pair = {"stop-gradient": 3.0, "full": 1.0}
    runs = [recording(make(seed=s), {k: v + s for k, v in pair.items()}) for s in (0, 1)]
    section = signal_to_noise(desk_of(runs, tmp_path))
    assert section is not None
    (figure,) = section.items
    assert isinstance(figure, FigureItem)
    assert figure.number == "Figure 10"
    assert f"encoder of {A}: full 3, stop-gradient 7 (ratio 2.3)" in figure.alt
    assert any(f"= {math.sqrt(2 / (math.pi * 50)):.2f}" in sentence for sentence in figure.caption)
    last = [
        r
        for r in lines(tmp_path, figure.csv)
        if (r["network"], r["estimator"], r["step"]) == ("encoder", "full", "200")
    ]
    assert [(float(r["mean"]), r["seeds"]) for r in last] == [(3.0, "2")]
    assert float(last[0]["sd"]) == pytest.approx(math.sqrt(2))


def test_a_model_with_one_estimator_is_not_figure_10(make: Make, tmp_path: Path) -> None:
    section = signal_to_noise(desk_of([recording(make(model="mvae"), {"own": 1.0})], tmp_path))
    assert section is not None
    assert [item.number for item in section.items] == [""]


def test_the_complete_runs_are_drawn_and_others_named(make: Make, tmp_path: Path) -> None:
    runs = [recording(make(scheme="split", f=0.5), {"own": 1.0}), recording(make(), {"own": 1.0})]
    section = signal_to_noise(desk_of(runs, tmp_path))
    assert section is not None
    (figure,) = section.items
    assert isinstance(figure, FigureItem)
    assert "complete rows" in figure.caption[0]
    assert any("Also recorded for: scheme split, f = 0.5." in sentence for sentence in figure.caption)


def test_ratios_count_where_a_later_run_of_the_seed_stands_in_the_tables(make: Make, tmp_path: Path) -> None:
    later = make()
    before = recording(replace(later, id="earlier", created=later.created - timedelta(hours=1)), {"full": 1.0})
    desk = desk_of([before, later], tmp_path)
    assert (desk.group.runs, desk.group.left_out) == ((later,), (before,))
    section = signal_to_noise(desk)
    assert section is not None
    assert len(section.items) == 1
    older = replace(before, provenance={**before.provenance, "model_version": -1})
    assert signal_to_noise(desk_of([older, later], tmp_path)) is None


def test_without_ratios_the_page_says_how_to_record_them(make: Make, tmp_path: Path) -> None:
    desk = desk_of([make()], tmp_path)
    assert signal_to_noise(desk) is None
    assert [m.how for m in desk.missing] == [
        "mmbench run --model meme --dataset digits --steps 1400 --set train.log_snr_every=100"
    ]  # fmt: skip


def embedded(run: RunRecord, classes: Sequence[int] | None = (0, 1, 1)) -> RunRecord:
    meta = {"perplexity": 30.0, "rows": 3, "method": "t-SNE"}
    if classes is not None:
        meta["classes"] = list(classes)
    arrays = tuple(
        ArrayRecord("embeddings", f"tsne/{name}", np.full((3, 2), i, np.float32), {"given": name, **meta})
        for i, name in enumerate((A, B))
    )
    scores = tuple(
        Score("embeddings", 1, given, target, value, 0.02, 3, "nearest-other")
        for given, target, value in ((A, B, 0.5), (B, A, 0.7))
    )
    return replace(run, arrays=(*run.arrays, *arrays), scores=(*run.scores, *scores))


def test_figures_19_and_20_name_the_share_of_neighbours_of_the_same_class(make: Make, tmp_path: Path) -> None:
    desk = desk_of([embedded(make()), make(model="mvae")], tmp_path)
    section = embeddings(desk)
    assert section is not None
    figure, table = section.items
    assert isinstance(figure, FigureItem)
    assert (figure.number, table.number) == ("Figures 19 and 20", "")
    assert "MEME, same class 0.60" in figure.alt
    assert "t-SNE (perplexity 30)" in figure.caption[0]
    assert "Colour: class" in figure.caption[0]
    held = lines(tmp_path, figure.csv)
    assert [(r["modality"], r["class"], r["x"]) for r in held][2:4] == [(A, "1", "0.0"), (B, "0", "1.0")]
    assert ["t-SNE of MVAE" in m.what for m in desk.missing] == [True]


def test_rows_without_classes_are_coloured_by_modality(make: Make, tmp_path: Path) -> None:
    section = embeddings(desk_of([embedded(make(), None)], tmp_path))
    assert section is not None
    figure = section.items[0]
    assert isinstance(figure, FigureItem)
    assert "Colour and marker: modality." in figure.caption[0]


def test_many_runs_are_drawn_as_means_and_the_caption_says_so(make: Make, tmp_path: Path) -> None:
    runs = [make(seed=s) for s in range(7)]
    section = training(desk_of(runs, tmp_path))
    assert section is not None
    (figure,) = section.items
    assert isinstance(figure, FigureItem)
    assert "7 runs would be too many lines" in figure.caption[0]
    held = [row for row in lines(tmp_path, figure.csv) if row["curve"] == "train/loss"]
    assert {(row["run"], row["seeds"]) for row in held} == {("", "7")}
    assert float(held[0]["sd"]) == pytest.approx(np.std(np.arange(7), ddof=1))


def test_more_conditions_than_colours_are_left_out_by_number(make: Make, tmp_path: Path) -> None:
    runs = [make()] + [make(scheme=s, f=f) for s in ("split", f"{A}-only", f"{B}-only") for f in (0.5, 0.25, 0.125)]
    section = training(desk_of(runs, tmp_path))
    assert section is not None
    (figure,) = section.items
    assert isinstance(figure, FigureItem)
    assert any(sentence.startswith("2 more conditions are not drawn") for sentence in figure.caption)
    drawn = {(row["scheme"], row["f"]) for row in lines(tmp_path, figure.csv)}
    assert len(drawn) == 8
    assert {("complete", "1.0"), ("split", "0.5"), ("split", "0.125"), (f"{B}-only", "0.125")} <= drawn
