"""Commands that bring what a page lacks: a run that joins the group it is offered for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmbench.results.records import RunRecord
from mmbench.results.report.commands import further_run
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import groups_of
from mmbench.results.report.source import Records

Make = Callable[..., RunRecord]


def offered(runs: list[RunRecord], folder: Path, *options: str) -> list[str]:
    return [further_run(Desk(Records(runs), folder, group, []), *options) for group in groups_of(runs)]


def changed(run: RunRecord, section: str, **values: object) -> RunRecord:
    settings = run.spec["settings"]
    return replace(run, spec={**run.spec, "settings": {**settings, section: {**settings[section], **values}}})


def test_length_scheme_and_fraction_are_those_of_the_runs(make: Make, tmp_path: Path) -> None:
    runs = [changed(make(scheme="split", f=0.25), "train", steps=20)]
    base = "mmbench run --model meme --dataset digits"
    assert offered(runs, tmp_path) == [f"{base} --scheme split --f 0.25 --steps 20"]
    asked = ("--scheme", "mcar", "--f", "0.5")
    assert offered(runs, tmp_path, *asked) == [f"{base} --steps 20 --scheme mcar --f 0.5"]


def test_what_sets_groups_apart_is_set(make: Make, tmp_path: Path) -> None:
    runs = [make(), replace(changed(make(), "data", pairs=3), id="other")]
    commands = offered(runs, tmp_path)
    own = make().spec["settings"]["data"]["pairs"]
    assert sorted(command.rpartition(" ")[2] for command in commands) == sorted([f"data.pairs={own}", "data.pairs=3"])
