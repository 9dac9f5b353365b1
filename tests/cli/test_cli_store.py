"""`show` and `export` over a store made by hand: whole outputs."""

import csv
import io
import json
import os
import subprocess

RUNS = """\
run                               status    model  preset  dataset  scheme    f    seed
mvae-digits-split-0.5-s0-aaaa     done      mvae   common  digits   split     0.5  0
meme-digits-complete-1.0-s1-bbbb  diverged  meme   common  digits   complete  1.0  1
"""

RUN = """\
run mvae-digits-split-0.5-s0-aaaa: done (20 steps in 2 s, 1280 pairs/s)
mvae (common) on digits, split f=0.5, seed 0
model settings: beta=1, anneal=0
fit key: aaaa000011112222
created: 2026-01-02T03:04:05+00:00

spec
  model: mvae
  preset: common
  dataset: digits
  scheme: split
  f: 0.5
  seed: 0
  paired_only: False
  settings:
    model:
      beta: 1
      anneal: 0
    data:
      size: small
    train:
      steps: 20
  metrics:
    cross_coherence:
      label: true

provenance
  device: cpu
  data:
    status: embedded
    digest: d1

facts
  title: MVAE
  partial_train_holds: True

timings
  train_s: 2
  steps: 20
  pairs_per_s: 1280

scores
metric           given        target  estimator         value    stderr  n
cross_coherence  handwritten  street  micro             0.500    0.025   400
cross_coherence  handwritten  street  class (class=3)   0.250    0.050   75
log_likelihood                street  iwae-100 (K=100)  -1234.5  1.500   400
relatedness                                             skipped          0
relatedness skipped: no density
"""

IDENTITY = ["run", "model", "preset", "dataset", "scheme", "f", "seed"]
COLUMNS = [*IDENTITY, "metric", "given", "target", "value", "stderr", "n", "estimator", "status"]


def test_show_lists_runs(invoke, store):
    result = invoke("show", "--store", store)
    assert (result.exit_code, result.stdout, result.stderr) == (0, RUNS, "")


def test_show_prints_a_run_whole(invoke, store):
    result = invoke("show", "mvae", "--store", store)
    assert (result.exit_code, result.stdout, result.stderr) == (0, RUN, "")


def test_show_of_a_diverged_run_says_why(invoke, store):
    lines = invoke("show", "meme", "--store", store).stdout.splitlines()
    assert lines[0] == "run meme-digits-complete-1.0-s1-bbbb: diverged"
    assert lines[3] == "training diverged at step 7: loss is nan; try a smaller train.lr."
    assert lines[-1] == "no scores"


def test_export_csv_has_one_row_a_score(invoke, store):
    result = invoke("export", "--store", store)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert result.exit_code == 0
    assert set(COLUMNS) <= set(rows[0])
    scored = {row["estimator"]: row for row in rows if row["run"].startswith("mvae")}
    assert sorted(scored) == ["", "class", "iwae-100", "micro"]
    assert " ".join(scored["micro"][column] for column in COLUMNS) == (
        "mvae-digits-split-0.5-s0-aaaa mvae common digits split 0.5 0 "
        "cross_coherence handwritten street 0.5 0.025 400 micro ok"
    )


def test_export_json_and_csv_agree(invoke, store, tmp_path):
    out = tmp_path / "scores.json"
    result = invoke("export", "--store", store, "--format", "json", "--out", out)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    objects = json.loads(out.read_text())
    rows = list(csv.DictReader(io.StringIO(invoke("export", "--store", store).stdout)))
    assert [o["estimator"] or "" for o in objects] == [row["estimator"] for row in rows]
    values = {o["estimator"]: o["value"] for o in objects if o["metric"]}
    assert values == {"micro": 0.5, "class": 0.25, "iwae-100": -1234.5, "": None}


def test_export_to_a_folder_that_is_not_there(invoke, store, tmp_path):
    out = tmp_path / "absent" / "scores.csv"
    result = invoke("export", "--store", store, "--out", out)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"mmbench: cannot write {out}: No such file or directory; name another file with --out.\n"


def test_store_from_the_environment(invoke, store, monkeypatch):
    monkeypatch.setenv("MMBENCH_STORE", str(store))
    assert invoke("show").stdout == RUNS


def test_reader_that_stops_early_is_no_error(command, store):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*command, "show", "--store", str(store)],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
