"""Scoring a fitted model: evaluation rows, classifiers, and one pass over the test split."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmbench.datasets.base import Dataset, Pairing, SplitName
from mmbench.datasets.cache import cache_folder
from mmbench.datasets.loader import PairedRows, paired_rows
from mmbench.metrics.classifiers import Classifiers
from mmbench.metrics.evaluate import Evaluation, evaluate
from mmbench.models.base import MultimodalVAE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TEST_PAIRING_SEED", "Scored", "evaluation_rows", "score"]

BATCH_SIZE = 256
TEST_PAIRING_SEED = 0  # the test rows are the same for every run, whatever its seed


@dataclass(frozen=True)
class Scored:
    """An evaluation and the digests of the classifiers that judged it."""

    evaluation: Evaluation
    classifiers: Mapping[str, str]


def score(
    model: MultimodalVAE,
    dataset: Dataset,
    *,
    seed: int,
    metrics: Mapping[str, Mapping[str, Any]],
    progress: "Callable[[str], None]",
) -> Scored:
    """Compute metrics on the test split; what they fit, they fit on the training pairs of the run's seed."""
    classifiers = Classifiers(
        dataset.modalities,
        dataset.classes,
        train=dataset.split("train"),
        test=dataset.split("test"),
        cache=cache_folder(),
        device=model.device,
        reader=dataset.reader,
    )
    found = evaluate(
        model,
        train=lambda: evaluation_rows(dataset, "train", model, seed=seed),
        test=lambda: evaluation_rows(dataset, "test", model, seed=TEST_PAIRING_SEED),
        modalities=dataset.modalities,
        classes=dataset.classes,
        metrics=metrics,
        classifiers=classifiers,
        seed=seed,
        log_density=dataset.log_density,
        reader=dataset.reader,
        cache=cache_folder(),
        progress=progress,
    )
    return Scored(found, classifiers.digests())


def evaluation_rows(
    dataset: Dataset, which: SplitName, model: MultimodalVAE, *, seed: int, limit: int | None = None
) -> Iterator[PairedRows]:
    """The complete rows of a split's base pairing in a fixed order, or the first `limit` of them."""
    pairing = dataset.pairing(which, seed)
    if limit is not None:
        pairing = Pairing(pairing.names, pairing.table[:limit])
    return paired_rows(dataset.split(which), pairing, batch_size=BATCH_SIZE, device=model.device, dtype=model.dtype)
