"""Reading a plan: strict, every error says where, overrides and includes."""

from pathlib import Path

import pytest

from mmbench.errors import InvalidSetting, UnknownName
from mmbench.sweep.plan import Plan, overridden, read_plan, ready_plans


@pytest.fixture
def written(tmp_path: Path):
    """A plan of this text, read."""

    def read(text: str, name: str = "mine.yaml") -> Plan:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_plan(str(tmp_path / name))

    return read


def test_blocks_take_the_defaults_and_put_their_own_in_place(written):
    plan = written("""
        title: T
        about: A
        defaults: {dataset: digits, seed: [0, 1], set: {model.beta: [1, 2], train.lr: 0.1}}
        grid:
          - {model: mvae, seed: 3}
          - {f: [0.5, 0.25], set: {train.lr: [1, 2]}, metrics: none}
    """)
    first, second = plan.blocks
    assert (plan.name, plan.title, plan.about) == ("mine", "T", "A")
    assert first.values == {"dataset": ("digits",), "seed": (3,), "model": ("mvae",)}
    assert first.sets == {"model.beta": (1, 2), "train.lr": (0.1,)}
    assert second.values == {"dataset": ("digits",), "seed": (0, 1), "f": (0.5, 0.25), "metrics": ((),)}
    assert second.sets == {"model.beta": (1, 2), "train.lr": (1, 2)}
    assert first.where.endswith("mine.yaml, grid[1]")


@pytest.mark.parametrize(
    ("defaults", "block", "left"),
    [
        ("steps: 5", "epochs: 2", {"epochs": (2,)}),
        ("epochs: 5", "set: {train.steps: 2}", {}),
        ("steps: 5", "f: 1", {"steps": (5,), "f": (1,)}),
    ],
)
def test_a_block_with_one_of_steps_and_epochs_drops_the_other_of_the_defaults(written, defaults, block, left):
    (found,) = written(f"defaults: {{{defaults}}}\ngrid: [{{{block}}}]").blocks
    assert dict(found.values) == left


def test_a_list_in_a_list_is_one_value_of_a_setting(written):
    (block,) = written("grid: [{set: {arch.hidden: [[64, 32], [8]], train.lr: 1}}]").blocks
    assert block.sets == {"arch.hidden": ([64, 32], [8]), "train.lr": (1,)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("grid: [{modle: meme}]", "unknown key in {file}, grid[1]: 'modle'; did you mean 'model'?"),
        ("gird: []", "unknown key in {file}: 'gird'; did you mean 'grid'?"),
        ("defaults: {seeds: 1}", "unknown key in {file}, defaults: 'seeds'; did you mean 'seed' or"),
        ("a: 1\na: 2", "{file}, line 2: the key 'a' stands twice; a plan is a YAML file."),
        ("grid: [{model: [meme}]", "{file}, line 1: "),
        ("a: !!python/object/apply:os.getcwd []", "{file}, line 1: could not determine a constructor"),
        ("just text", "{file} must map keys to values (`key: value`), got 'just text'."),
        ("title: 3\ngrid: [{}]", "{file}, title must be text, got 3; put it in quotation marks."),
        ("title: none to run", "{file} has no run: give `grid` at least one block, or `include` a plan."),
        ("grid: {model: meme}", "{file}, grid must be a list of blocks, got {'model': 'meme'}; begin each block"),
        ("grid: [meme]", "{file}, grid[1] must map keys to values (`key: value`), got 'meme'."),
        ("grid: [{seed: []}]", "{file}, grid[1].seed has no value in its list; give one, or leave the key out."),
        ("grid: [{seed: [0, -1]}]", "{file}, grid[1].seed must be a whole number from 0 to 2^63 - 1, got -1."),
        ("grid: [{seed: yes}]", "{file}, grid[1].seed must be a whole number from 0 to 2^63 - 1, got True."),
        ("grid: [{f: [[1]]}]", "{file}, grid[1].f must be a word, a number, true or false, or a list of them, got [1]"),
        ("grid: [{set: {train.lr: {a: 1}}}]", "{file}, grid[1].set.train.lr must be a word, a number"),
        ("grid: [{metrics: [1]}]", "{file}, grid[1].metrics must be a list of names, got [1]."),
        ("include: [mine.yaml]", "{file} includes itself; leave it out of `include`."),
        ("include: [other/plan]", "other/plan is no file that is there; name one, or a plan of `mmbench list plans`."),
        ("include: [paper-fig6]", "unknown plan 'paper-fig6'; did you mean"),
    ],
)
def test_what_is_no_plan_says_where(written, tmp_path, text, sentence):
    with pytest.raises((InvalidSetting, UnknownName)) as caught:
        written(text)
    assert sentence.replace("{file}", str(tmp_path / "mine.yaml")) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "mine.yaml is no file that is there"), (b"\xff\xfe\x00", "is not text in UTF-8")]
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(InvalidSetting, match=sentence):
        read_plan(str(tmp_path / "mine.yaml"))


def test_an_unknown_name_lists_the_ready_plans():
    with pytest.raises(UnknownName, match=r"unknown plan 'paper-fig55'; did you mean 'paper-fig5'.*digits-example"):
        read_plan("paper-fig55")


def test_included_plans_come_first_with_their_own_defaults(written):
    written("defaults: {seed: 7}\ngrid: [{model: mvae}]", "other.yaml")
    plan = written("include: [other.yaml, paper-fig19]\ndefaults: {seed: 8}\ngrid: [{model: meme}]")
    assert [block.values["seed"] for block in plan.blocks] == [(7,), (0,), (8,)]
    assert plan.blocks[1].where == "paper-fig19.yaml, grid[1]"


def test_what_is_given_replaces_what_the_plan_has(written):
    plan = written("defaults: {epochs: 3, seed: [0, 1]}\ngrid: [{set: {train.lr: [1, 2]}}, {dataset: digits}]")
    given = overridden(plan, dataset="tiny", seeds=[5], steps=9, metrics=["a"], sets={"train.lr": "3"})
    for block in given.blocks:
        assert block.values == {"dataset": ("tiny",), "seed": (5,), "steps": (9,), "metrics": (("a",),)}
        assert block.sets == {"train.lr": ("3",)}
    assert overridden(plan) == plan
    with pytest.raises(InvalidSetting, match="the seed of every run must be a whole number"):
        overridden(plan, seeds=[-1])


def test_every_ready_plan_has_a_title_and_says_what_it_is():
    assert {"digits-example", "paper-fig5", "paper-table7"} <= set(ready_plans())
    for name, title in ready_plans().items():
        plan = read_plan(name)
        assert plan.title == title != name
        assert plan.about
