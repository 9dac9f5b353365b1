"""Bad input: one sentence that says what, where and what instead; exit code 2; store and files as they were.

Each case names words that the sentence must hold: what was wrong, and the remedy or the nearest names.
"""

import gzip
import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

RUN = ("run", "--quiet", "--steps", "1", "--metrics", "none")


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below a folder with its digest; SQLite's own side files come and go with readers."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def refused(invoke, tmp_path):
    """Invoke, check everything that holds for all bad input, and return the sentence."""

    def check(*args: object) -> str:
        before = snapshot(tmp_path)
        result = invoke(*args)
        assert result.exit_code == 2, result.output or repr(result.exception)
        assert result.stdout == ""
        assert result.stderr.startswith("mmbench: ")
        assert result.stderr.count("\n") == 1
        assert snapshot(tmp_path) == before
        return result.stderr.removeprefix("mmbench: ").strip()

    return check


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--model", "memee"], ["unknown model 'memee'", "did you mean", "'meme'", "Known: ", "mmvae, "]),
        (["--preset", "papr"], ["unknown preset", "'papr'", "did you mean 'paper'"]),
        (["--dataset", "digit"], ["unknown dataset 'digit'", "did you mean 'digits'"]),
        (["--scheme", "splt"], ["unknown scheme 'splt'", "did you mean 'split'"]),
        (["--scheme", "svhn-only"], ["unknown scheme 'svhn-only'", "street-only", "handwritten-only"]),
        (["--metrics", "coherence"], ["unknown metric 'coherence'", "cross_coherence"]),
        (["--set", "model.kk=3"], ["unknown setting", "'kk'", "did you mean 'k'"]),
        (["--set", "trian.lr=3"], ["unknown section", "'trian'", "did you mean 'train'"]),
        (["--set", "model.k"], ["--set needs KEY=VALUE", "model.k=30", "'model.k'"]),
        (["--set", "model.k=3", "--set", "model.k=4"], ["--set model.k is given twice"]),
        (["--set", "model.k=three"], ["model.k must be a whole number", "'three'"]),
        (["--set", "train.lr=nan"], ["train.lr must be a finite number", "'nan'"]),
        (["--set", "train.lr=-1"], ["train.lr must be greater than 0", "-1"]),
        (["--set", "model.own=some"], ["model.own", "'some'", "all, drawn, one"]),
        (["--set", "metrics.nothing.x=1"], ["unknown metric 'nothing'"]),
        (["--set", "arch.networks=paper"], ["paper"]),
        (["--f", "0"], ["f must lie in (0, 1]", "0"]),
        (["--f", "1.5"], ["f must lie in (0, 1]", "1.5"]),
        (["--f", "nan"], ["f must lie in (0, 1]", "nan"]),
        (["--f", "half"], ["--f", "'half'"]),
        (["--scheme", "split", "--f", "0.0001"], ["f = 0.0001 leaves none of the 1438 rows complete", "use f >="]),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--threads", "0"], ["threads", "0"]),
        (["--device", "tpu"], ["--device", "'tpu'", "auto", "cuda"]),
        (["--epochs", "1"], ["steps", "epochs"]),
        (["--dataset", "mnist-svhn"], ["mnist-svhn", "mmbench data fetch mnist-svhn", "MMBENCH_DATA"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("--") else "",
)
def test_run_refuses(refused, monkeypatch, args, words):
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    sentence = refused(*RUN, *args)
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(("option", "value"), [("--epochs", "0"), ("--steps", "0"), ("--steps", "-3")])
def test_run_refuses_no_training_at_all(refused, option, value):
    sentence = refused("run", option, value)
    assert f"train.{option[2:]} must lie in [1, ...]" in sentence
    assert value in sentence


def test_run_refuses_a_device_that_is_not_there(refused, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    sentence = refused(*RUN, "--device", "cuda")
    assert "cuda" in sentence
    assert "--device cpu" in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", ["is not JSON", "--dry-run"]),
        ("[1, 2]", ["holds no run spec", "--dry-run"]),
        ('{"model": "meme"}', ["needs the key", "--dry-run"]),
        ('{"modell": "meme"}', ["unknown key of a run spec 'modell'", "did you mean 'model'"]),
    ],
)
def test_run_refuses_a_spec_file(refused, tmp_path, content, words):
    path = tmp_path / "spec.json"
    path.write_text(content)
    sentence = refused("run", "--spec", path)
    assert all(word in sentence for word in words), sentence


def test_run_refuses_a_spec_file_that_is_absent_or_comes_with_options(refused, tmp_path):
    assert "absent.json" in refused("run", "--spec", tmp_path / "absent.json")
    (tmp_path / "spec.json").write_text("{}")
    sentence = refused("run", "--spec", tmp_path / "spec.json", "--steps", "3")
    assert sentence == "--spec holds the whole run; leave out --steps."


def test_run_refuses_a_spec_with_a_changed_default(refused, invoke, tmp_path):
    spec = json.loads(invoke("run", "--dry-run").stdout)
    spec["settings"]["train"]["lr"] = "fast"
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert "train.lr must be a number" in refused("run", "--spec", tmp_path / "spec.json")


@pytest.mark.parametrize("command", [["show"], ["report"], ["export"], ["evaluate", "meme"]])
def test_absent_store(refused, tmp_path, command):
    sentence = refused(*command, "--store", tmp_path / "none.db")
    assert str(tmp_path / "none.db") in sentence


@pytest.mark.parametrize("command", [["show"], ["report"], ["export"], ["evaluate", "meme"], RUN])
def test_store_that_is_no_database(refused, tmp_path, command):
    path = tmp_path / "letter.db"
    path.write_text("Dear reader, this is not a database, however long it may be. " * 50)
    sentence = refused(*command, "--store", path)
    assert str(path) in sentence
    assert "is not a database" in sentence


@pytest.mark.parametrize("command", [["show"], ["report"], ["export"], ["evaluate", "mvae"], RUN])
def test_store_of_a_newer_schema(refused, store, command):
    connection = sqlite3.connect(store)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()  # the last connection moves the write-ahead log into the file
    sentence = refused(*command, "--store", store)
    assert "newer" in sentence


def test_run_into_a_folder_that_is_a_file(refused, tmp_path):
    (tmp_path / "taken").write_text("")
    sentence = refused(*RUN, "--store", tmp_path / "taken" / "results.db")
    assert "taken" in sentence


def test_password_of_a_store_url_is_never_shown(refused):
    sentence = refused("show", "--store", "postgresql://me:secret@localhost:1/none")
    assert "secret" not in sentence


@pytest.mark.parametrize("command", ["show", "evaluate"])
def test_unknown_run(refused, store, command):
    sentence = refused(command, "mvea", "--store", store)
    assert "'mvea'" in sentence
    assert "mvae-digits-split-0.5-s0-aaaa" in sentence


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["list", "modls"], ["'modls'", "models"]),
        (["export", "--format", "xml"], ["'xml'", "csv", "json"]),
        (["data", "fetch", "mnist"], ["unknown dataset 'mnist'; did you mean", "or 'mnist-svhn'"]),
        (["data", "verify", "mnist-svhn"], ["mnist-svhn", "mmbench data fetch"]),
        (["data", "path"], ["--data-root", "MMBENCH_DATA"]),
        (["trian"], ["'trian'"]),
        (["run", "--modell", "meme"], ["--modell", "--model"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_other_commands_refuse(refused, monkeypatch, args, words):
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    sentence = refused(*args)
    assert all(word in sentence for word in words), sentence


def test_truncated_data_files(refused, tmp_path):
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    header = bytes([0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28])
    for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"):
        (raw / f"{name}.gz").write_bytes(gzip.compress(header + bytes(100)))
    sentence = refused(*RUN, "--dataset", "mnist-svhn", "--data-root", tmp_path / "data")
    assert "truncated" in sentence or "train-labels" in sentence
