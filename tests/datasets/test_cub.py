"""CUB from tiny files in the published layout, and from real files where MMBENCH_DATA names them."""

import gzip
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmbench.config import parse_settings
from mmbench.datasets import DATASETS, Pairing
from mmbench.datasets import cub_content as content_module
from mmbench.datasets.cub import Cub, CubSettings
from mmbench.datasets.loader import observe
from mmbench.errors import DataMissing, InvalidSetting
from mmbench.testing import for_datasets
from mmbench.testing.contract import NotApplicable


@pytest.fixture
def folder(tiny_cub: ModuleType, tmp_path: Path) -> Path:
    """The folder `CUB` of a root with all of the tiny files."""
    return tiny_cub.write(tmp_path)


def at(folder: Path | None, **settings: Any) -> Cub:
    return Cub(CubSettings(**{"features": "pixels", **settings}), None if folder is None else folder.parent)


def texts(dataset: Cub, which: str) -> list[str]:
    tokens = dataset.modalities[1].tokens
    return [tokens.text(row) for row in dataset.split(which).arrays["caption"].tolist()]


def test_every_row_joins_a_photograph_with_a_caption_of_its_own(folder: Path, tiny_cub: ModuleType) -> None:
    dataset = at(folder)
    for which in ("train", "test"):
        split, pairing = dataset.split(which), dataset.pairing(which, 0)
        images = split.arrays["image"]
        expected = [Image.open(folder / f"CUB_200_2011/images/{name}.jpg") for name in tiny_cub.NAMES[which]]
        for image, picture in zip(images, expected, strict=True):
            squeezed = np.asarray(picture.resize((64, 64), Image.Resampling.BILINEAR))
            assert np.array_equal(image, squeezed.transpose(2, 0, 1))
        assert sorted(pairing.table[:, 1].tolist()) == list(range(10 * len(images)))
        for row, (image, caption) in enumerate(pairing.table.tolist()):
            name = tiny_cub.NAMES[which][image]
            words = texts(dataset, which)[caption].split()
            told = tiny_cub.caption(name, caption % 10).replace(".", " .").split()
            assert all(word in (other, "<exc>") for word, other in zip(words, told, strict=True))
            assert words[4:6] == ["number", told[5]]
            assert pairing.groups[row] == image


def test_words_are_those_of_the_training_captions_alone(folder: Path) -> None:
    tokens = at(folder).modalities[1].tokens
    assert {"red", "blue", "green", "number", "11", "9", "."} <= set(tokens.words)
    assert not {"grey", "black"} & set(tokens.words)
    assert len(tokens.words) == tokens.vocabulary == len(set(tokens.words))
    dataset = at(folder)
    assert all(text.startswith("this <exc> bird") for text in texts(dataset, "test"))
    assert dataset.provenance()["unknown words"] == {"train": 0, "test": 60}


def test_a_long_caption_is_cut_with_its_end_mark_and_counted(folder: Path) -> None:
    path = folder / "text_trainvalclasses.txt"
    lines = path.read_text().split("\n")
    lines[3], lines[4], lines[5] = (" ".join(["bird"] * n) for n in (30, 31, 32))
    path.write_text("\n".join(lines))
    dataset = at(folder)
    rows = dataset.split("train").arrays["caption"]
    eos, bird = 2, dataset.modalities[1].tokens.words.index("bird")
    assert rows[3].tolist() == [bird] * 30 + [eos, 1]
    assert rows[4].tolist() == rows[5].tolist() == [bird] * 31 + [eos]
    assert dataset.provenance()["captions cut to 32 tokens"] == {"train": 1, "test": 0}


def test_fewer_captions_are_the_first_ones_of_each_photograph(folder: Path) -> None:
    some, whole = at(folder, captions=3), at(folder)
    for which in ("train", "test"):
        few, many = (d.split(which).arrays["caption"] for d in (some, whole))
        assert np.array_equal(few.reshape(-1, 3, 32), many.reshape(-1, 10, 32)[:, :3])
        assert some.provenance()["counts"][which]["caption"] == len(few)
    assert observe(some, "complete", 1.0, seed=0).counts == {"image+caption": 27}


def test_a_photograph_and_its_captions_are_observed_alike(folder: Path) -> None:
    whole, images, captions = observe(at(folder), "split", 0.5, seed=0).patterns
    assert (whole.names, images.names, captions.names) == (("image", "caption"), ("image",), ("caption",))
    assert (whole.table[:, 1] // 10 == whole.table[:, 0]).all()
    owners = [set(p.tolist()) for p in (whole.table[:, 0], images.table[:, 0], captions.table[:, 0] // 10)]
    assert [len(o) for o in owners] == [4, 3, 2]
    assert set.union(*owners) == set(range(9))


def test_the_slip_of_the_mmvae_code_is_an_option(folder: Path) -> None:
    assert at(folder).modalities[1].tokens.ignored == 1
    slip = at(folder, ignored="exc").modalities[1].tokens
    assert slip.ignored == 0
    assert slip.hidden == frozenset({1, 2})


def test_a_run_is_planned_without_files() -> None:
    dataset = Cub(CubSettings())
    image, caption = dataset.modalities
    assert (image.kind, image.shape, caption.shape) == ("vector", (2048,), (32,))
    assert (caption.tokens.vocabulary, caption.tokens.words) == (1590, ())
    assert [Cub(CubSettings(features=f)).modalities[0].shape for f in ("efficientnet-lite0", "pixels")] == [
        (1280,),
        (3, 64, 64),
    ]
    for read in (lambda: dataset.split("train"), lambda: dataset.pairing("train", 0), dataset.provenance):
        with pytest.raises(DataMissing, match=r"no folder was named.*MMBENCH_DATA"):
            read()
    with pytest.raises(InvalidSetting, match=r"data\.captions must lie in \[1, 10\]"):
        parse_settings(CubSettings, {"captions": 11}, "data")


@pytest.mark.parametrize("form", ["folder", "tgz", "tar", "gzipped captions", "lists of photographs"])
def test_the_same_content_in_another_form_gives_the_same_data(
    folder: Path, tiny_cub: ModuleType, tmp_path_factory: pytest.TempPathFactory, form: str
) -> None:
    other = tmp_path_factory.mktemp("other") / "CUB"
    shutil.copytree(folder, other)
    if form == "tgz":
        tiny_cub.pack_photographs(other, other / "CUB_200_2011.tgz", mode="w:gz")
    if form == "tar":
        tiny_cub.pack_photographs(other, other / "CUB_200_2011_images_subset.tar")
    if form == "gzipped captions":
        for file in tiny_cub.CAPTION_FILE.values():
            tiny_cub.compress(other / file)
    if form == "lists of photographs":
        for which, old in (("train", "trainvalclasses.txt"), ("test", "testclasses.txt")):
            (other / old).unlink()
            (other / f"attngan_{which}_filenames.txt").write_text("\n".join(reversed(tiny_cub.NAMES[which])))
    first, second = at(folder), at(other)
    assert first.provenance() == second.provenance()
    for which in ("train", "test"):
        for name, array in first.split(which).arrays.items():
            assert np.array_equal(array, second.split(which).arrays[name])


def test_a_subset_is_used_as_what_it_is(folder: Path, tiny_cub: ModuleType) -> None:
    whole = at(folder)
    digest, everything = whole.provenance()["digest"], whole.split("train").arrays
    for group in ("003.Blue_Bird", "004.Black_Bird"):
        shutil.rmtree(folder / "CUB_200_2011" / "images" / group)
    some = at(folder)
    facts = some.provenance()
    assert facts["status"] == "unverified"
    assert facts["subset"] == "3 of 5 classes, 9 of 15 photographs with 90 of 150 captions"
    assert facts["counts"] == {"train": {"image": 6, "caption": 60}, "test": {"image": 3, "caption": 30}}
    assert facts["digest"] != digest
    assert some.modalities == whole.modalities  # the words are those of all training captions
    kept = [i for i, name in enumerate(tiny_cub.NAMES["train"]) if "Blue" not in name]
    assert np.array_equal(some.split("train").arrays["image"], everything["image"][kept])
    captions = everything["caption"].reshape(9, 10, 32)
    assert np.array_equal(some.split("train").arrays["caption"], captions[kept].reshape(60, 32))
    sentence = Cub.verify(folder.parent)
    assert "unverified (6 train and 3 test photographs); a subset: 3 of 5 classes" in sentence


def test_complete_content_with_the_published_digests_is_published(
    folder: Path, tiny_cub: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = at(folder).provenance()
    assert (facts["status"], facts["subset"]) == ("unverified", "")
    assert "not shown to be the published content: class split, images.txt, text_" in Cub.verify(folder.parent)
    digests = {file: fact["md5"] for file, fact in facts["files"].items()}
    monkeypatch.setattr(content_module, "PUBLISHED_MD5", digests)
    assert at(folder).provenance()["status"] == "unverified"  # the photographs could be others
    archive = folder / "CUB_200_2011.tgz"
    tiny_cub.pack_photographs(folder, archive, mode="w:gz")
    monkeypatch.setattr(content_module, "ARCHIVE_MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert at(folder).provenance()["status"] == "published"


def test_the_digest_knows_every_byte_of_captions_and_photographs(folder: Path) -> None:
    seen = {at(folder).provenance()["digest"]}
    (folder / "text_testclasses.txt").write_text((folder / "text_testclasses.txt").read_text().replace("9.", "8.", 1))
    seen.add(at(folder).provenance()["digest"])
    photograph = next((folder / "CUB_200_2011/images").rglob("*.jpg"))
    photograph.write_bytes(photograph.read_bytes() + b"\0")
    seen.add(at(folder).provenance()["digest"])
    assert len(seen) == 3


def test_grey_photographs_have_three_channels(folder: Path) -> None:
    path = folder / "CUB_200_2011/images/001.Red_Bird/Bird_1.jpg"
    buffer = io.BytesIO()
    Image.new("L", (80, 50), 77).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue())
    assert (at(folder).split("train").arrays["image"][0] == 77).all()


@pytest.mark.parametrize("check", for_datasets.CHECKS, ids=lambda check: check.__name__)
def test_the_contract_holds_on_tiny_files(folder: Path, monkeypatch: pytest.MonkeyPatch, check: Any) -> None:
    monkeypatch.setenv("MMBENCH_DATA", str(folder.parent))
    monkeypatch.setattr(Cub, "Settings", lambda: CubSettings(features="pixels"))
    try:
        check(Cub)
    except NotApplicable as reason:
        assert "the density" in str(reason) or "read by rule" in str(reason)  # noqa: PT017 - all else applies


def test_it_is_registered_and_described() -> None:
    assert DATASETS["cub"] is Cub
    assert len(Cub.references) == 3


# Real data ------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def real_cub() -> Cub:
    root = Path(os.environ.get("MMBENCH_DATA") or "nowhere")
    if not (root / "CUB").is_dir():
        pytest.skip("needs real data: set MMBENCH_DATA to a folder that holds CUB/")
    return Cub(CubSettings(features="pixels"), root)


@pytest.mark.slow
def test_real_captions_belong_to_their_photographs_and_give_1856_words(real_cub: Cub) -> None:
    path = real_cub.root / "CUB" / "captions_all.tsv.gz"
    if not path.is_file():
        pytest.skip("needs captions_all.tsv.gz of CUB, which says whose each caption is")
    told: dict[str, list[str]] = {}
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        name, _, caption = line.split("\t")
        told.setdefault(name, []).append(caption)
    for which, published in (("train", 8855), ("test", 2933)):
        part = real_cub._files.parts[which]
        assert len(part.names) == published
        assert list(part.captions) == [caption for name in part.names for caption in told[name]]
    assert real_cub.modalities[1].tokens.vocabulary == 1856


@pytest.mark.slow
def test_real_subset_is_recognised(real_cub: Cub) -> None:
    facts = real_cub.provenance()
    json.dumps(facts)
    if not facts["subset"].startswith("18 of 200"):
        pytest.skip("needs the subset of 18 classes")
    assert facts["status"] == "unverified"
    assert all(fact["published"] for fact in facts["files"].values())
    assert facts["counts"] == {"train": {"image": 649, "caption": 6490}, "test": {"image": 417, "caption": 4170}}
    pairing: Pairing = real_cub.pairing("train", 0)
    assert set(Counter(pairing.groups.tolist()).values()) == {10}
