"""What may stand in one figure, and how lines are told apart."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mmbench.results.records import RunRecord
from mmbench.results.report.drawing.style import colour, label, line_style
from mmbench.results.report.files import safe
from mmbench.results.report.groups import groups_of

Make = Callable[..., RunRecord]


def changed(make: Make, section: str, **values: Any) -> RunRecord:
    run = make()
    settings = {**run.spec["settings"], section: {**run.spec["settings"][section], **values}}
    return make(shared={k: v for k, v in settings.items() if k != "model"}, own=settings["model"])


def test_models_seeds_and_schemes_share_a_group(make: Make) -> None:
    (group,) = groups_of([make(), make(seed=1), make(model="mvae"), make(scheme="split", f=0.5)])
    assert len(group.runs) == 4
    assert group.differs == ""


def test_other_shared_settings_are_another_group_and_the_difference_is_named(make: Make) -> None:
    groups = groups_of([make(), changed(make, "train", steps=200)])
    assert sorted(group.differs for group in groups) == ["train.steps = 1400", "train.steps = 200"]
    assert len({group.slug for group in groups}) == 2


def test_how_often_something_is_logged_makes_no_difference(make: Make) -> None:
    assert len(groups_of([make(), changed(make, "train", log_every=50)])) == 1


def test_other_content_of_the_data_is_another_group(make: Make) -> None:
    groups = groups_of([make(), make(digest="0ther", seed=1)])
    assert sorted(group.differs for group in groups) == ["data digest = 0ther", "data digest = d1e5"]


def test_a_run_that_ended_before_its_data_was_read_stays_with_the_others(make: Make) -> None:
    (group,) = groups_of([make(), make(seed=1, status="failed", provenance={"data": {}})])
    assert len(group.runs) == 2


def test_presets_with_the_same_shared_settings_meet_and_are_named(make: Make) -> None:
    (group,) = groups_of([make(), make(preset="released", own={"k": 10, "c": 1.0}), make(model="mvae")])
    assert sorted(group.names.values()) == ["MEME (common)", "MEME (released)", "MVAE"]
    assert group.title == "digits, presets common, released"


def test_own_settings_that_differ_are_named(make: Make) -> None:
    (group,) = groups_of([make(), make(own={"k": 30, "c": 10.0}), make(paired_only=True, scheme="split", f=0.5)])
    assert sorted(group.names.values()) == ["MEME (k 10)", "MEME (k 30)", "MEME (paired rows only)"]


def test_an_older_version_of_a_model_is_left_out(make: Make) -> None:
    (group,) = groups_of([make(seed=0), make(seed=1, provenance={"model_version": 2})])
    assert [run.spec["seed"] for run in group.runs] == [1]
    assert [run.spec["seed"] for run in group.left_out] == [0]


def test_runs_of_a_plug_in_file_as_it_was_before_are_left_out(make: Make) -> None:
    def plugin(digest: str, **more: str) -> dict[str, Any]:
        return {"plugins": {"model": {"file": "/mine.py", "digest": digest, **more}}}

    runs = [
        replace(make(seed=i, provenance=plugin(digest)), created=f"2026-01-0{i + 1}T00:00:00Z")
        for i, digest in enumerate("aab")
    ]
    (group,) = groups_of(runs)
    assert [run.spec["seed"] for run in group.runs] == [2]
    assert [run.spec["seed"] for run in group.left_out] == [0, 1]
    packaged = [make(seed=i, provenance=plugin(digest, distribution="acme")) for i, digest in enumerate("ab")]
    assert len(groups_of(packaged)[0].runs) == 2, "a distribution is known by its name and the model's version"


def test_the_order_of_the_records_does_not_matter(make: Make) -> None:
    runs = [make(seed=s, scheme=c, f=f) for s in (0, 1) for c, f in (("complete", 1.0), ("split", 0.5))]
    assert groups_of(runs) == groups_of(runs[::-1])


def test_lines_are_named_as_in_the_paper() -> None:
    assert label("MEME", "svhn-only") == r"MEME$_{\mathrm{SVHN}}$"
    assert label("MEME (released)", "split") == r"MEME$_{\mathrm{SPLIT}}$ (released)"
    assert label("MEME", "complete") == "MEME"
    assert label("A$B", "complete") == r"A\$B"


def test_colours_are_fixed_by_name_and_styles_tell_schemes_apart() -> None:
    assert colour("meme") != colour("mvae") != colour("mmvae") != colour("meme")
    assert colour("from outside") == colour("from outside")
    schemes = ["split", "mnist-only", "svhn-only"]
    assert len({str(line_style(scheme, schemes)) for scheme in schemes}) == 3


def test_names_that_would_fall_together_stay_apart_as_files() -> None:
    assert len({safe("a/b"), safe("a b"), safe("a-b"), safe("<b>"), safe(".."), safe("")}) == 6
    assert "/" not in safe("../../etc")
    assert not safe("../x").startswith(".")
