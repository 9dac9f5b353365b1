"""The published tables, spot-checked against values read from the paper's pages."""

import pytest

from mmbench.results.published import published_scores


@pytest.mark.parametrize(
    ("table", "model", "scheme", "f", "given", "target", "mean", "sd"),
    [
        ("Table 3", "meme", "complete", 1.0, "mnist", "svhn", 0.625, 0.007),
        ("Table 3", "meme", "svhn-only", 0.0625, "mnist", "svhn", 0.143, 0.009),
        ("Table 3", "mmvae", "complete", 1.0, "svhn", "mnist", 0.735, 0.010),
        ("Table 3", "mvae", "mnist-only", 0.25, "svhn", "mnist", 0.350, 0.008),
        ("Table 4", "meme", "split", 0.5, "svhn", "", 0.675, 0.004),
        ("Table 4", "mvae", "mnist-only", 0.25, "mnist", "", 0.898, 0.004),
        ("Table 5", "meme", "caption-only", 0.125, "image", "caption", 0.052, 0.002),
        ("Table 5", "mvae", "split", 0.25, "caption", "image", -0.002, 0.001),
        ("Table 6", "mvae", "complete", 1.0, "mnist", "", 0.11, 0.0055),
        ("Table 6", "meme", "mnist-only", 0.125, "svhn", "", 0.111, 0.004),
    ],
)
def test_cells_are_the_papers(
    table: str, model: str, scheme: str, f: float, given: str, target: str, mean: float, sd: float
) -> None:
    scores = published_scores()
    wanted = {"table": table, "model": model, "scheme": scheme, "f": f, "given": given, "target": target}
    found = scores[(scores[list(wanted)] == list(wanted.values())).all(axis=1)]
    assert found[["mean", "sd"]].to_numpy().tolist() == [[mean, sd]]


def test_tables_are_whole_and_nothing_stands_twice() -> None:
    scores = published_scores()
    # Cells of the paper's tables, f = 1.0 once a model: (schemes x fractions) + complete, for each model and direction.
    directions, schemes = 2, 3
    of_digits = directions * (2 * (1 + schemes * 4) + 1)
    meme_split_of_table_6 = directions * 4
    assert scores["table"].value_counts().to_dict() == {
        "Table 3": of_digits,
        "Table 4": of_digits,
        "Table 5": directions * (2 * (1 + schemes * 3) + 1) + 1,
        "Table 6": of_digits - meme_split_of_table_6,
    }
    assert not scores.duplicated(["table", "model", "scheme", "given", "target", "f"]).any()
    assert scores["f"].isna().sum() == 1
    assert (scores.loc[scores["f"].isna(), "model"] == "ground-truth").all()
    assert (scores["f"] == 1).eq(scores["scheme"] == "complete").all()
