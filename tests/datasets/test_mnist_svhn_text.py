"""MNIST-SVHN-Text from tiny files in the published formats, and from real files where MMBENCH_DATA names them."""

from pathlib import Path

import numpy as np
import pytest

from mmbench.datasets import DATASETS, DatasetSettings, mnist_svhn
from mmbench.datasets.loader import observe
from mmbench.datasets.mnist_svhn import MnistSvhn
from mmbench.datasets.mnist_svhn_text import MnistSvhnText, MnistSvhnTextSettings
from mmbench.errors import DataError, DataMissing


def at(root: Path | None, *, pairs: int = 1) -> MnistSvhnText:
    return MnistSvhnText(MnistSvhnTextSettings(pairs=pairs), root)


def test_images_are_those_of_mnist_svhn_and_each_mnist_image_has_a_text(tiny_root: Path) -> None:
    dataset, plain = at(tiny_root), MnistSvhn(DatasetSettings(), tiny_root)
    assert [(spec.name, spec.kind) for spec in dataset.modalities] == [
        ("mnist", "image"),
        ("svhn", "image"),
        ("text", "tokens"),
    ]
    reader = dataset.reader("text")
    assert reader is not None
    for which, n in (("train", 30), ("test", 20)):
        split, images = dataset.split(which), plain.split(which)
        assert all(np.array_equal(split.arrays[name], images.arrays[name]) for name in ("mnist", "svhn"))
        assert split.targets["text"].tolist() == [i % 10 for i in range(n)]
        assert reader.read(split.arrays["text"]).tolist() == [[i % 10] for i in range(n)]


def test_rows_join_the_three_up_to_the_smallest_count_of_the_class(tiny_root: Path) -> None:
    dataset = at(tiny_root, pairs=3)
    pairing, targets = dataset.pairing("train", 0), dataset.split("train").targets
    assert pairing.names == ("mnist", "svhn", "text")
    classes = [targets[name][pairing.table[:, m]] for m, name in enumerate(pairing.names)]
    assert np.array_equal(classes[0], classes[1])
    assert np.array_equal(classes[0], classes[2])
    assert len(pairing.table) == 24  # those of mnist-svhn: SVHN has the fewest
    assert observe(dataset, "complete", 1.0, seed=0).counts == {"mnist+svhn+text": 72}
    assert observe(dataset, "text-only", 0.5, seed=0).counts == {"mnist+svhn+text": 36, "text": 36}


def test_provenance_is_that_of_the_files_with_the_texts(tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts, plain = at(tiny_root).provenance(), MnistSvhn(DatasetSettings(), tiny_root).provenance()
    assert facts["counts"]["train"] == {"mnist": 30, "svhn": 24, "text": 30}
    assert facts["files"] == plain["files"]
    assert facts["digest"] != plain["digest"]
    assert facts["status"] == "unverified"
    monkeypatch.setattr(mnist_svhn, "PUBLISHED_MD5", {file: fact["md5"] for file, fact in plain["files"].items()})
    assert at(tiny_root).provenance()["status"] == "published"


def test_missing_and_broken_files_are_named_with_the_remedy(tiny_root: Path) -> None:
    with pytest.raises(DataMissing, match=r"no folder was named.*`mmbench data fetch mnist-svhn --data-root DIR`"):
        at(None).split("train")
    assert "mnist 30 + 20, svhn 24 + 12" in MnistSvhnText.verify(tiny_root)
    svhn = tiny_root / "SVHN" / "test_32x32.mat"
    svhn.write_bytes(svhn.read_bytes()[:200])
    with pytest.raises(DataError, match=r"test_32x32\.mat"):
        MnistSvhnText.verify(tiny_root)
    svhn.unlink()
    with pytest.raises(DataMissing, match=r"test_32x32\.mat"):
        MnistSvhnText.verify(tiny_root)


def test_its_networks_take_any_kind_and_any_size() -> None:
    assert DATASETS["mnist-svhn-text"] is MnistSvhnText
    assert MnistSvhnText.common["arch"]["networks"] == "small"


def test_real_texts_are_one_for_each_mnist_image_and_read_without_error(real_data: Path) -> None:
    dataset = at(real_data)
    facts, reader = dataset.provenance(), dataset.reader("text")
    assert reader is not None
    assert {which: facts["counts"][which]["text"] for which in ("train", "test")} == {"train": 60000, "test": 10000}
    plain = MnistSvhn(DatasetSettings(), real_data)
    for which in ("train", "test"):
        split = dataset.split(which)
        assert np.array_equal(reader.read(split.arrays["text"])[:, 0], split.targets["mnist"])
        assert np.array_equal(dataset.pairing(which, 0).table[:, :2], plain.pairing(which, 0).table)
