"""A results store of any size, made by hand: what the report's speed is measured on.

    python -m benchmarks.store_of STORE [--runs 1000]

Ten models on two datasets, the complete rows and three schemes at three fractions, as many seeds as give the number of
runs; one run in forty diverged. Every record has what a real one has: the scores of the default metrics with those by
class, curves of 1,400 steps, image grids, distances and t-SNE. The numbers are invented, smooth in `f` and better for
some models than for others, and mean nothing.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import linkage

from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score
from mmbench.results.store import Store

__all__ = ["fill", "records"]

MODELS = ("meme", "mvae", "mmvae", "mopoe", "mmjsd", "mvtcae", "jmvae", "telbo", "dmvae", "vsae")
MODALITIES = {"digits": ("handwritten", "street"), "mnist-svhn": ("mnist", "svhn")}
SIDES = {"handwritten": (1, 8), "street": (3, 16), "mnist": (1, 28), "svhn": (3, 32)}
FRACTIONS = (0.5, 0.25, 0.125)
CLASSES = 10
ROWS = 896
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
SETTINGS = {
    "data": {"pairs": 1, "size": "small"},
    "arch": {"networks": "small", "latent_dim": 16, "likelihood": "laplace", "scale": 0.1},
    "loader": {"schedule": "mixed", "coin": False},
    "train": {"steps": 1400, "lr": 0.001, "batch_size": 128, "log_every": 10},
}


@dataclass(frozen=True)
class Made:
    """One run to be: its condition, its seed, and its number among all."""

    number: int
    model: str
    dataset: str
    scheme: str
    f: float
    seed: int

    @property
    def done(self) -> bool:
        """Whether it ended well."""
        return self.number % 40 != 7

    @property
    def quality(self) -> float:
        """Between 0 and 1: falls with `f`, differs by model, scatters by seed."""
        skill = 0.35 + 0.05 * MODELS.index(self.model)
        return float(np.clip(skill * (1 + 0.25 * np.log2(self.f) / 3) + 0.01 * _rng(self).normal(), 0.02, 0.98))


def records(runs: int) -> Iterator[RunRecord]:
    """`runs` records, each a run of its own; the same for the same number."""
    conditions = 2 * len(MODELS) * (1 + 3 * len(FRACTIONS))
    wanted = (
        (model, dataset, scheme, f, seed)
        for seed in range(-(-runs // conditions))
        for dataset, model in product(MODALITIES, MODELS)
        for scheme, f in _conditions(dataset)
    )
    for number, (model, dataset, scheme, f, seed) in enumerate(islice(wanted, runs)):
        yield _record(Made(number, model, dataset, scheme, f, seed))


def fill(store: Store, runs: int) -> None:
    """Add `runs` records through the store's own interface."""
    for record in records(runs):
        store.add(record)


def _conditions(dataset: str) -> list[tuple[str, float]]:
    schemes = ("split", *(f"{modality}-only" for modality in MODALITIES[dataset]))
    return [("complete", 1.0), *product(schemes, FRACTIONS)]


def _rng(made: Made) -> np.random.Generator:
    return np.random.default_rng([made.number, made.seed])


def _record(made: Made) -> RunRecord:
    name = f"{made.model}-{made.dataset}-{made.scheme}-{made.f:g}-s{made.seed}-{made.number:04x}"
    spec = {
        **{key: getattr(made, key) for key in ("model", "dataset", "scheme", "f", "seed")},
        "preset": "common",
        "paired_only": False,
        "settings": {"model": {"k": 10, "beta": 1.0}, **SETTINGS},
        "metrics": {"cross_coherence": {"classifier": "standard"}, "latent_accuracy": {"steps": 2000}},
    }
    return RunRecord(
        id=name,
        fit_key=name,
        spec=spec,
        status="done" if made.done else "diverged",
        provenance=_provenance(made),
        facts=_facts(made),
        timings={
            "train_s": 30.0 + made.number % 7,
            "evaluate_s": 5.0,
            "pairs_per_s": 5000.0 + 100 * MODELS.index(made.model),
            "steps": 1400,
            "peak_memory_mb": 540.0,
            "parameters": 822_144,
        },
        created=BEGAN + timedelta(minutes=made.number),
        error="" if made.done else "training diverged at step 7: loss is nan; try a smaller train.lr.",
        scores=_scores(made) if made.done else (),
        curves=_curves(made),
        arrays=_arrays(made) if made.done else (),
    )


def _provenance(made: Made) -> dict[str, Any]:
    a, b = MODALITIES[made.dataset]
    return {
        "code": {"revision": "4403ffd32dae7e0607409b94d3e5186dfced3bd4", "dirty": False},
        "engine": 2,
        "model_version": 1,
        "versions": {"python": "3.11.7", "mmbench": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
        "device": "cpu (x86_64)",
        "threads": 2,
        "data": {"status": "embedded", "counts": {"train": {a: 1438, b: 1438}}, "digest": "d6bd0bb3d4164677"},
        "pairing": "8404972c1b1e091a",
        "references": {
            "dataset": [f"Invented, {made.dataset}, 2025"],
            "terms": "free",
            "metrics": {"cross_coherence": ["Shi et al., Variational Mixture-of-Experts Autoencoders, NeurIPS 2019"]},
        },
    }


def _facts(made: Made) -> dict[str, Any]:
    return {
        "title": made.model.upper(),
        "references": [f"Invented, {made.model}, 2025"],
        "joint": "product of experts",
        "additional": "",
        "partial_test": True,
        "partial_train_claims": "yes",
        "partial_train_holds": True,
        "partial_train_rule": "a bound for each pattern",
        "modalities_max": None,
        "density": "yes",
        "private_latents": False,
        "version": 1,
        "stages": ["main"],
    }


def _scores(made: Made) -> tuple[Score, ...]:
    a, b = MODALITIES[made.dataset]
    judge, rng, quality = {"classifier": "standard"}, _rng(made), made.quality

    def share(p: float) -> float:
        return float(np.clip(p + 0.01 * rng.normal(), 0, 1))

    found = [
        Score("classifier_accuracy", 1, "", "", 0.1, 0.016, 359, "majority"),
        *(Score("classifier_accuracy", 1, "", m, 0.99, 0.004, 359, "classifier", judge) for m in (a, b)),
        Score("joint_coherence", 1, "", "", share(quality / 2), 0.005, 10_000, "prior-samples", {"prior": "N(0, I)"}),
    ]
    for given, target in ((a, b), (b, a)):
        found += [
            Score("cross_coherence", 1, given, target, share(quality), 0.025, 359, kind, judge)
            for kind in ("micro", "macro")
        ]
        found += [
            Score("cross_coherence", 1, given, target, share(quality), 0.08, 36, "class", {**judge, "class": c})
            for c in range(CLASSES)
        ]
        nats = float(400 + 100 * quality + rng.normal())
        beside = {"ess": 8.0 + made.seed, "jackknife_bias": 0.1}
        found.append(Score("log_likelihood", 2, given, target, nats, 1.2, 359, "conditional-iwae-100", {}, beside))
    joint = float(900 + 100 * quality + rng.normal())
    found.append(Score("log_likelihood", 2, "", f"{a}+{b}", joint, 2.0, 359, "iwae-100", {}, {"ess": 9.0}))
    protocol = {"steps": 2000, "batch_size": 256, "learning_rate": 0.001}
    for modality in (a, b):
        found.append(Score("latent_accuracy", 1, modality, "", share(quality), 0.02, 359, "linear-sample", protocol))
        found.append(Score("latent_accuracy", 1, modality, "", share(quality), 0.02, 359, "logistic-mean"))
        found.append(Score("latent_accuracy", 1, modality, "", 0.99, 0.004, 359, "input", judge))
    found += [
        Score("relatedness", 1, a, b, value, None, 4739, kind, {"minibatch": 128})
        for kind, value in (("auroc", share(0.5 + quality / 2)), ("w2-same", 3.0), ("w2-different", 5.0))
    ]
    found.append(Score("embeddings", 1, a, b, share(quality), None, ROWS, "nearest-other"))
    return tuple(found)


def _curves(made: Made) -> tuple[Curve, ...]:
    steps, late = np.arange(10, 1401, 10), np.arange(70, 1401, 70)
    decay = 300 * np.exp(-steps / 60.0) - 20 * np.log(steps) + made.seed
    terms = [Curve(f"train/{name}", steps, decay + i) for i, name in enumerate(("loss", "kl", "nll/a", "nll/b"))]
    return (*terms, Curve("test/loss", late, np.interp(late, steps, decay) + 8))


def _arrays(made: Made) -> tuple[ArrayRecord, ...]:
    a, b = MODALITIES[made.dataset]
    pair, rng = {"given": a, "target": b}, _rng(made)
    matrix = 8 - 4 * made.quality * np.eye(CLASSES) + rng.random((CLASSES, CLASSES))
    tree = linkage(((matrix + matrix.T) / 2)[np.triu_indices(CLASSES, 1)], method="average")
    edges = np.linspace(0, 12, 61)
    middle = (edges[1:] + edges[:-1]) / 2
    counts = np.stack([np.exp(-((middle - m) ** 2) / 2) for m in (7 - 5 * made.quality, 8.0)])
    found = [
        ArrayRecord("relatedness", f"histogram/{a}|{b}", counts / counts.sum(1)[:, None], {**pair, "edges": [*edges]}),
        ArrayRecord("relatedness", f"class_distance/{a}|{b}", matrix, {**pair, "distance": "w2", "per_class": 100}),
        ArrayRecord("relatedness", f"linkage/{a}|{b}", tree, {**pair, "method": "average"}),
    ]
    found += [_images(f"input/{m}", m, (CLASSES,), np.random.default_rng(1), given="") for m in (a, b)]
    found += [_images(f"joint/{m}", m, (20,), rng, prior="N(0, I)") for m in (a, b)]
    found += [_images(f"cross/{g}|{t}", t, (CLASSES, 5), rng, given=g) for g, t in ((a, b), (b, a))]
    classes = (np.arange(ROWS) % CLASSES).tolist()
    about = {"classes": classes, "perplexity": 30.0, "rows": ROWS, "method": "t-SNE"}
    centres = rng.normal(size=(CLASSES, 2)) * 30
    found += [
        ArrayRecord("embeddings", f"tsne/{m}", (centres[classes] + rng.normal(size=(ROWS, 2)) * 6).astype("f4"), about)
        for m in (a, b)
    ]
    return tuple(found)


def _images(name: str, modality: str, shape: tuple[int, ...], rng: np.random.Generator, **meta: str) -> ArrayRecord:
    channels, side = SIDES[modality]
    value = rng.integers(0, 256, (*shape, channels, side, side)).astype(np.uint8)
    return ArrayRecord("samples", name, value, {"target": modality, **meta})


def main() -> None:
    """Make the store; what stands at its place must not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    options = parser.parse_args()
    if options.store.exists():
        parser.error(f"{options.store} exists; name a new file.")
    with Store.open(options.store) as store:
        fill(store, options.runs)


if __name__ == "__main__":
    main()
