"""`--plugin`, `new`, `check` and `list plugins`: the story of a component from outside, and what goes wrong in it."""

import json
from pathlib import Path

import pytest

from mmbench import plugins
from mmbench.datasets import SCHEMES
from mmbench.results.store import Store

QUICK = ("--steps", "20", "--threads", "1", "--quiet")

CHECKED = """\
kept      its name is the one that it is registered under
kept      parts are disjoint and within the table
kept      a fraction f stays complete
kept      parts keep some of the modalities in order
kept      every pattern it draws is one that it names
kept      rows without classes are divided or refused
kept      the seed decides
kept      a fraction outside its range is refused
scheme one-less: 8 kept, 0 broken, 0 left out
"""


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path, outside):
    """An empty folder, and registries as they were afterwards."""
    monkeypatch.chdir(tmp_path)
    return outside


# new ------------------------------------------------------------------------------------------------------------------
def test_a_new_scheme_is_checked_and_used(invoke):
    made = invoke("new", "scheme", "one-less")
    assert (made.exit_code, made.stdout) == (0, "one_less.py\n")
    assert made.stderr == "check it: mmbench check one-less --plugin one_less.py\n"
    checked = invoke("check", "one-less", "--plugin", "one_less.py")
    assert (checked.exit_code, checked.stdout, checked.stderr) == (0, CHECKED, "")
    asked = ("run", "--model", "mvae", "--scheme", "one-less", "--f", "0.5", "--metrics", "none", *QUICK)
    ran = invoke(*asked, "--plugin", "one_less.py")
    assert ran.exit_code == 0, ran.stderr
    assert "mvae-digits-one-less-0.5-s0" in ran.stdout


def test_a_new_dataset_is_checked_and_trained_on(invoke):
    invoke("new", "dataset", "quarters", "--out", "data.py")
    checked = invoke("check", "quarters", "--plugin", "data.py")
    assert checked.exit_code == 0, checked.stdout
    assert "broken  " not in checked.stdout
    ran = invoke("run", "--model", "mvae", "--dataset", "quarters", "--metrics", "none", "--plugin", "data.py", *QUICK)
    assert ran.exit_code == 0, ran.stderr


@pytest.mark.parametrize(
    ("kind", "used"),
    [
        ("model", ("--model", "mine", "--metrics", "none")),
        pytest.param("metric", ("--model", "mvae", "--metrics", "mine"), marks=pytest.mark.slow),
    ],
)
def test_a_new_model_and_a_new_metric_are_checked_and_used(invoke, kind, used):
    invoke("new", kind, "mine")
    checked = invoke("check", "mine", "--plugin", "mine.py")
    assert checked.exit_code == 0, checked.stdout
    ran = invoke("run", *used, "--plugin", "mine.py", *QUICK)
    assert ran.exit_code == 0, ran.stderr


@pytest.mark.parametrize(
    "name", ["Mine", "my model", "1st", "my--model", "", "none", "../mine", "a" * 41, "mine;x", "é"]
)
def test_a_name_that_cannot_be_is_refused_and_nothing_written(invoke, tmp_path, name):
    result = invoke("new", "metric", name)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"mmbench: a metric cannot be named {name!r}; use up to 40 small letters")
    assert not list(tmp_path.iterdir())


def test_new_overwrites_nothing_and_takes_no_name_that_is_taken(invoke, outside, tmp_path):
    outside.file("one_less.py", "precious")
    result = invoke("new", "scheme", "one-less")
    assert (result.exit_code, result.stderr) == (
        2, "mmbench: one_less.py is there already; name another file with --out.\n"
    )  # fmt: skip
    assert Path("one_less.py").read_text() == "precious"
    result = invoke("new", "scheme", "split")
    assert (result.exit_code, result.stderr) == (
        2, "mmbench: there is a scheme named 'split' already; choose another name.\n"
    )  # fmt: skip
    result = invoke("new", "scheme", "mine", "--out", "no/such/folder.py")
    assert result.stderr == (
        "mmbench: cannot write no/such/folder.py: No such file or directory; name another file with --out.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["one_less.py"]


# check ----------------------------------------------------------------------------------------------------------------
def test_a_broken_promise_is_told_with_its_reason_and_code_1(invoke, outside):
    text = outside.scheme("mine").replace("[((names[0],), rest)]", "[((names[0],), rest), ((names[0],), rest)]")
    outside.file("mine.py", text)
    result = invoke("check", "mine", "--plugin", "mine.py")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[1] == "broken    parts are disjoint and within the table: a row stands in two parts at f = 0.5."
    assert lines[-1].startswith("scheme mine: ")
    assert ", 0 broken" not in lines[-1]


def test_an_error_of_the_component_is_a_broken_promise_with_its_place(invoke, outside):
    outside.file("mine.py", outside.scheme("mine").replace("return [((names[0],), rest)]", "return names.rest"))
    result = invoke("check", "mine", "--plugin", "mine.py")
    assert result.exit_code == 1
    first = result.stdout.splitlines()[1]
    assert first.startswith("broken    parts are disjoint and within the table: AttributeError: ")
    assert first.endswith("mine.py, line 13)")


def test_another_name_than_its_own_is_a_broken_promise(invoke, outside):
    outside.file("mine.py", outside.scheme("mine").replace('template = "mine"', 'template = "other"'))
    result = invoke("check", "mine", "--plugin", "mine.py")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].endswith(": it is registered as 'mine', and calls itself 'other'.")


def test_check_finds_the_kind_by_name_or_asks_for_it(invoke, outside):
    unknown = invoke("check", "splt")
    assert unknown.exit_code == 2
    assert unknown.stderr.startswith("mmbench: unknown component 'splt'; did you mean 'split' or ")
    outside.distribution("acme", {"mmbench.models": {"split": "outside_acme:Model"}})
    both = invoke("check", "split")
    assert (both.exit_code, both.stderr) == (
        2, "mmbench: there are a model and a scheme named 'split'; say which with --kind.\n"
    )  # fmt: skip
    assert invoke("check", "split", "--kind", "scheme").exit_code == 0


def test_check_of_one_that_cannot_be_imported(invoke, outside):
    outside.distribution("acme", {"mmbench.schemes": {"theirs": "outside_none:Ours"}})
    result = invoke("check", "theirs")
    assert (result.exit_code, result.stderr) == (
        2,
        "mmbench: scheme 'theirs' of acme 1.5 cannot be had: outside_none:Ours fails to import: "
        "ModuleNotFoundError: No module named 'outside_none'.\n",
    )


# list -----------------------------------------------------------------------------------------------------------------
def test_list_shows_what_is_installed_without_importing_it_and_list_plugins_tries_it(invoke, outside):
    outside.distribution(
        "acme",
        {
            "mmbench.schemes": {"fine": "outside_acme:Ours", "split": "outside_acme:Split"},
            "mmbench.models": {"lost": "outside_acme:Nothing"},
        },
        {"outside_acme": outside.scheme("fine") + "\nimport builtins\nbuiltins.outside_count += 1\n"},
    )
    import builtins

    outside.monkeypatch.setattr(builtins, "outside_count", 0, raising=False)
    listed = invoke("list", "schemes").stdout.splitlines()
    assert next(line for line in listed if line.startswith("fine")).split(maxsplit=1)[1] == (
        "of acme 1.5 (outside_acme:Ours)"
    )
    assert "of acme 1.5 (outside_acme:Nothing)" in invoke("list", "models").stdout
    assert builtins.outside_count == 0
    result = invoke("list", "plugins")
    assert result.exit_code == 0
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == ["kind", "model", "scheme", "scheme"]
    lost, fine, split = result.stdout.splitlines()[1:]
    assert "fails to import: AttributeError: module 'outside_acme' has no attribute 'Nothing'." in lost
    assert fine.endswith("  works")
    assert "2 schemes are named 'split', of mmbench itself and of acme 1.5" in split
    assert builtins.outside_count == 1


def test_list_plugins_without_any(invoke):
    assert invoke("list", "plugins").stdout == "kind  name  from  state\n"


def test_list_plugins_shows_files_and_those_that_fail(invoke, outside):
    mine, broken = outside.file("mine.py", outside.scheme("mine")), outside.file("broken.py", "1 / 0")
    result = invoke("list", "plugins", "--plugin", mine, "--plugin", broken)
    assert result.exit_code == 0
    _, first, second = result.stdout.splitlines()
    assert first.split() == ["scheme", "mine", str(mine), "works"]
    assert second.startswith("file ")
    assert second.endswith(f"plug-in {broken} fails to import at line 1: ZeroDivisionError: division by zero.")
    assert result.stderr.count("Its components are left out.") == 1


# --plugin -------------------------------------------------------------------------------------------------------------
def test_a_named_file_that_fails_is_bad_input(invoke, outside):
    path = outside.file("broken.py", "1 / 0")
    for command in (["run", "--dry-run"], ["check", "split"], ["data", "verify", "digits"], ["sweep", "paper-fig5"]):
        result = invoke(*command, "--plugin", path)
        assert (result.exit_code, result.stdout, result.stderr) == (
            2, "", f"mmbench: plug-in {path} fails to import at line 1: ZeroDivisionError: division by zero.\n"
        )  # fmt: skip


def test_one_of_the_environment_that_fails_stops_nothing(invoke, outside):
    outside.monkeypatch.setenv("MMBENCH_PLUGINS", f"{outside.file('broken.py', '1 / 0')}:{outside.folder}/mine.py")
    outside.file("mine.py", outside.scheme("mine"))
    result = invoke("run", "--model", "mvae", "--scheme", "mine", "--f", "0.5", "--dry-run")
    assert (result.exit_code, json.loads(result.stdout)["scheme"]) == (0, "mine")
    assert result.stderr == (
        f"mmbench: plug-in {outside.folder}/broken.py fails to import at line 1: ZeroDivisionError: division by zero. "
        "Its components are left out.\n"
    )


def test_no_file_is_executed_for_help(invoke, outside):
    outside.monkeypatch.setenv("MMBENCH_PLUGINS", str(outside.file("broken.py", "1 / 0")))
    assert invoke("run", "--help").stderr == ""
    assert not plugins.failed()


def test_a_name_of_mmbench_in_a_named_file_is_bad_input(invoke, outside):
    path = outside.file("mine.py", outside.scheme("split"))
    result = invoke("run", "--plugin", path, "--dry-run")
    assert result.exit_code == 2
    assert "two schemes are named 'split' (mmbench.datasets.schemes.Split and " in result.stderr
    assert SCHEMES["split"].by_coin


@pytest.mark.slow
def test_processes_run_the_file_as_it_was_when_the_command_began(invoke, outside, tmp_path):
    """A file that changes itself when it is loaded: every run must still be of what the command read."""
    path = outside.file("mine.py", outside.scheme("mine"))
    path.write_text(outside.scheme("mine") + "\n__import__('pathlib').Path(__file__).write_text('1 / 0')\n")
    asked = ("run", "--model", "mvae", "--scheme", "mine", "--f", "0.5", "--seeds", "0,1", "--jobs-per-device", 2)
    store = tmp_path / "results.db"
    result = invoke(*asked, "--metrics", "none", "--plugin", path, "--store", store, *QUICK)
    assert result.exit_code == 0, result.output
    assert path.read_text() == "1 / 0"
    with Store.open_readonly(store) as opened:
        origins = [run.provenance["plugins"] for run in opened.runs()]
    assert len(origins) == 2
    assert origins[0] == origins[1] == {"scheme": {"file": str(path), "digest": origins[0]["scheme"]["digest"]}}
