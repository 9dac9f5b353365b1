"""Published numbers beside ours: the verdict of a run that may be compared, and the reasons of those that may not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmbench.results.published.stated import STATED
from mmbench.results.records import RunRecord, Score
from mmbench.results.report.contents import Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import groups_of
from mmbench.results.report.sections.verdicts import verdicts
from mmbench.results.store import Store

Make = Callable[..., RunRecord]
STEPS = 43_900  # the paper's 100 epochs over 56,068 pairs in batches of 128
SHARED = {
    "data": {"pairs": 1},
    "arch": {"networks": "paper", "likelihood": "laplace"},
    "loader": {},
    "train": {**STATED["mnist-svhn"].optimiser, "batch_size": 128, "steps": STEPS},
}


def run(make: Make, value: float, **about: object) -> RunRecord:
    """A run as the paper states it, with one micro coherence from MNIST to SVHN."""
    given = {"dataset": "mnist-svhn", "shared": SHARED, "own": {"direction": "both"}, **about}
    made = make(**given, provenance={"data": {"status": "published", "digest": "p"}})
    score = Score("cross_coherence", 1, "mnist", "svhn", value, 0.005, 10_000, "micro", {"classifier": "standard"})
    return replace(made, scores=(score,), timings={**made.timings, "steps": STEPS})


def section_of(runs: list[RunRecord], store: Store, folder: Path) -> Section | None:
    return verdicts(Desk(store, folder, *groups_of(runs), []))


def line_of(section: Section | None, table: str, model: str, f: str) -> tuple[object, ...]:
    assert section is not None
    (found,) = section.items
    assert isinstance(found, TableItem)
    (line,) = (
        line
        for line in found.body
        if (line[0], str(line[2]), line[3], line[1]) == (table, model, f, "cross_coherence mnist → svhn")
    )
    return line


def test_a_comparable_mean_has_its_place(make: Make, store: Store, tmp_path: Path) -> None:
    # Table 3: MEME, complete, MNIST -> SVHN .625 +- .007
    for value, word in ((0.63, "inside"), (0.65, "above"), (0.6, "below")):
        runs = [run(make, value + step, seed=seed) for seed, step in enumerate((-0.01, 0.01))]
        line = line_of(section_of(runs, store, tmp_path), "Table 3", "MEME (model.direction=both)", "1")
        assert (line[4], line[5], line[6], line[7]) == ("0.625 ± 0.007", f"{value:.3f} ± 0.014", "2", word)


def test_a_run_that_differs_is_not_comparable_and_every_reason_is_told(
    make: Make, store: Store, tmp_path: Path
) -> None:
    other = {**SHARED, "arch": {"networks": "small", "likelihood": "laplace"}}
    runs = [replace(run(make, 0.625, shared=other), timings={"steps": 100})]
    line = line_of(section_of(runs, store, tmp_path), "Table 3", "MEME (model.direction=both)", "1")
    assert line[7] == "not comparable"
    assert "other networks: small" in str(line[8])
    assert "fewer steps: 100" in str(line[8])


def test_the_run_with_the_settings_of_the_cell_stands_beside_it(make: Make, store: Store, tmp_path: Path) -> None:
    """Most runs have another direction; the paper's cell is about both."""
    runs = [run(make, 0.1, seed=seed, own={"direction": "s->t"}) for seed in range(3)] + [run(make, 0.625)]
    line = line_of(section_of(runs, store, tmp_path), "Table 3", "MEME (model.direction=both)", "1")
    assert (line[5], line[7]) == ("0.625", "inside")


def test_counts_stand_on_top_and_sum_to_the_lines(make: Make, store: Store, tmp_path: Path) -> None:
    section = section_of([run(make, 0.625)], store, tmp_path)
    assert section is not None
    (table,) = section.items
    assert isinstance(table, TableItem)
    assert section.text[0].startswith(f"{len(table.body)} numbers printed about mnist-svhn")
    assert ": 1 inside, " in section.text[0]
    assert table.folded  # long
    words = [str(line[7]) for line in table.body]
    for word in set(words):
        assert f"{words.count(word)} {word}" in section.text[0]


def test_a_dataset_without_published_numbers_has_no_verdicts(make: Make, store: Store, tmp_path: Path) -> None:
    assert section_of([make()], store, tmp_path) is None
