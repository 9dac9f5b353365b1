"""Sections about coherence beside something else: likelihood, cost, classes, and what a figure leaves out."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmbench.results.records import RunRecord, Score
from mmbench.results.report.contents import FigureItem, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import Condition, groups_of
from mmbench.results.report.sections.by_class import by_class_figure
from mmbench.results.report.sections.coherence import coherence
from mmbench.results.report.sections.cost import cost
from mmbench.results.report.sections.information import information
from mmbench.results.report.sections.latent import latent_accuracy
from mmbench.results.report.sections.limits import few, few_places, left_out_text, places_text
from mmbench.results.report.sections.trade_off import coherence_against_likelihood
from mmbench.results.report.sections.values import mean_coherence
from mmbench.results.report.source import Records

Make = Callable[..., RunRecord]
A, B = "handwritten", "street"


def desk_of(runs: Sequence[RunRecord], folder: Path) -> Desk:
    (group,) = groups_of(runs)
    return Desk(Records(runs), folder, group, [])


def joint(run: RunRecord, value: float, ess: float = 50.0) -> RunRecord:
    score = Score("log_likelihood", 1, "", f"{A}+{B}", value, 0.5, 359, "iwae-100", {}, {"ess": ess})
    return replace(run, scores=(*run.scores, score))


def lines(folder: Path, path: str) -> list[dict[str, str]]:
    with (folder / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_mean_coherence_is_over_directions_then_over_seeds(make: Make, tmp_path: Path) -> None:
    runs = [make(seed=s, coherence=v) for s, v in ((0, 0.4), (1, 0.6))]  # the other direction is 0.1 higher
    (spread,) = mean_coherence(desk_of(runs, tmp_path)).values()
    assert spread.mean == pytest.approx(0.55)
    assert spread.sd == pytest.approx(0.2 / 2**0.5)
    assert spread.n == 2


def test_a_seed_without_one_direction_does_not_count(make: Make, tmp_path: Path) -> None:
    first, second = make(seed=0, coherence=0.4), make(seed=1, coherence=0.6)
    second = replace(second, scores=tuple(s for s in second.scores if (s.metric, s.given) != ("cross_coherence", A)))
    (spread,) = mean_coherence(desk_of([first, second], tmp_path)).values()
    assert (spread.mean, spread.sd, spread.n) == (pytest.approx(0.45), None, 1)


def test_the_front_is_named_and_models_without_a_joint_density_are_missed(make: Make, tmp_path: Path) -> None:
    runs = [
        joint(make(model="mvae", coherence=0.2), -50.0),
        joint(make(model="mmvae", coherence=0.6), -90.0),
        joint(make(model="mopoe", coherence=0.1), -60.0, ess=2.0),
        make(model="meme"),
    ]
    desk = desk_of(runs, tmp_path)
    section = coherence_against_likelihood(desk)
    assert section is not None
    (figure,) = section.items
    assert isinstance(figure, FigureItem)
    assert figure.alt.endswith("Beaten by none in both: MMVAE: 0.65 at -90.0 nats; MVAE: 0.25 at -50.0 nats.")
    assert "iwae-100" in figure.caption[0]
    assert any("fewer than 5 effective samples" in sentence for sentence in figure.caption)
    held = {row["model"]: row["unbeaten"] for row in lines(tmp_path, figure.csv)}
    assert held == {"MVAE": "True", "MMVAE": "True", "MOPOE": "False"}
    assert [m.what for m in desk.missing] == ["digits, preset common: coherence against likelihood of MEME"]


def test_cost_is_told_device_by_device(make: Make, tmp_path: Path) -> None:
    def run(seed: int, speed: float, device: str) -> RunRecord:
        made = make(seed=seed, provenance={"device": device, "threads": 2}, coherence=0.5)
        return replace(made, timings={**made.timings, "pairs_per_s": speed, "peak_memory_mb": 500.0 + seed})

    runs = [run(0, 100.0, "cpu (x86_64)"), run(1, 300.0, "cpu (x86_64)"), run(2, 9000.0, "cuda (H100)")]
    section = cost(desk_of(runs, tmp_path))
    assert section is not None
    figure, table = section.items
    assert isinstance(table, TableItem)
    assert [row[1:4] for row in table.body] == [
        ("1", "cpu (x86_64), 2 threads", "200 ± 141"),
        ("1", "cuda (H100)", "9,000"),
    ]
    assert [row[4] for row in table.body] == ["500 ± 1 MiB", "502 MiB"]
    assert isinstance(figure, FigureItem)
    assert "On cuda (H100) the fastest is MEME with 9,000 pairs/s" in figure.alt
    assert any("Speeds compare only on one device" in sentence for sentence in figure.caption)


def test_classes_have_a_heat_map_that_names_the_hardest(make: Make, tmp_path: Path) -> None:
    def harder(run: RunRecord) -> RunRecord:
        scores = tuple(replace(s, value=0.05) if s.params.get("class") == 7 else s for s in run.scores)
        return replace(run, scores=scores)

    desk = desk_of([harder(make()), harder(make(scheme="split", f=0.5, coherence=0.4))], tmp_path)
    rows = [row for row in desk.rows("cross_coherence") if "class" in row.protocol]
    (figure,) = by_class_figure(desk, rows)
    assert f"MEME, {A} → {B}: lowest 7 (0.05)" in figure.alt
    assert f"MEME SPLIT, f = 0.5, {A} → {B}: lowest 7 (0.05)" in figure.alt


def items_of(section: Any) -> dict[str, str]:
    assert section is not None
    return {item.title: item.number for item in section.items}


def test_tables_have_the_papers_numbers(make: Make, tmp_path: Path) -> None:
    desk = desk_of([make()], tmp_path)
    assert items_of(coherence(desk))["Cross coherence"] == "Table 3"
    assert items_of(latent_accuracy(desk))["Latent accuracy"] == "Table 4"


def test_table_7_stands_only_where_mmvae_has_a_laplace_variant(make: Make, tmp_path: Path) -> None:
    normal, laplace = (make(model="mmvae", own={"family": family}) for family in ("normal", "laplace"))
    title = "MMVAE with Laplace posteriors and prior"
    assert title not in items_of(coherence(desk_of([normal], tmp_path)))
    both = [normal, replace(laplace, id="l", fit_key="l")]
    assert items_of(coherence(desk_of(both, tmp_path)))[title] == "Table 7"


def test_table_6_has_the_value_on_real_images_beside_it(make: Make, tmp_path: Path) -> None:
    scores = (
        Score("predictive_information", 1, A, A, 0.08, 0.001, 359, "svgp"),
        Score("predictive_information", 1, "", A, 0.031, 0.001, 359, "svgp-real"),
    )
    section = information(desk_of([replace(make(), scores=scores)], tmp_path))
    assert section is not None
    table, real = section.items
    assert isinstance(table, TableItem)
    assert isinstance(real, TableItem)
    assert table.number == "Table 6"
    assert len(table.body) == 1
    assert f"On real test images: {A} 0.031." in table.caption[0]
    assert real.body[0][:3] == ("svgp-real", A, "0.031")


def test_without_the_metric_the_page_says_what_brings_it(make: Make, tmp_path: Path) -> None:
    desk = desk_of([make()], tmp_path)
    assert information(desk) is None
    assert [m.how for m in desk.missing] == [
        "mmbench evaluate meme-digits-complete-1-s0-7d29 --metrics predictive_information"
    ]


def test_a_figure_shows_every_model_before_any_models_second_variant(make: Make, tmp_path: Path) -> None:
    runs = [replace(make(own={"k": k}), id=f"k{k}", fit_key=f"k{k}") for k in (1, 2, 3)]
    runs += [replace(make(own={"k": 2}, seed=1), id="k2b", fit_key="k2b"), make(model="mvae"), make(model="mopoe")]
    desk = desk_of(runs, tmp_path)
    shown = few(desk, desk.group.names, 3)
    assert [desk.group.names[v] for v in shown] == ["MEME (k 2)", "MOPOE", "MVAE"]  # k = 2 has the most runs
    assert left_out_text(desk, shown, desk.group.names) == "Not drawn, to stay readable: MEME (k 1), MEME (k 3)."
    assert left_out_text(desk, few(desk, desk.group.names), desk.group.names) == ""


def test_a_scatter_plot_shows_whole_settings_the_complete_first(make: Make, tmp_path: Path) -> None:
    runs = [make(model=model) for model in ("meme", "mvae")]
    runs += [make(model=model, scheme="split", f=f) for model in ("meme", "mvae") for f in (0.5, 0.25)]
    desk = desk_of(runs, tmp_path)
    conditions: Sequence[Condition] = desk.group.conditions
    assert few_places(desk, conditions, 6) == [("complete", 1.0), ("split", 0.25), ("split", 0.5)]
    assert few_places(desk, conditions, 5) == [("complete", 1.0), ("split", 0.25)]
    assert few_places(desk, conditions, 1) == [("complete", 1.0)]
    text = places_text([("complete", 1.0)], conditions)
    assert text == "Drawn, to stay readable: complete rows; 4 more conditions are in the CSV."
