"""Fetching CUB, with a stand-in for torchvision's downloads: only what is missing is added, and all is checked."""

import hashlib
import io
import shutil
import tarfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.error import URLError

import pytest

from mmbench import _torchvision
from mmbench.datasets import cub_content, cub_download
from mmbench.datasets.cub import Cub, CubSettings
from mmbench.errors import MMBenchError


@pytest.fixture
def whole(tiny_cub: ModuleType, tmp_path: Path) -> Path:
    """The tiny files as they shall be in the end."""
    return tiny_cub.write(tmp_path / "whole")


@pytest.fixture
def published(tiny_cub: ModuleType, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archives as they are published, and their digests in place of the real ones."""
    source = tmp_path / "published"
    source.mkdir()
    with tarfile.open(source / "CUB_200_2011.tgz", "w:gz") as tar:
        tar.add(whole / "CUB_200_2011", "CUB_200_2011")
        tar.addfile(tarfile.TarInfo("attributes.txt"), io.BytesIO())
    with tarfile.open(source / "cvpr2016_cub.tar.gz", "w:gz") as tar:
        for which in ("train", "test"):
            for name in tiny_cub.NAMES[which]:
                content = "\n".join(tiny_cub.caption(name, k) for k in range(10)).encode() + b"\n"
                info = tarfile.TarInfo(f"cvpr2016_cub/text_c10/{name}.txt")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        for file in ("trainvalclasses.txt", "testclasses.txt"):
            tar.add(whole / file, f"cvpr2016_cub/{file}")
    (source / cub_download.RESNET101_WEIGHTS[0]).write_bytes(b"weights")
    archive_md5 = hashlib.md5((source / "CUB_200_2011.tgz").read_bytes()).hexdigest()
    monkeypatch.setattr(cub_download, "ARCHIVE_MD5", archive_md5)
    digests = {f: fact["md5"] for f, fact in Cub(CubSettings(), whole.parent).provenance()["files"].items()}
    monkeypatch.setattr(cub_content, "PUBLISHED_MD5", digests)
    monkeypatch.setattr("mmbench.datasets.cub.PUBLISHED_MD5", digests)
    return source


def downloads(source: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> list[str]:
    """Let torchvision "download" from `source`; returns the list that takes in the names of what is asked for."""
    calls: list[str] = []

    def download_url(url: str, root: str, filename: str, md5: str | None = None) -> None:
        calls.append(url)
        if error is not None:
            raise error
        Path(root).mkdir(exist_ok=True, parents=True)
        shutil.copy(source / filename, Path(root) / filename)
        if md5 is not None and hashlib.md5((Path(root) / filename).read_bytes()).hexdigest() != md5:
            raise RuntimeError("File not found or corrupted.")

    stand_in: Any = SimpleNamespace(datasets=SimpleNamespace(utils=SimpleNamespace(download_url=download_url)))
    monkeypatch.setattr(_torchvision, "load", lambda: stand_in)
    return calls


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_empty_folder_is_filled_with_the_published_content(
    whole: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, root = downloads(published, monkeypatch), tmp_path / "new"
    sentence = Cub.fetch(root)
    assert [call.split("/")[2] for call in calls] == [
        "data.caltech.edu",
        "drive.usercontent.google.com",
        "download.pytorch.org",
    ]
    assert "cub in " in sentence
    assert "is published (9 train and 6 test photographs)." in sentence
    found = files_below(root / "CUB")
    assert found.pop("resnet101-63fe2227.pth") == b"weights"
    assert found.pop("CUB_200_2011/photographs.sha256")
    assert found == files_below(whole)
    assert [path.name for path in root.iterdir()] == ["CUB"]
    photograph = next((root / "CUB/CUB_200_2011/images").rglob("*.jpg"))
    photograph.write_bytes(photograph.read_bytes() + b"\0")
    assert "not shown to be the published content: the photographs" in Cub.verify(root)


def test_what_is_there_is_neither_downloaded_nor_replaced(
    tiny_cub: ModuleType, whole: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = downloads(published, monkeypatch)
    (whole / "resnet101-5d3b4d8f.pth").write_bytes(b"older name")
    tiny_cub.compress(whole / "text_testclasses.txt")
    before = files_below(whole)
    assert Cub.fetch(whole.parent).startswith("all files were there already; cub in ")
    assert calls == []
    (whole / "text_testclasses.txt.gz").unlink()
    assert Cub.fetch(whole.parent).startswith("added CUB/text_testclasses.txt; ")
    after = files_below(whole)
    assert len(calls) == 1
    assert {name: after[name] for name in before if name in after} == {n: before[n] for n in before if n in after}


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("corrupted"), OSError(28, "full")])
def test_a_failing_download_is_one_sentence_and_leaves_nothing(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    downloads(published, monkeypatch, error)
    with pytest.raises(MMBenchError, match=r"could not fetch the photographs of CUB to .*connection to the internet"):
        Cub.fetch(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_an_archive_with_another_digest_is_refused(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads(published, monkeypatch)
    monkeypatch.setattr(cub_download, "ARCHIVE_MD5", "0" * 32)
    with pytest.raises(MMBenchError, match="could not fetch the photographs of CUB"):
        Cub.fetch(tmp_path / "new")


@pytest.mark.parametrize("name", ["cvpr2016_cub/text_c10/../../../escaped.txt", "/escaped/text_c10/x.txt"])
def test_a_member_that_would_leave_the_folder_is_not_unpacked(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    downloads(published, monkeypatch)
    with tarfile.open(published / "cvpr2016_cub.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(MMBenchError, match=r"cvpr2016_cub\.tar\.gz was not unpacked|could not fetch the captions"):
        Cub.fetch(tmp_path / "new")
    assert not list(tmp_path.rglob("*escaped*"))
    assert not Path("/escaped").exists()
    assert not [path for path in (tmp_path / "new").iterdir() if path.name.startswith(".fetch")]


@pytest.mark.network
@pytest.mark.slow
def test_the_published_files_are_downloaded(tmp_path: Path) -> None:
    assert "is published (8855 train and 2933 test photographs)" in Cub.fetch(tmp_path)
