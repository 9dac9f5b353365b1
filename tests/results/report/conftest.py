"""A store made by hand: small enough to check every number, with everything a report has to cope with."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage

from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score
from mmbench.results.store import Store

CLASSES = 10
NAMES = {"digits": ("handwritten", "street"), "mnist-svhn": ("mnist", "svhn")}
SHARED = {
    "data": {"pairs": 1, "size": "small"},
    "arch": {"networks": "small", "latent_dim": 16, "likelihood": "laplace", "scale": 0.1},
    "loader": {"schedule": "mixed", "coin": False},
    "train": {"steps": 1400, "lr": 0.001, "batch_size": 128, "log_every": 10},
}
FACTS = {
    "title": "Learning Multimodal VAEs through Mutual Supervision",
    "references": ["Joy et al., ICLR 2022, https://openreview.net/forum?id=1xXvPrAshao"],
    "joint": "none",
    "additional": "pseudo-inputs",
    "partial_test": True,
    "partial_train_claims": "yes",
    "partial_train_holds": True,
    "partial_train_rule": "a bound for each pattern",
    "modalities_max": 2,
    "density": "yes",
    "private_latents": False,
}


@dataclass(frozen=True)
class Made:
    """What a run is made from; `coherence` is the micro value of the first direction."""

    model: str = "meme"
    scheme: str = "complete"
    f: float = 1.0
    seed: int = 0
    preset: str = "common"
    dataset: str = "digits"
    status: Any = "done"
    coherence: float = 0.6
    own: Mapping[str, Any] = field(default_factory=lambda: {"k": 10, "c": 10.0})
    shared: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: SHARED)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    digest: str = "d1e5"
    judge: str = "aa"
    paired_only: bool = False
    arrays: bool = True
    skipped: str = ""

    @property
    def id(self) -> str:
        return f"{self.model}-{self.dataset}-{self.scheme}-{self.f:g}-s{self.seed}-{abs(hash_of(self)) % 16**4:04x}"


def hash_of(made: Made) -> int:
    return int.from_bytes(repr((made.preset, sorted(made.own.items()), made.paired_only, made.shared)).encode()[-7:])


def record(made: Made) -> RunRecord:
    """A record whose scores follow from `made.coherence` alone."""
    ok = made.status == "done"
    return RunRecord(
        id=made.id,
        fit_key=made.id,
        spec={
            "model": made.model,
            "preset": made.preset,
            "dataset": made.dataset,
            "scheme": made.scheme,
            "f": made.f,
            "seed": made.seed,
            "paired_only": made.paired_only,
            "settings": {"model": dict(made.own), **{k: dict(v) for k, v in made.shared.items()}},
            "metrics": {"cross_coherence": {}, "latent_accuracy": {"steps": 300, "learning_rate": 0.001}},
        },
        status=made.status,
        provenance={
            "engine": 1,
            "model_version": 1,
            "device": "cpu (x86_64)",
            "data": {"status": "embedded", "counts": {"train": 1438, "test": 359}, "digest": made.digest},
            **made.provenance,
        },
        facts={**FACTS, "title": made.model.upper()},
        timings={"train_s": 31.0, "evaluate_s": 4.2, "pairs_per_s": 5781.0, "steps": 1400, "parameters": 421_000},
        created=datetime(2025, 1, 1, 12, made.seed, tzinfo=UTC),
        error="" if ok else "training diverged at step 7: loss is nan; try a smaller train.lr.",
        scores=scores(made) if ok else (),
        curves=curves(made),
        arrays=arrays(made) if ok and made.arrays else (),
    )


def scores(made: Made) -> tuple[Score, ...]:
    a, b = NAMES[made.dataset]
    judge = {"classifier": "standard"}
    found = [
        Score("classifier_accuracy", 1, "", a, 0.98, 0.007, 359, "classifier", judge, {"digest": made.judge}),
        Score("classifier_accuracy", 1, "", b, 0.93, 0.01, 359, "classifier", judge, {"digest": "bb"}),
        Score("classifier_accuracy", 1, "", "", 0.11, 0.01, 359, "majority"),
        Score("joint_coherence", 1, "", "", made.coherence / 2, 0.005, 10_000, "prior-samples", {"prior": "N(0, I)"}),
    ]
    for given, target, value in ((a, b, made.coherence), (b, a, made.coherence + 0.1)):
        found.append(Score("cross_coherence", 1, given, target, value, 0.025, 359, "micro", judge))
        found.append(Score("cross_coherence", 1, given, target, value - 0.01, 0.026, 359, "macro", judge))
        found += [
            Score("cross_coherence", 1, given, target, value, 0.1, 36, "class", {**judge, "class": c})
            for c in range(CLASSES)
        ]
    for name, value in ((a, made.coherence + 0.3), (b, made.coherence + 0.2)):
        protocol = {"steps": 300, "learning_rate": 0.001}
        found.append(Score("latent_accuracy", 1, name, "", value, 0.02, 359, "linear-sample", protocol))
        found.append(Score("latent_accuracy", 1, name, "", value + 0.02, 0.02, 359, "logistic-mean"))
        found.append(Score("latent_accuracy", 1, name, "", 0.97, 0.01, 359, "input", judge))
    if made.skipped:
        found.append(Score("relatedness", 1, a, b, None, None, 0, "", status="skipped", note=made.skipped))
    else:
        found.append(Score("relatedness", 1, a, b, made.coherence + 0.2, None, 500, "auroc", {"minibatch": 128}))
    beside = {"ess": 40.0 + made.seed, "jackknife_bias": 0.1}
    found.append(Score("log_likelihood", 1, a, a, -100.5 - made.seed, 0.3, 359, "iwae-100", {}, beside))
    return tuple(found)


def curves(made: Made) -> tuple[Curve, ...]:
    steps = np.arange(10, 1401, 10)
    decay = 300 * np.exp(-steps / 60.0) - 20 * np.log(steps) + made.seed
    at = np.arange(70, 1401, 70)
    return (
        Curve("train/loss", steps, decay),
        Curve("train/kl", steps, 10 - 5 * np.exp(-steps / 300)),
        Curve("test/loss", at, np.interp(at, steps, decay) + 8),
    )


def arrays(made: Made) -> tuple[ArrayRecord, ...]:
    a, b = NAMES[made.dataset]
    rng = np.random.default_rng(made.seed)
    edges = np.linspace(0, 12, 41)
    middle = (edges[1:] + edges[:-1]) / 2
    counts = np.stack([np.exp(-((middle - m) ** 2) / 2) for m in (7 - 5 * made.coherence, 8.0)])
    counts /= counts.sum(1, keepdims=True)
    matrix = 8 - 4 * made.coherence * np.eye(CLASSES) + rng.random((CLASSES, CLASSES))
    tree = linkage(((matrix + matrix.T) / 2)[np.triu_indices(CLASSES, 1)], method="average")
    pair = {"given": a, "target": b}
    inputs = np.random.default_rng(99)
    shapes = {a: (1, 8, 8), b: (3, 16, 16)}
    found = [
        ArrayRecord("relatedness", f"histogram/{a}|{b}", counts, {**pair, "edges": edges.tolist()}),
        ArrayRecord("relatedness", f"class_distance/{a}|{b}", matrix, {**pair, "distance": "w2", "per_class": 30}),
        ArrayRecord("relatedness", f"linkage/{a}|{b}", tree, {**pair, "method": "average"}),
    ]
    for name, shape in shapes.items():
        value = inputs.integers(0, 256, (CLASSES, *shape)).astype(np.uint8)
        found.append(ArrayRecord("samples", f"input/{name}", value, {"given": "", "target": name}))
        joint = rng.integers(0, 256, (20, *shape)).astype(np.uint8)
        found.append(ArrayRecord("samples", f"joint/{name}", joint, {"target": name, "prior": "N(0, I)"}))
    for given, target in ((a, b), (b, a)):
        value = rng.integers(0, 256, (CLASSES, 5, *shapes[target])).astype(np.uint8)
        found.append(ArrayRecord("samples", f"cross/{given}|{target}", value, {"given": given, "target": target}))
    return tuple(found)


def many() -> list[Made]:
    """Three models on `digits` with two seeds, one diverged run, one skipped metric, and one group of its own."""
    made = [Made(seed=seed, coherence=0.6 + 0.02 * seed) for seed in (0, 1)]
    for scheme in ("split", "street-only"):
        for f in (0.5, 0.25):
            lower = 0.6 * f**0.3 - (0.05 if scheme == "split" else 0.12)
            drawn = scheme == "split"
            made += [Made(scheme=scheme, f=f, seed=s, coherence=lower + 0.02 * s, arrays=drawn) for s in (0, 1)]
    made.append(Made("mvae", coherence=0.2, skipped="W2 has a closed form for diagonal posteriors only."))
    made.append(Made("mvae", scheme="split", f=0.5, coherence=0.15))
    made.append(Made("mvae", scheme="split", f=0.5, seed=1, status="diverged"))
    made.append(Made("<b>", coherence=0.55))
    longer = {**SHARED, "train": {**SHARED["train"], "steps": 3000}}
    made.append(Made(dataset="mnist-svhn", coherence=0.5, shared=longer, arrays=False))
    made.append(Made(dataset="mnist-svhn", scheme="split", f=0.25, coherence=0.4, shared=longer, arrays=False))
    return made


@pytest.fixture
def make() -> Callable[..., RunRecord]:
    """`make(model="mvae", ...)` gives a record."""
    return lambda **values: record(Made(**values))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store in a file."""
    with Store.open(tmp_path / "results.db") as opened:
        yield opened


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the runs of `many`, for tests that only read."""
    path = tmp_path_factory.mktemp("store") / "results.db"
    with Store.open(path) as opened:
        for made in many():
            opened.add(record(made))
    return path


@pytest.fixture(scope="session")
def page(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report on `filled`, drawn once."""
    from mmbench.results.report import write

    out = tmp_path_factory.mktemp("report") / "page"
    with Store.open_readonly(filled) as opened:
        return write(opened, out).parent
