"""Seconds of an evaluation: every metric but the likelihoods on 10,000 pairs, and the log likelihood with K = 1,000."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.steps import ARCH, SPECS
from mmbench.datasets.base import Pairing, SplitName
from mmbench.datasets.files import data_root
from mmbench.datasets.mnist_svhn import MnistSvhn
from mmbench.metrics.likelihood import LogLikelihoods
from mmbench.metrics.log_likelihood import questions
from mmbench.models import MODELS, MultimodalVAE
from mmbench.run import Request, resolve
from mmbench.run.scoring import evaluation_rows, score
from mmbench.seeding import RowNoise

__all__ = ["measured"]

PAIRS, SAMPLES, ROWS = 10_000, 1_000, 1_000


def measured(weights: Path) -> list[dict[str, Any]]:
    """One row a measurement, of MEME after 2,500 steps."""
    kind = MODELS["meme"]
    model = kind(SPECS, kind.Settings(), ARCH, kind.coders(SPECS, kind.Settings(), ARCH))
    model.load_state_dict(torch.load(weights / "meme.pt", weights_only=True))
    model.eval()
    dataset = _large()
    everything = resolve(Request(dataset="mnist-svhn")).metrics
    metrics = {name: values for name, values in everything.items() if name != "log_likelihood"}
    score(model, dataset, seed=0, metrics=_judged(metrics), progress=lambda sentence: None)  # trains the classifiers
    began = time.perf_counter()
    score(model, dataset, seed=0, metrics=metrics, progress=lambda sentence: None)
    title = f"evaluation without likelihoods, {PAIRS:,} pairs ({', '.join(metrics)})"
    rows = [{"what": title, "seconds": time.perf_counter() - began, "limit": 60}]
    return [*rows, *_likelihoods(model, dataset)]


def _likelihoods(model: MultimodalVAE, dataset: Any) -> list[dict[str, Any]]:
    found = []
    asked: list[tuple[str, list[Any], float | None]] = [
        ("MNIST given SVHN", [(("mnist",), ("svhn",))], 60.0),
        ("all questions", questions(tuple(model.modalities)), None),
    ]
    for title, wanted, limit in asked:
        began = time.perf_counter()
        with torch.no_grad():
            for part in evaluation_rows(dataset, "test", model, seed=0, limit=ROWS):
                noise = RowNoise(0, part.rows.tolist())
                answers = LogLikelihoods(model, part.values, k=SAMPLES, noise=noise)
                for target, given in wanted:
                    if given:  # MEME has no joint prior, hence conditionals alone
                        answers.of(target, given)
        what = f"log likelihood of {title}, K = {SAMPLES:,}, {ROWS:,} rows"
        found.append({"what": what, "seconds": time.perf_counter() - began, "limit": limit})
    kind = MODELS["mvae"]
    settings = kind.Settings()
    other = kind(SPECS, settings, ARCH, kind.coders(SPECS, settings, ARCH)).eval()
    began = time.perf_counter()
    with torch.no_grad():
        for part in evaluation_rows(dataset, "test", other, seed=0, limit=ROWS):
            LogLikelihoods(other, part.values, k=SAMPLES, noise=RowNoise(0, part.rows.tolist())).of(("mnist",), ())
    what = f"log likelihood of MNIST (MVAE), K = {SAMPLES:,}, {ROWS:,} rows"
    return [*found, {"what": what, "seconds": time.perf_counter() - began, "limit": 60}]


def _judged(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {name: values for name, values in metrics.items() if "coherence" in name}


def _large() -> Any:
    """MNIST-SVHN whose test pairs are gone through again until there are 10,000."""

    class Large(MnistSvhn):
        def pairing(self, which: SplitName, seed: int) -> Pairing:
            made = super().pairing(which, seed)
            return Pairing(made.names, np.resize(made.table, (PAIRS, 2))) if which == "test" else made

    return Large(Large.Settings(), data_root(None))
