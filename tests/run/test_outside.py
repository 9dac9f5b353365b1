"""Code from outside in a run: the record says whose it is, and a changed file is never taken for what it was."""

import hashlib
import json
import sys
from dataclasses import replace

import pytest

from mmbench import plugins
from mmbench.errors import CannotBear
from mmbench.registry import entered_from_outside, forget
from mmbench.run import Request, RunOptions, evaluate_run, fit_key, load, resolve, run
from mmbench.sweep import child
from mmbench.sweep.expansion import Entry
from mmbench.sweep.outcome import Outcome
from mmbench.sweep.standing import standings
from mmbench.testing import starting

QUIET = RunOptions(device="cpu", quiet=True)


def digest_of(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest(path):
    return digest_of(path.read_text())


@pytest.fixture
def model(outside):
    """The file of model `mine`, loaded."""
    path = outside.file("mine.py", starting.source("model", "mine"))
    plugins.load(path)
    return path


@pytest.fixture
def metric(outside):
    """The file of metric `error`, loaded."""
    path = outside.file("error.py", starting.source("metric", "error"))
    plugins.load(path)
    return path


def change(path, old="", new=""):
    """Replace a text in the file, or add a comment, and load it again."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) if old else text + "# a comment\n")
    plugins.load(path)


def test_a_record_says_which_files_and_distributions_its_parts_came_from(tiny, store, model, metric, outside):
    outside.distribution(
        "acme", {"mmbench.schemes": {"theirs": "outside_acme:Ours"}}, {"outside_acme": outside.scheme("theirs")}
    )
    record = run(resolve(tiny.request(model="mine", scheme="theirs", metrics=("error",))), store, QUIET)
    found = dict(record.provenance["plugins"])
    assert found.pop("dataset")["file"].endswith("tiny_world.py")
    acme = outside.folder / "acme" / "outside_acme.py"
    assert found == {
        "model": {"file": str(model), "digest": digest(model)},
        "scheme": {
            "distribution": "acme",
            "version": "1.5",
            "module": "outside_acme",
            "file": str(acme),
            "digest": digest(acme),
        },
        "metrics": {"error": {"file": str(metric), "digest": digest(metric)}},
    }
    assert {score.details["code"] for score in record.scores} == {f"error.py {digest(metric)}"}


def test_a_run_of_mmbenchs_own_parts_says_nothing_of_plugins(store):
    spec = resolve(Request(model="mvae", dataset="linear-gaussian", steps=2, metrics=("latent_accuracy",)))
    record = run(spec, store, QUIET)
    assert "plugins" not in record.provenance
    assert all("code" not in score.details for score in record.scores)


def test_a_changed_model_file_is_another_fit_and_the_old_one_again_the_first(tiny, model):
    spec = resolve(tiny.request(model="mine"))
    first, text = fit_key(spec, "d"), model.read_text()
    change(model)
    assert fit_key(spec, "d") != first
    model.write_text(text)
    plugins.load(model)
    assert fit_key(spec, "d") == first


def test_a_moved_file_is_the_same_fit(tiny, model):
    spec = resolve(tiny.request(model="mine"))
    first = fit_key(spec, "d")
    plugins.unload(model)
    plugins.load(model.rename(model.with_name("moved.py")))
    assert fit_key(spec, "d") == first


def test_a_distribution_is_known_by_its_name_and_not_by_its_file(tiny, outside):
    def key(name, text):
        """The fit key of a run with the scheme of a distribution, which is gone again afterwards."""
        module = f"outside_{name}"
        with pytest.MonkeyPatch.context() as monkeypatch:
            made = replace(outside, monkeypatch=monkeypatch, folder=outside.folder / digest_of(text))
            made.distribution(name, {"mmbench.schemes": {"theirs": f"{module}:Ours"}}, {module: text})
            found = fit_key(resolve(tiny.request(scheme="theirs")), "d")
        forget([held for held in entered_from_outside() if held[1] == "theirs"])
        del sys.modules[module]
        return found

    first, changed = outside.scheme("theirs"), outside.scheme("theirs", "says it otherwise")
    assert key("acme", first) == key("acme", changed)
    assert key("acme", first + "\n") != key("best", first)


def test_scores_are_added_with_the_file_as_it_was_and_with_no_other(tiny, store, model):
    record = run(resolve(tiny.request(model="mine", metrics=())), store, QUIET)
    assert len(evaluate_run(record.id, store, ["spread"], options=QUIET).scores) == 1
    before, text = digest(model), model.read_text()
    change(model, "-elbo.mean()", "-2 * elbo.mean()")
    for act in (lambda: evaluate_run(record.id, store, ["spread"], options=QUIET), lambda: load(record.id, store)):
        with pytest.raises(
            CannotBear, match=rf"its model 'mine' from .*mine\.py with the digest {before}, and that of"
        ):
            act()
    plugins.unload(model)
    with pytest.raises(CannotBear, match=r"its model 'mine' from .*mine\.py; name that file with --plugin\.$"):
        load(record.id, store)
    model.write_text(text)
    plugins.load(model)
    assert load(record.id, store).spec.model == "mine"


def test_a_changed_metric_file_is_computed_again_and_takes_the_place_of_the_old_scores(tiny, store, metric):
    spec = resolve(tiny.request(metrics=("error",)))
    first = run(spec, store, QUIET)
    assert [standing.state for standing in standings([entry(spec)], store.runs(), QUIET)] == ["done"]
    assert run(spec, store, QUIET).scores == first.scores
    change(metric, "square().mean(1)", "square().mean(1).mul(4)")
    assert [standing.state for standing in standings([entry(spec)], store.runs(), QUIET)] == ["to score"]
    second = run(spec, store, QUIET)
    assert second.id == first.id
    assert [s.value for s in second.scores] == pytest.approx([4 * s.value for s in first.scores])
    assert {score.details["code"] for score in second.scores} == {f"error.py {digest(metric)}"}
    assert [standing.state for standing in standings([entry(spec)], store.runs(), QUIET)] == ["done"]


def entry(spec):
    return Entry(None, spec)


def test_processes_are_sent_the_files_as_they_were_read(tiny, model, monkeypatch):
    text = model.read_bytes()
    model.write_bytes(text + b"# changed")
    asked = json.loads(child.request(resolve(tiny.request(model="mine")), "store.db", QUIET))
    assert asked["plugins"] == [{"path": str(model), "content": text.decode("latin-1")}]
    plugins.unload(model)
    began = []
    monkeypatch.setattr(
        "mmbench.sweep.outcome.carried", lambda spec, store, options: began.append(spec) or Outcome(spec, "done")
    )
    monkeypatch.setattr(child, "_heed", lambda: None)
    assert child._outcome(asked, lambda sentence: None)["status"] == "done"
    assert [file.content for file in plugins.loaded()] == [text]
    assert began[0].model == "mine"


def test_networks_of_a_file_are_part_of_the_fit(tiny, outside):
    text = "from mmbench.models import NETWORKS, build\nfrom dataclasses import replace\n" + (
        "@NETWORKS.register('mine')\ndef mine(spec, arch):\n    return build(spec, replace(arch, networks='small'))\n"
    )
    path = outside.file("nets.py", text)
    plugins.load(path)
    spec = resolve(tiny.request(sets={"arch.networks": "mine"}))
    key = fit_key(spec, "d")
    change(path)
    assert fit_key(spec, "d") != key
