"""What every dataset promises. Where a dataset's files are missing, the checks that need them do not apply."""

import json
import os
from itertools import product
from pathlib import Path

import numpy as np

from mmbench.config import parse_settings
from mmbench.datasets.base import Dataset, Split, SplitName
from mmbench.errors import DataMissing
from mmbench.metrics.base import METRICS
from mmbench.models.architecture import Architecture
from mmbench.testing.contract import NotApplicable, collector, promise
from mmbench.training.settings import TrainSettings

__all__ = ["CHECKS"]

Kind = type[Dataset]
CHECKS, check = collector()
SPLITS: tuple[SplitName, ...] = ("train", "test")


def _made(kind: Kind) -> Dataset:
    root = os.environ.get("MMBENCH_DATA")
    return kind(kind.Settings(), Path(root) if root else None)


def _splits(kind: Kind) -> tuple[Dataset, dict[SplitName, Split]]:
    dataset = _made(kind)
    try:
        return dataset, {which: dataset.split(which) for which in SPLITS}
    except DataMissing as reason:
        raise NotApplicable(str(reason)) from reason


@check
def names_and_presets_are_complete(kind: Kind) -> None:
    """Lower-case modality names, values of preset `common` that parse, and default metrics that there are."""
    names = [spec.name for spec in _made(kind).modalities]
    promise(len(names) == len(set(names)) >= 1, f"modalities {names} are not unique, or there is none.")
    promise(all(name == name.lower() and "+" not in name and "|" not in name for name in names), f"names {names}.")
    promise(kind.description, f"{kind.__name__} needs a description.")
    parse_settings(Architecture, kind.common.get("arch", {}), "arch")
    parse_settings(TrainSettings, kind.common.get("train", {}), "train")
    promise(all(name in METRICS for name in kind.default_metrics or ()), f"default_metrics {kind.default_metrics}.")


@check
def sources_are_one_line_each(kind: Kind) -> None:
    """References and terms are what a page can list: plain lines, none of them empty."""
    promise(isinstance(kind.references, tuple), "references is no tuple of strings.")
    for line in (*kind.references, kind.terms or "-"):
        promise(line.strip() == line and line and "\n" not in line, f"{line!r} is not one line.")


@check
def arrays_have_the_shapes_and_types_of_their_modalities(kind: Kind) -> None:
    """uint8 images, finite float vectors, one class for each original, of the stated number, or no classes at all."""
    dataset, splits = _splits(kind)
    for which, split in splits.items():
        promise(bool(split.targets) == (dataset.classes is not None), f"classes and the targets of {which} disagree.")
        for spec in dataset.modalities:
            array = split.arrays[spec.name]
            promise(array.shape[1:] == spec.shape, f"{spec.name} of {which} has shape {array.shape}.")
            promise(spec.kind != "image" or array.dtype == np.uint8, f"{spec.name} of {which} is {array.dtype}.")
            promise(array.dtype == np.uint8 or np.isfinite(array).all(), f"{spec.name} of {which} is not finite.")
            if split.targets:
                targets = split.targets[spec.name]
                promise(
                    len(targets) == len(array), f"{len(targets)} classes for {len(array)} originals of {spec.name}."
                )
                promise(targets.min() >= 0 and targets.max() < (dataset.classes or 0), f"classes of {spec.name}.")


@check
def the_same_files_give_the_same_content(kind: Kind) -> None:
    """Two instances give the same arrays and the same digest."""
    first, splits = _splits(kind)
    second, others = _splits(kind)
    for which in SPLITS:
        for name, array in splits[which].arrays.items():
            promise(np.array_equal(array, others[which].arrays[name]), f"{name} of {which} changes from time to time.")
    promise(first.provenance() == second.provenance(), "the provenance changes from time to time.")


@check
def pairing_joins_originals_of_one_class_and_uses_each_once(kind: Kind) -> None:
    """The base table is a pure function of the seed, and no original stands in two of its rows (or of its groups)."""
    dataset, splits = _splits(kind)
    for which, split in splits.items():
        table = dataset.pairing(which, 0)
        promise(table.names == tuple(spec.name for spec in dataset.modalities), f"the table's names are {table.names}.")
        groups = np.arange(len(table.table)) if table.groups is None else table.groups
        promise(len(groups) == len(table.table), f"{len(groups)} groups for {len(table.table)} rows of {which}.")
        for m, name in enumerate(table.names):
            column = table.table[:, m]
            held = np.unique(np.stack([column, groups]), axis=1)[0]
            promise(len(np.unique(held)) == len(held), f"an original of {name} stands in two rows of {which}.")
            promise(column.max() < len(split.arrays[name]), f"the table of {which} leaves the originals of {name}.")
        if split.targets:
            classes = [split.targets[name][table.table[:, m]] for m, name in enumerate(table.names)]
            promise(all(np.array_equal(classes[0], c) for c in classes), f"a row of {which} joins two classes.")
        promise(table.checksum == dataset.pairing(which, 0).checksum, "the same seed gave another table.")


@check
def a_known_density_is_that_of_the_rows(kind: Kind) -> None:
    """Finite float64 for any set; rows of the dataset have more density than the same rows shifted or spread out."""
    dataset, splits = _splits(kind)
    table, arrays = dataset.pairing("test", 0).table[:200], splits["test"].arrays
    rows = {spec.name: _as_seen(arrays[spec.name][table[:, m]]) for m, spec in enumerate(dataset.modalities)}
    if dataset.log_density(rows) is None:
        raise NotApplicable(f"the density of {dataset.name} is not known.")
    for names in (*((name,) for name in rows), tuple(rows)):
        some = {name: rows[name] for name in names}
        centre = {name: x.mean(axis=0) for name, x in some.items()}
        others = [
            {n: x + 1.0 for n, x in some.items()},
            {n: centre[n] + 1.5 * (x - centre[n]) for n, x in some.items()},
        ]
        found, *changed = (dataset.log_density(values) for values in (some, *others))
        promise(found is not None and found.shape == (len(table),) and found.dtype == np.float64, "no float64 a row.")
        assert found is not None
        promise(np.isfinite(found).all(), f"the log density of {names} is not finite.")
        less = all(other is not None and other.mean() < found.mean() for other in changed)
        promise(less, f"rows of {names} have less density than changed ones.")


@check
def a_reader_reads_the_class_of_every_real_row(kind: Kind) -> None:
    """Its first attribute is the class, and no attribute of a real row goes unrecognised."""
    dataset, splits = _splits(kind)
    readers = {spec.name: reader for spec in dataset.modalities if (reader := dataset.reader(spec.name)) is not None}
    if not readers:
        raise NotApplicable(f"no modality of {dataset.name} is read by rule.")
    for (name, reader), (which, split) in product(readers.items(), splits.items()):
        sizes = [len(values) for values in reader.attributes.values()]
        read = reader.read(_as_seen(split.arrays[name]))
        promise(read.dtype == np.int64 and read.shape == (len(split.arrays[name]), len(sizes)), "no int64 [B, A].")
        promise(((read >= 0) & (read < sizes)).all(), f"rows of {name} in {which} go unrecognised.")
        if dataset.classes is not None:
            promise(sizes[0] == dataset.classes, f"the first attribute of {name} has {sizes[0]} values.")
            promise(np.array_equal(read[:, 0], split.targets[name]), f"the class of a row of {name} in {which}.")


def _as_seen(stored: np.ndarray) -> np.ndarray:
    """Stored values as a model sees them, in float64; tokens as they are stored."""
    if np.issubdtype(stored.dtype, np.signedinteger):
        return stored
    return stored / 255.0 if stored.dtype == np.uint8 else stored.astype(np.float64)


@check
def no_original_stands_in_two_splits(kind: Kind) -> None:
    """No array of the test split is found in the training split, as far as its bytes tell.

    Not asked of tokens: the same words are said of many things.
    """
    dataset, splits = _splits(kind)
    for name in (spec.name for spec in dataset.modalities if spec.kind != "tokens"):
        array = splits["test"].arrays[name]
        known = {row.tobytes() for row in splits["train"].arrays[name]}
        shared = sum(row.tobytes() in known for row in array)
        promise(shared <= 0.001 * len(array), f"{shared} of {len(array)} test originals of {name} are in train.")


@check
def provenance_says_what_the_data_are(kind: Kind) -> None:
    """JSON with a status, counts of both splits and a digest."""
    dataset, splits = _splits(kind)
    facts = dataset.provenance()
    json.dumps(facts)
    promise(facts["status"] in ("embedded", "published", "unverified", "own"), f"the status is {facts['status']!r}.")
    promise(facts["digest"], "the digest is empty.")
    for which, split in splits.items():
        for name, array in split.arrays.items():
            promise(facts["counts"][which][name] == len(array), f"the count of {name} in {which} is wrong.")
