"""The published tables, spot-checked against values read from the paper's pages; what stands beside them."""

import math
from dataclasses import asdict, replace

import pytest

from mmbench.results.published import PublishedScore, published_rows, published_scores, published_slips
from mmbench.results.published.counterparts import Counterpart, counterparts, without_samples
from mmbench.results.published.stated import STATED, UNSTATED

KEY = ["table", "model", "scheme", "given", "target", "f"]


def _cell(**wanted: object) -> PublishedScore:
    (found,) = [row for row in published_rows() if wanted.items() <= asdict(row).items()]
    return found


@pytest.mark.parametrize(
    ("table", "model", "scheme", "f", "given", "target", "mean", "sd"),
    [
        ("Table 3", "meme", "complete", 1.0, "mnist", "svhn", 0.625, 0.007),
        ("Table 3", "meme", "svhn-only", 0.0625, "mnist", "svhn", 0.143, 0.009),
        ("Table 3", "mmvae", "complete", 1.0, "svhn", "mnist", 0.735, 0.010),
        ("Table 3", "mvae", "mnist-only", 0.25, "svhn", "mnist", 0.350, 0.008),
        ("Table 3", "mvae", "complete", 1.0, "svhn", "mnist", 0.498, 0.100),
        ("Table 4", "meme", "split", 0.5, "svhn", "", 0.675, 0.004),
        ("Table 4", "mvae", "mnist-only", 0.25, "mnist", "", 0.898, 0.004),
        ("Table 4", "mmvae", "complete", 1.0, "svhn", "", 0.499, 0.045),
        ("Table 5", "meme", "caption-only", 0.125, "image", "caption", 0.052, 0.002),
        ("Table 5", "mvae", "split", 0.25, "caption", "image", -0.002, 0.001),
        ("Table 5", "mvae", "complete", 1.0, "image", "caption", -0.002, 0.001),
        ("Table 5", "mvae", "image-only", 0.25, "image", "caption", 0.001, 0.004),
        ("Table 6", "mvae", "complete", 1.0, "mnist", "mnist", 0.11, 0.0055),
        ("Table 6", "mvae", "mnist-only", 0.0625, "mnist", "mnist", 0.0927, 0.007),
        ("Table 6", "meme", "mnist-only", 0.125, "svhn", "svhn", 0.111, 0.004),
    ],
)
def test_cells_are_the_papers(
    table: str, model: str, scheme: str, f: float, given: str, target: str, mean: float, sd: float
) -> None:
    found = _cell(table=table, model=model, scheme=scheme, f=f, given=given, target=target)
    assert (found.mean, found.sd) == (mean, sd)


@pytest.mark.parametrize(
    ("direction", "straight", "turned"),
    [("s->t", -14733.6, -428728.7), ("t->s", -40249.9, -11668.1), ("both", -14761.3, -11355.4)],
)
def test_table_2_by_direction(direction: str, straight: float, turned: float) -> None:
    """s = M, t = S is scored as log p(MNIST|SVHN); training was as the setting of our model says, s the first."""
    about = {"table": "Table 2", "own_settings": f"model.direction={direction}"}
    m, s = _cell(target="mnist", given="svhn", **about), _cell(target="svhn", given="mnist", **about)
    assert (m.mean, s.mean) == (straight, turned)
    assert all(math.isnan(row.sd) and row.protocol and row.metric == "log_likelihood" for row in (m, s))
    assert ("flipped" in m.note, "flipped" in s.note) == (direction == "t->s", direction == "s->t")


@pytest.mark.parametrize(("target", "mean"), [("mnist", 0.918), ("svhn", 0.652)])
def test_table_7_is_laplace_and_neither_coherence_nor_accuracy(target: str, mean: float) -> None:
    found = _cell(table="Table 7", target=target)
    assert (found.model, found.metric, found.mean) == ("mmvae", "coherence", mean)
    assert found.wanted == {"model.family": "laplace"}
    assert math.isnan(found.sd)
    assert "may be latent accuracy" in found.protocol


def test_tables_are_whole_and_nothing_stands_twice() -> None:
    scores = published_scores()
    # Cells of the paper's tables, f = 1.0 once a model: (schemes x fractions) + complete, for each model and direction.
    directions, schemes = 2, 3
    of_digits = directions * (2 * (1 + schemes * 4) + 1)
    meme_split_of_table_6 = directions * 4
    assert scores["table"].value_counts().to_dict() == {
        "Table 2": directions * 3,
        "Table 3": of_digits,
        "Table 4": of_digits,
        "Table 5": directions * (2 * (1 + schemes * 3) + 1) + 1,
        "Table 6": of_digits - meme_split_of_table_6,
        "Table 7": 2,
    }
    assert not scores.duplicated([*KEY, "own_settings"]).any()
    assert not scores[scores["table"] != "Table 2"].duplicated(KEY).any()
    assert scores["f"].isna().sum() == 1
    assert (scores.loc[scores["f"].isna(), "model"] == "ground-truth").all()
    assert (scores["f"] == 1).eq(scores["scheme"] == "complete").all()
    assert scores["sd"].isna().eq(scores["table"].isin(["Table 2", "Table 7"])).all()


def test_the_second_value_of_a_repeated_cell_is_noted() -> None:
    noted = {(row.table, row.model, row.mean): row.note for row in published_rows() if "another row" in row.note}
    assert noted == {
        ("Table 6", "meme", 0.075): "printed .073 in another row of the same run",
        ("Table 5", "mvae", -0.002): "printed .002 in another row of the same run (sic: two rows print -.002)",
    }


def test_the_copied_rows_of_table_6_are_left_out() -> None:
    table = published_scores()
    split = table[(table["table"] == "Table 6") & (table["scheme"] == "split")]
    assert set(split["model"]) == {"mvae"}


def test_the_frame_is_the_rows() -> None:
    table, rows = published_scores(), published_rows()
    assert len(table) == len(rows)
    assert list(table["mean"]) == [row.mean for row in rows]
    assert list(table["source"]) == [f"Joy et al., ICLR 2022, {row.table}" for row in rows]


def test_gaussians_and_both_directions_are_the_papers_rule() -> None:
    """Appendix I: all models of Tables 3 to 6 have Gaussian posteriors and prior."""
    rows = [row for row in published_rows() if row.table in ("Table 3", "Table 4", "Table 5", "Table 6")]
    assert {row.own_settings for row in rows if row.model == "mmvae"} == {"model.family=normal"}
    assert {row.own_settings for row in rows if row.model == "meme"} == {"model.direction=both"}


def test_slips_are_sentences_about_each_odd_table() -> None:
    assert [slip.split(":")[0] for slip in published_slips()] == ["Table 2", "Table 5", "Table 6", "Table 7"]
    assert all(text.endswith(".") for text in (*published_slips(), UNSTATED))


class TestCounterparts:
    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({"table": "Table 3", "model": "mmvae", "given": "mnist"}, ("cross_coherence", "mnist", "svhn", "micro")),
            ({"table": "Table 4", "model": "mmvae", "given": "svhn"}, ("latent_accuracy", "svhn", "", "linear-sample")),
            (
                {"table": "Table 6", "model": "mmvae", "given": "svhn"},
                ("predictive_information", "svhn", "svhn", "svgp"),
            ),
            (
                {"table": "Table 5", "model": "mmvae", "given": "image"},
                ("caption_correlation", "image", "caption", "cca"),
            ),
            (
                {"table": "Table 2", "given": "svhn", "own_settings": "model.direction=both"},
                ("log_likelihood", "svhn", "mnist", "conditional-iwae"),
            ),
        ],
    )
    def test_one_score_of_ours(self, wanted: dict[str, str], expected: tuple[str, str, str, str]) -> None:
        assert counterparts(_cell(**wanted)) == (Counterpart(*expected),)

    def test_table_7_may_be_either_of_two(self) -> None:
        assert counterparts(_cell(table="Table 7", target="svhn")) == (
            Counterpart("latent_accuracy", "svhn", "", "linear-sample"),
            Counterpart("cross_coherence", "mnist", "svhn", "micro"),
        )

    def test_real_pairs_have_a_score_of_their_own(self) -> None:
        found = counterparts(_cell(model="ground-truth"))
        assert found == (Counterpart("caption_correlation", "", "", "ground-truth"),)

    def test_nothing_for_a_metric_that_is_not_there(self) -> None:
        assert counterparts(replace(_cell(model="ground-truth"), model="meme", metric="beauty")) == ()

    @pytest.mark.parametrize(("name", "bare"), [("iwae-100", "iwae"), ("micro", "micro"), ("linear-sample",) * 2])
    def test_the_number_of_samples_is_no_part_of_the_name(self, name: str, bare: str) -> None:
        assert without_samples(name) == bare


@pytest.mark.parametrize(("batch", "steps"), [(128, 43_900), (56_068, 100), (56_067, 200), (100, 56_100)])
def test_steps_of_a_hundred_epochs(batch: int, steps: int) -> None:
    assert STATED["mnist-svhn"].steps(batch) == steps


def test_cubs_pairs_are_not_known_here() -> None:
    assert STATED["cub"].steps(64) is None
