"""A short training by each path ends with scores that do not differ beyond what seeds make of them."""

import numpy as np
import pytest

from mmbench.models.meme import MEME
from mmbench.models.mmvae import MMVAE
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, resolve, run
from mmbench.testing import plain

SEEDS = range(5)
CASES = [
    ("meme", {"model.own": "one"}),
    ("meme", {"model.own": "all"}),
    ("meme", {"model.own": "drawn"}),
    ("mmvae", {"model.k": 10}),
    ("mmvae", {"model.k": 10, "train.differentiated": 2}),
]


def plain_objective(self, values, *, noise, progress=1.0, stage="main"):
    return plain.objective(self, values, noise=noise)


def scores(folder, model, sets):
    """Cross coherence in both directions and latent accuracies of each seed, `[seeds, scores]`."""
    found = []
    with Store.open(folder / "results.db") as store:
        for seed in SEEDS:
            metrics = ("cross_coherence", "latent_accuracy")
            spec = resolve(Request(model=model, seed=seed, steps=200, metrics=metrics, sets=sets))
            record = run(spec, store, RunOptions(device="cpu", quiet=True))
            values = {
                (s.metric, s.given, s.target, s.estimator): s.value for s in record.scores if s.estimator != "class"
            }
            found.append([values[key] for key in sorted(values, key=str)])
    return np.array(found, dtype=float)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("model", "sets"), CASES, ids=str)
def test_scores_of_the_fast_and_the_plain_path_differ_by_no_more_than_seeds_do(monkeypatch, tmp_path, model, sets):
    (tmp_path / "fast").mkdir()
    (tmp_path / "plain").mkdir()
    fast = scores(tmp_path / "fast", model, sets)
    with monkeypatch.context() as patched:
        for kind in (MEME, MMVAE):
            patched.setattr(kind, "objective", plain_objective)
        slow = scores(tmp_path / "plain", model, {k: v for k, v in sets.items() if not k.startswith("train.")})
    noise = np.sqrt((fast.var(0, ddof=1) + slow.var(0, ddof=1)) / len(SEEDS))
    assert (np.abs(fast.mean(0) - slow.mean(0)) <= 3 * noise + 0.01).all(), (fast, slow)
    assert (fast.mean(0) > 0.3).any(), "something must have been learned, or there is nothing to compare"
