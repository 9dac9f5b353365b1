"""Three and five modalities: means over directions are right, and what is shown can be read and says what it left."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from mmbench.results.records import ArrayRecord, RunRecord, Score
from mmbench.results.report.averages import by_number, by_target, few_quantities, many_modalities
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.against_f import Panel, against_f
from mmbench.results.report.groups import groups_of
from mmbench.results.report.sections.coherence import coherence
from mmbench.results.report.sections.comparisons import comparisons
from mmbench.results.report.sections.generations import generations
from mmbench.results.report.sections.latent import latent_accuracy
from mmbench.results.report.sections.overview import overview
from mmbench.results.report.sections.paired_only import paired_only
from mmbench.results.report.sections.ranks import ranks
from mmbench.results.report.sections.relatedness import relatedness
from mmbench.results.report.source import Records
from mmbench.results.report.summaries import rows_of

Make = Callable[..., RunRecord]
THREE, FIVE = ("mnist", "svhn", "text"), ("m0", "m1", "m2", "m3", "m4")
JUDGE = {"classifier": "standard"}


def directions(names: Sequence[str]) -> list[tuple[tuple[str, ...], str]]:
    """Every non-empty subset of the others, for every target."""
    found = []
    for target in names:
        others = [name for name in names if name != target]
        found += [(some, target) for k in range(1, len(others) + 1) for some in combinations(others, k)]
    return found


def value_of(given: Sequence[str], target: str, names: Sequence[str], base: float) -> float:
    """A value for each direction that tells it from the others, whose means are closed forms."""
    return base + 0.1 * (len(given) - 1) + 0.01 * names.index(target)


@pytest.fixture
def several(make: Make) -> Callable[..., RunRecord]:
    """`several(names, base=0.3, model="mvae", ...)`: a run whose coherence `value_of` gives."""

    def build(names: Sequence[str], base: float = 0.3, **about: object) -> RunRecord:
        run = make(**about)
        scores = [
            Score("cross_coherence", 1, "+".join(g), t, value_of(g, t, names, base), 0.02, 359, "micro", JUDGE)
            for g, t in directions(names)
        ]
        scores += [
            Score("cross_coherence", 1, "+".join(g), t, value_of(g, t, names, base) / 2, 0.1, 36, "class",
                  {**JUDGE, "class": c})
            for g, t in directions(names) for c in (0, 1)
        ]  # fmt: skip
        for name in names:
            others = [other for other in names if other != name]
            scores.append(Score("latent_accuracy", 1, name, "", base, 0.02, 359, "linear-sample"))
            scores.append(Score("log_likelihood", 2, "", name, -10.0, 0.1, 359, "iwae-100"))
            scores += [Score("log_likelihood", 2, other, name, -9.0, 0.1, 359, "iwae-100") for other in others]
            scores.append(Score("log_likelihood", 2, "+".join(others), name, -8.0, 0.1, 359, "iwae-100"))
        scores.append(Score("log_likelihood", 2, "", "+".join(names), -50.0, 0.1, 359, "iwae-100"))
        scores += [
            Score("relatedness", 1, a, b, base + 0.2, None, 500, "auroc", {"minibatch": 128})
            for a, b in combinations(names, 2)
        ]
        return replace(run, scores=tuple(scores), arrays=arrays(names))

    return build


def arrays(names: Sequence[str]) -> tuple[ArrayRecord, ...]:
    edges, rng = np.linspace(0, 5, 6), np.random.default_rng(0)
    found = []
    for a, b in combinations(names, 2):
        meta = {"given": a, "target": b}
        found.append(
            ArrayRecord("relatedness", f"histogram/{a}|{b}", np.full((2, 5), 0.2), {**meta, "edges": edges.tolist()})
        )
        found.append(
            ArrayRecord("relatedness", f"class_distance/{a}|{b}", rng.random((3, 3)), {**meta, "distance": "w2"})
        )
    for name in names:
        images = rng.integers(0, 256, (4, 1, 4, 4)).astype(np.uint8)
        found.append(ArrayRecord("samples", f"input/{name}", images, {"given": "", "target": name}))
        for other in names:
            if other != name:
                made = rng.integers(0, 256, (4, 2, 1, 4, 4)).astype(np.uint8)
                found.append(ArrayRecord("samples", f"cross/{name}|{other}", made, {"given": name, "target": other}))
    return tuple(found)


def desk_of(runs: Sequence[RunRecord], folder: Path) -> Desk:
    (group,) = groups_of(runs)
    return Desk(Records(runs), folder, group, [])


def figures_of(section: Section | None) -> dict[str, FigureItem]:
    assert section is not None
    return {item.title: item for item in section.items if isinstance(item, FigureItem)}


def table_of(section: Section | None, name: str) -> TableItem:
    assert section is not None
    (found,) = [item for item in section.items if isinstance(item, TableItem) and item.id.endswith(name)]
    return found


# Means ----------------------------------------------------------------------------------------------------------------
def test_five_modalities_have_75_directions_and_four_means(several: Make) -> None:
    run = several(FIVE, base=0.3)
    rows = [row for row in rows_of([run], "cross_coherence") if row.estimator == "micro"]
    assert len(rows) == 75
    means = {row.given: row for row in by_number(rows)}
    assert sorted(means) == ["1 given", "2 given", "3 given", "4 given"]
    for number in (1, 2, 3, 4):  # the mean over targets of 0.01 times their place is 0.02
        assert means[f"{number} given"].mean == pytest.approx(0.3 + 0.1 * (number - 1) + 0.02)
        assert means[f"{number} given"].stderr is None  # errors of directions on the same rows go together


def test_a_mean_is_taken_seed_by_seed_so_that_its_spread_is_over_seeds(several: Make) -> None:
    runs = [several(THREE, base=base, seed=seed) for seed, base in enumerate((0.2, 0.4))]
    rows = [row for row in rows_of(runs, "cross_coherence") if row.estimator == "micro"]
    one = next(row for row in by_number(rows) if row.given == "1 given")
    assert dict(one.by_seed) == {0: pytest.approx(0.21), 1: pytest.approx(0.41)}
    assert (one.mean, one.sd, one.n) == (pytest.approx(0.31), pytest.approx(0.2 / math.sqrt(2)), 2)
    low, high = one.interval
    assert low is not None
    assert high is not None
    assert (low + high) / 2 == pytest.approx(0.31)


def test_a_condition_that_lacks_a_direction_has_no_mean_of_that_kind(several: Make) -> None:
    whole, lacking = several(THREE), several(THREE, model="mvae")
    kept = tuple(s for s in lacking.scores if (s.given, s.target) != ("mnist", "svhn"))
    rows = [r for r in rows_of([whole, replace(lacking, scores=kept)], "cross_coherence") if r.estimator == "micro"]
    found = {(row.condition.variant.model, row.given): row for row in by_number(rows)}
    assert found["mvae", "1 given"].mean is None
    assert found["mvae", "1 given"].n == 0
    assert found["mvae", "2 given"].mean is not None
    assert found["meme", "1 given"].mean is not None


def test_means_by_target_are_over_single_modalities_or_over_every_subset(several: Make) -> None:
    rows = [row for row in rows_of([several(THREE)], "cross_coherence") if row.estimator == "micro"]
    assert {r.target: round(r.mean or 0, 6) for r in by_target(rows)} == {"mnist": 0.3, "svhn": 0.31, "text": 0.32}
    every = {r.target: r.mean for r in by_target(rows, single=False)}  # two single ones, one pair 0.1 higher
    assert every["mnist"] == pytest.approx(0.3 + 0.1 / 3)


def test_densities_are_chosen_and_never_averaged(several: Make) -> None:
    rows = rows_of([several(FIVE)], "log_likelihood")
    assert len(rows) == 31
    kept = {(row.given.count("+"), row.target.count("+")) for row in few_quantities(rows)}
    assert kept == {(0, 4), (3, 0)}  # all five together; one given the four others
    assert {row.mean for row in few_quantities(rows)} == {-50.0, -8.0}


def test_two_modalities_are_left_as_they_are(make: Make) -> None:
    for metric in ("cross_coherence", "log_likelihood", "latent_accuracy"):
        rows = rows_of([make(), make(model="mvae")], metric)
        assert not many_modalities(rows)
        assert few_quantities(rows) == rows


# Sections -------------------------------------------------------------------------------------------------------------
def test_coherence_of_five_modalities_is_drawn_in_panels_that_can_be_read(several: Make, tmp_path: Path) -> None:
    runs = [several(FIVE, base, model=model) for model, base in (("mvae", 0.2), ("mmvae", 0.3))]
    runs += [several(FIVE, 0.1, model="mvae", scheme="split", f=0.5)]
    section = coherence(desk_of(runs, tmp_path))
    found = figures_of(section)
    number = found["Cross coherence by number of given modalities"]
    assert "mean over all subsets of so many given modalities and all targets (75 directions)" in number.caption[0]
    assert "MVAE, complete rows (f = 1): 0.22 with 1 given, 0.52 with 4" in number.alt
    against = found["Cross coherence against f"]
    assert any("the 20 directions from one modality to one other" in sentence for sentence in against.caption)
    assert against.drawing.width < 1500  # three panels of 4.4 inches, in two rows
    assert "any single other → m0" in against.alt
    assert len(table_of(section, "table-coherence").body) == 2 * 75  # the complete run ends the line of its scheme
    with (tmp_path / number.csv).open() as file:
        assert {line["given"] for line in csv.DictReader(file)} == {"1 given", "2 given", "3 given", "4 given"}


def test_three_modalities_show_every_single_direction(several: Make, tmp_path: Path) -> None:
    found = figures_of(coherence(desk_of([several(THREE)], tmp_path)))["Cross coherence against f"]
    with (tmp_path / found.csv).open() as file:
        ways = {(line["given"], line["target"]) for line in csv.DictReader(file)}
    assert ways == {(a, b) for a in THREE for b in THREE if a != b}
    assert any("where several are given, see the figure above and the table" in text for text in found.caption)


def test_classes_are_shown_by_target_and_stored_by_direction(several: Make, tmp_path: Path) -> None:
    table = table_of(coherence(desk_of([several(FIVE)], tmp_path)), "table-per-class")
    assert [row[2] for row in table.body] == [f"any others → {name}" for name in FIVE]
    with (tmp_path / table.csv).open() as file:
        assert len(list(csv.DictReader(file))) == 75 * 2


def test_many_panels_with_many_lines_have_a_figure_a_scheme(several: Make, tmp_path: Path) -> None:
    models = ("mvae", "mmvae", "mopoe", "mmjsd", "mvtcae", "vsae")
    runs = [several(FIVE, model=m, scheme=s, f=0.5) for m in models for s in ("split", "mcar")]
    titles = set(figures_of(latent_accuracy(desk_of(runs, tmp_path))))
    assert titles == {f"Latent accuracy (linear-sample) against f, {s}" for s in ("split", "mcar")}


def test_panels_beyond_three_stand_in_rows_and_the_rest_is_hidden(several: Make) -> None:
    run = several(FIVE)
    (group,) = groups_of([run])
    panels = [Panel(row.given, (row,)) for row in rows_of([run], "latent_accuracy")]
    figure = against_f(panels, group.names, ylabel="accuracy")
    assert [ax.get_visible() for ax in figure.axes] == [True] * 5 + [False]
    assert [ax.get_title() for ax in figure.axes[:5]] == list(FIVE)


def test_headlines_are_means_and_say_so(several: Make, tmp_path: Path) -> None:
    runs = [several(FIVE, base + 0.01 * seed * (1 + base), model=model, seed=seed)
            for model, base in (("mvae", 0.2), ("mmvae", 0.3)) for seed in range(3)]  # fmt: skip
    desk = desk_of(runs, tmp_path)
    table = table_of(overview(desk), "table-overview")
    assert [name for name in table.head if name.startswith("coherence")] == [
        f"coherence {n} given" for n in range(1, 5)
    ]
    assert len([name for name in table.head if name.startswith("log p")]) == 6
    assert any("mean over all subsets of so many given modalities" in sentence for sentence in table.caption)
    leaders = table_of(comparisons(desk), "table-leaders")
    assert [row[0] for row in leaders.body if str(row[0]).startswith("coherence")] == [
        f"coherence {n} given" for n in range(1, 5)
    ]
    assert [row[6] for row in leaders.body if str(row[0]).startswith("coherence")] == ["MMVAE"] * 4
    ranked = ranks([desk])
    assert ranked is not None
    (coherent,) = [item for item in ranked.items if "coherence" in item.title and isinstance(item, TableItem)]
    assert [row[0] for row in coherent.body] == ["MMVAE", "MVAE"]


def test_bold_face_in_the_table_of_directions_still_has_its_own_tests(several: Make, tmp_path: Path) -> None:
    runs = [several(THREE, base + 0.01 * seed * (1 + base), model=model, seed=seed)
            for model, base in (("mvae", 0.2), ("mmvae", 0.3)) for seed in range(3)]  # fmt: skip
    table = table_of(coherence(desk_of(runs, tmp_path)), "table-coherence")
    bold = {row[0] for row in table.body if "<strong>" in str(row[3])}
    assert len(bold) == 9


def test_relatedness_draws_three_pairs_and_all_in_one_heat_map(several: Make, tmp_path: Path) -> None:
    section = relatedness(desk_of([several(FIVE), several(FIVE, model="mvae")], tmp_path))
    found = figures_of(section)
    distances = found["W2 between encodings, complete rows (f = 1)"]
    left = [text for text in distances.caption if text.startswith("Not drawn")]
    assert left == [
        "Not drawn, to stay readable: m0 and m4, m1 and m2, m1 and m3, m1 and m4, m2 and m3, m2 and m4, m3 and m4; "
        "the table has every pair."
    ]
    assert sum(title.startswith("Class distances") for title in found) == 3
    with (tmp_path / found["Relatedness of every pair, complete rows (f = 1)"].csv).open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 10
    assert len(table_of(section, "table-relatedness").body) == 2 * 10


def test_two_modalities_have_no_heat_map_of_pairs(make: Make, tmp_path: Path) -> None:
    assert not any("every pair" in title for title in figures_of(relatedness(desk_of([make()], tmp_path))))


def test_generations_of_five_modalities_are_a_grid_for_each_input(several: Make, tmp_path: Path) -> None:
    found = figures_of(generations(desk_of([several(FIVE)], tmp_path)))
    assert list(found) == [f"{name} → every other modality, complete rows (f = 1)" for name in FIVE]
    assert "one generation of m1, m2, m3, m4" in found["m0 → every other modality, complete rows (f = 1)"].caption[0]


def test_generations_of_three_are_a_grid_for_each_direction(several: Make, tmp_path: Path) -> None:
    found = figures_of(generations(desk_of([several(THREE)], tmp_path)))
    assert set(found) == {f"{a} → {b}, complete rows (f = 1)" for a in THREE for b in THREE if a != b}


def test_unpaired_rows_are_weighed_by_number_given(several: Make, tmp_path: Path) -> None:
    runs = [several(FIVE, 0.3), several(FIVE, 0.2, scheme="split", f=0.5)]
    runs.append(several(FIVE, 0.1, scheme="split", f=0.5, paired_only=True))
    figure = figures_of(paired_only(desk_of(runs, tmp_path)))["All rows against the complete rows alone"]
    assert "1 given, f = 0.5: 0.22 against 0.12" in figure.alt
    assert "4 given, f = 0.5: 0.52 against 0.42" in figure.alt
