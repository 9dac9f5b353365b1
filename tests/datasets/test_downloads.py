"""Downloads, with a stand-in for torchvision: only what is missing is added, and failures are one sentence."""

import gzip
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import pytest

from mmbench import _torchvision
from mmbench.datasets.mnist_svhn import MnistSvhn
from mmbench.errors import MMBenchError


def torchvision_that_copies(source: Path, calls: list[str], error: Exception | None = None) -> Any:
    """Stands for torchvision; its datasets "download" the files of `source`, laid out as torchvision lays them out."""

    def mnist(root: Path, *, train: bool, download: bool) -> None:
        calls.append("mnist")
        if error is not None:
            raise error
        shutil.copytree(source / "MNIST", Path(root) / "MNIST")

    def svhn(root: Path, *, split: str, download: bool) -> None:
        calls.append(f"svhn {split}")
        if error is not None:
            raise error
        Path(root).mkdir(exist_ok=True)
        shutil.copy(source / "SVHN" / f"{split}_32x32.mat", root)

    return SimpleNamespace(datasets=SimpleNamespace(MNIST=mnist, SVHN=svhn))


@pytest.fixture
def source(tiny_root: Path, tmp_path: Path) -> Path:
    """Tiny files, uncompressed as torchvision leaves them."""
    copy = tmp_path / "source"
    shutil.copytree(tiny_root, copy)
    packed = copy / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    return copy


def test_an_empty_folder_is_filled_and_verified(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(_torchvision, "load", lambda: torchvision_that_copies(source, calls))
    sentence = MnistSvhn.fetch(tmp_path / "new" / "root")
    assert calls == ["mnist", "svhn train", "svhn test"]
    assert sentence.startswith("added 6 files; mnist-svhn in ")
    assert "mnist 30 + 20, svhn 24 + 12" in sentence
    assert sorted(p.name for p in (tmp_path / "new" / "root").iterdir()) == ["MNIST", "SVHN"]


def test_files_that_are_there_are_neither_downloaded_nor_replaced(
    source: Path, tiny_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(_torchvision, "load", lambda: torchvision_that_copies(source, calls))
    assert MnistSvhn.fetch(tiny_root).startswith("all files were there already")
    assert calls == []
    kept = tiny_root / "SVHN" / "train_32x32.mat"
    before = (kept.read_bytes(), kept.stat().st_mtime_ns)
    (tiny_root / "SVHN" / "test_32x32.mat").unlink()
    assert MnistSvhn.fetch(tiny_root).startswith("added 1 files")
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    "error", [URLError("no route"), RuntimeError("File not found or corrupted."), OSError(28, "full")]
)
def test_a_failing_download_is_one_sentence_and_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    root = tmp_path / "root"
    monkeypatch.setattr(_torchvision, "load", lambda: torchvision_that_copies(source, [], error))
    with pytest.raises(MMBenchError, match=r"could not fetch MNIST to .*connection to the internet"):
        MnistSvhn.fetch(root)
    assert list(root.iterdir()) == []


def test_a_root_that_is_a_file_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(_torchvision, "load", lambda: torchvision_that_copies(tmp_path, []))
    with pytest.raises(MMBenchError, match="could not fetch MNIST"):
        MnistSvhn.fetch(tmp_path / "file")


@pytest.mark.network
@pytest.mark.slow
def test_the_published_files_are_downloaded(tmp_path: Path) -> None:
    assert "is published (mnist 60000 + 10000, svhn 73257 + 26032" in MnistSvhn.fetch(tmp_path)
