"""MNIST-SVHN from tiny files in the published formats, and from real files where MMBENCH_DATA names them."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from mmbench.datasets import DATASETS, DatasetSettings, mnist_svhn
from mmbench.datasets.loader import observe
from mmbench.datasets.mnist_svhn import MnistSvhn
from mmbench.errors import DataError, DataMissing

ToIdx = Callable[[np.ndarray], bytes]


def at(root: Path | None, **settings: int) -> MnistSvhn:
    return MnistSvhn(DatasetSettings(**settings), root)


def test_images_and_classes_are_those_of_the_files(tiny_root: Path) -> None:
    dataset = at(tiny_root)
    train, test = dataset.split("train"), dataset.split("test")
    assert {spec.name: spec.shape for spec in dataset.modalities} == {"mnist": (1, 28, 28), "svhn": (3, 32, 32)}
    for split, mnist, svhn in ((train, 30, 24), (test, 20, 12)):
        assert split.arrays["mnist"].shape == (mnist, 1, 28, 28)
        assert split.arrays["svhn"].shape == (svhn, 3, 32, 32)
        assert all(array.dtype == np.uint8 for array in split.arrays.values())
        assert split.targets["mnist"].tolist() == [i % 10 for i in range(mnist)]
        assert split.targets["svhn"].tolist() == [(i + 1) % 10 for i in range(svhn)]
        assert all(labels.dtype == np.int64 for labels in split.targets.values())
    matrix = loadmat(tiny_root / "SVHN" / "test_32x32.mat")["X"]
    assert np.array_equal(test.arrays["svhn"][7], matrix[..., 7].transpose(2, 0, 1))


def test_pairs_share_their_class_and_repeats_multiply_the_training_rows(tiny_root: Path) -> None:
    dataset = at(tiny_root, pairs=3)
    pairing = dataset.pairing("train", 0)
    targets = dataset.split("train").targets
    assert (targets["mnist"][pairing.table[:, 0]] == targets["svhn"][pairing.table[:, 1]]).all()
    # classes of 24 SVHN labels 1..10 in a cycle: 1-4 thrice, the others twice; MNIST has three of each
    assert len(pairing.table) == 24
    assert observe(dataset, "complete", 1.0, seed=0).counts == {"mnist+svhn": 72}


def test_other_content_is_unverified_with_its_counts(tiny_root: Path) -> None:
    facts = at(tiny_root).provenance()
    assert facts["status"] == "unverified"
    assert facts["counts"] == {"train": {"mnist": 30, "svhn": 24}, "test": {"mnist": 20, "svhn": 12}}
    assert not any(file["published"] for file in facts["files"].values())
    digest = hashlib.md5((tiny_root / "SVHN" / "train_32x32.mat").read_bytes()).hexdigest()
    assert facts["files"]["train_32x32.mat"]["md5"] == digest


def test_content_with_the_published_digests_is_published(tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {file: fact["md5"] for file, fact in at(tiny_root).provenance()["files"].items()}
    monkeypatch.setattr(mnist_svhn, "PUBLISHED_MD5", digests)
    assert at(tiny_root).provenance()["status"] == "published"
    assert MnistSvhn.verify(tiny_root).endswith("is published (mnist 30 + 20, svhn 24 + 12 training and test images).")


def test_the_digest_knows_content_and_not_compression(tiny_root: Path) -> None:
    before = at(tiny_root).provenance()["digest"]
    packed = tiny_root / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    plain = packed.with_suffix("")
    content = gzip.decompress(packed.read_bytes())
    plain.write_bytes(content)
    packed.unlink()
    assert at(tiny_root).provenance()["digest"] == before
    plain.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert at(tiny_root).provenance()["digest"] != before


def test_svhn_files_may_lie_directly_below_the_root(tiny_root: Path) -> None:
    before = at(tiny_root).provenance()
    for which in ("train", "test"):
        (tiny_root / "SVHN" / f"{which}_32x32.mat").rename(tiny_root / f"{which}_32x32.mat")
    assert at(tiny_root).provenance() == before


@pytest.mark.parametrize(
    "file",
    [
        "MNIST/raw/train-images-idx3-ubyte.gz",
        "MNIST/raw/train-labels-idx1-ubyte",
        "MNIST/raw/t10k-images-idx3-ubyte",
        "SVHN/train_32x32.mat",
        "SVHN/test_32x32.mat",
    ],
)
def test_each_missing_file_is_named_with_the_remedy(tiny_root: Path, file: str) -> None:
    (tiny_root / file).unlink()
    name = Path(file).name.removesuffix(".gz")
    with pytest.raises(DataMissing, match=f"needs .*{name}.*`mmbench data fetch mnist-svhn --data-root DIR`"):
        MnistSvhn.verify(tiny_root)


def test_without_a_folder_the_constructor_works_and_reading_says_what_to_do() -> None:
    dataset = at(None)
    assert len(dataset.modalities) == 2
    with pytest.raises(DataMissing, match=r"no folder was named.*MMBENCH_DATA"):
        dataset.split("train")
    with pytest.raises(DataMissing, match="no folder was named"):
        MnistSvhn.verify(None)


@pytest.mark.parametrize(
    "file, array, sentence",
    [
        ("train-labels-idx1-ubyte", np.arange(29) % 10, "holds 29 labels for the 30 images"),
        ("train-labels-idx1-ubyte", np.arange(30) % 11, r"labels must lie in 0\.\.9, got 10"),
        ("t10k-images-idx3-ubyte", np.zeros((20, 28, 27)), "images must be 28x28, got 28x27"),
        ("t10k-images-idx3-ubyte", np.zeros((0, 28, 28)), "holds 20 labels for the 0 images"),
        ("t10k-images-idx3-ubyte", np.zeros((20, 784)), "with 3 axes"),
    ],
)
def test_mnist_files_that_contradict_each_other_are_refused(
    tiny_root: Path, to_idx: ToIdx, file: str, array: np.ndarray, sentence: str
) -> None:
    (tiny_root / "MNIST" / "raw" / file).write_bytes(to_idx(array))
    with pytest.raises(DataError, match=sentence):
        MnistSvhn.verify(tiny_root)


def test_truncated_files_are_refused(tiny_root: Path) -> None:
    path = tiny_root / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="is truncated: 15596 of 15696 bytes"):
        MnistSvhn.verify(tiny_root)


def test_splits_without_a_common_class_are_refused(tiny_root: Path) -> None:
    images = np.zeros((32, 32, 3, 2), np.uint8)
    savemat(tiny_root / "SVHN" / "train_32x32.mat", {"X": images, "y": np.array([[9], [9]])})
    labels = tiny_root / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:8] + bytes(30))
    with pytest.raises(DataError, match="share no class"):
        at(tiny_root).pairing("train", 0)


def test_it_is_registered_with_the_released_codes_settings_as_common() -> None:
    assert DATASETS["mnist-svhn"] is MnistSvhn
    assert MnistSvhn.common["train"] == {"batch_size": 128, "lr": 1e-3, "steps": 2000}


def test_real_mnist_is_the_published_one_and_the_svhn_subset_is_not(real_data: Path) -> None:
    dataset = at(real_data)
    facts = dataset.provenance()
    assert facts["counts"]["train"]["mnist"] == 60000
    assert facts["counts"]["test"]["mnist"] == 10000
    assert all(fact["published"] for file, fact in facts["files"].items() if file.endswith("ubyte"))
    if facts["status"] == "published":
        assert len(dataset.pairing("train", 0).table) == 56068
        assert len(dataset.pairing("test", 0).table) == 10000
        return
    assert facts["counts"]["train"]["svhn"] == 4434
    assert facts["counts"]["test"]["svhn"] == 1000
    # every digit of the subset finds a partner: MNIST holds at least 5,421 training and 892 test images of each class
    assert len(dataset.pairing("train", 0).table) == 4434
    assert len(dataset.pairing("test", 0).table) == 1000
    majority = np.bincount(dataset.split("test").targets["svhn"]).max() / 1000
    assert majority == pytest.approx(0.185)


def test_real_mnist_class_counts(real_data: Path) -> None:
    train = np.bincount(at(real_data).split("train").targets["mnist"])
    assert train.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
