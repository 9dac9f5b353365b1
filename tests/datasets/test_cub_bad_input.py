"""What is wrong with files of CUB is one sentence with file and line, exit code 2, and nothing half-made is kept."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from PIL import Image

from mmbench.cli import main
from mmbench.datasets.cub import Cub, CubSettings
from mmbench.errors import DataError, DataMissing

TRAIN, TEST = "text_trainvalclasses.txt", "text_testclasses.txt"
IMAGES = "CUB_200_2011/images"
INDEX = "CUB_200_2011/images.txt"


@pytest.fixture
def folder(tiny_cub: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `CUB` of a root with all of the tiny files, and an empty cache beside it."""
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path / "cache"))
    return tiny_cub.write(tmp_path / "root")


def edit(file: str, change: Callable[[list[bytes]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        lines = (folder / file).read_bytes().splitlines()
        change(lines)
        (folder / file).write_bytes(b"\n".join(lines) + b"\n")

    return apply


def put(file: str, line: int, text: bytes) -> Callable[[Path], None]:
    return edit(file, lambda lines: lines.__setitem__(line - 1, text))


def photograph(name: str, content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / IMAGES / f"{name}.jpg"
        path.write_bytes(content(path.read_bytes()))

    return apply


def huge(_: bytes) -> bytes:
    """A picture of 64 million pixels in a few kilobytes."""
    buffer = io.BytesIO()
    Image.new("1", (8000, 8000)).save(buffer, "PNG")
    return buffer.getvalue()


def enormous(_: bytes) -> bytes:
    """A picture so large that Pillow itself refuses to open it."""
    buffer = io.BytesIO()
    Image.new("1", (20000, 20000)).save(buffer, "PNG")
    return buffer.getvalue()


CASES = [
    ("captions of one photograph missing", edit(TRAIN, lambda x: x.__delitem__(slice(80, 90))),
     r"text_trainvalclasses\.txt ends at line 80: 005\.Green_Bird/Bird_2 has 0 of its 10 captions.*need 90 lines"),
    ("nine captions", edit(TEST, lambda x: x.pop()),
     r"text_testclasses\.txt ends at line 59: 004\.Black_Bird/Bird_2 has 9 of its 10 captions"),
    ("a caption too many", edit(TEST, lambda x: x.append(b"one more.")),
     r"text_testclasses\.txt:61 is a caption of no photograph"),
    ("an empty caption", put(TRAIN, 25, b"  "),
     r"text_trainvalclasses\.txt:25 is an empty caption, of 001\.Red_Bird/Bird_2"),
    ("a caption longer than the limit", put(TRAIN, 31, b"very " * 500 + b"red bird."),
     r"text_trainvalclasses\.txt:31 has 2509 characters; a caption has 2000 at most"),
    ("bytes that are not UTF-8", put(TRAIN, 7, b"a r\xe9d bird."),
     r"text_trainvalclasses\.txt:7 holds bytes that are not UTF-8, the first at place 3"),
    ("a class in both parts", edit("testclasses.txt", lambda x: x.append(b"003.Blue_Bird")),
     r"testclasses\.txt:3: class 003\.Blue_Bird overlaps both parts of the split, see .*trainvalclasses\.txt:2"),
    ("a class in no part", edit("testclasses.txt", lambda x: x.pop()),
     r"images\.txt:10: 004\.Black_Bird/Bird_11 is of a class that stands in no list"),
    ("a class that there is not", put("testclasses.txt", 2, b"006.No_Bird"),
     r"testclasses\.txt:2: CUB_200_2011/images\.txt lists no class or photograph '006\.No_Bird'"),
    ("a line of the list that is none", put(INDEX, 4, b"4"), r"images\.txt:4 must be '<id> <class>/<photograph>\.jpg'"),
    ("a photograph listed twice", put(INDEX, 4, b"4 001.Red_Bird/Bird_11.jpg"),
     r"images\.txt:4 lists 001\.Red_Bird/Bird_11 again, which line 1 has"),
    ("a photograph missing", lambda f: (f / IMAGES / "003.Blue_Bird/Bird_2.jpg").unlink(),
     r"images\.txt:8: .*images lacks 003\.Blue_Bird/Bird_2\.jpg, but holds others of its class"),
    ("a photograph without captions", lambda f: (f / IMAGES / "003.Blue_Bird/Bird_3.jpg").touch(),
     r"holds 003\.Blue_Bird/Bird_3\.jpg, which .*images\.txt does not list, so that it has no captions"),
    ("a photograph cut short", photograph("004.Black_Bird/Bird_1", lambda x: x[: len(x) // 2]),
     r"004\.Black_Bird/Bird_1\.jpg is not a whole image \(.*truncated"),
    ("a photograph that is none", photograph("004.Black_Bird/Bird_1", lambda x: b"birds"),
     r"004\.Black_Bird/Bird_1\.jpg is not a whole image"),
    ("a photograph too large", photograph("004.Black_Bird/Bird_1", huge),
     r"Bird_1\.jpg has 8000x8000 pixels; at most 50000000 are read"),
    ("a photograph too large for Pillow", photograph("004.Black_Bird/Bird_1", enormous),
     r"Bird_1\.jpg has too many pixels; at most 50000000 are read"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_fault_is_one_sentence_and_nothing_half_made_is_kept(
    folder: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(folder)
    dataset = Cub(CubSettings(features="pixels"), folder.parent)
    with pytest.raises(DataError, match=words) as caught:
        dataset.split("train")
    assert "\n" not in str(caught.value)
    assert not list((folder.parent.parent / "cache").glob("*pixels*"))
    with pytest.raises(DataError, match=words):
        Cub.verify(folder.parent)
    result = CliRunner().invoke(main, ["data", "verify", "cub", "--data-root", str(folder.parent)])
    assert result.exit_code == 2
    assert result.stderr.startswith("mmbench: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("name, mode", [("CUB_200_2011.tgz", "w:gz"), ("CUB_200_2011_images_1.tar", "w")])
def test_an_archive_cut_short_is_one_sentence(
    tiny_cub: ModuleType, folder: Path, name: str, mode: str, share: float
) -> None:
    tiny_cub.pack_photographs(folder, folder / name, mode=mode)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=rf"{name} is not a whole archive \(.*; fetch it again"):
        Cub.verify(folder.parent)


def test_captions_cut_short_within_gzip_are_one_sentence(tiny_cub: ModuleType, folder: Path) -> None:
    tiny_cub.compress(folder / TRAIN)
    path = folder / f"{TRAIN}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"text_trainvalclasses\.txt\.gz is not a whole gzip file"):
        Cub.verify(folder.parent)


def test_links_in_an_archive_lead_nowhere(tiny_cub: ModuleType, folder: Path) -> None:
    secret = folder / "secret"
    secret.write_bytes(tiny_cub.jpeg("secret"))
    tiny_cub.pack_photographs(folder, folder / "plain.tar")
    with tarfile.open(folder / "plain.tar") as old, tarfile.open(folder / "CUB_200_2011_images.tar", "w") as new:
        for member in old:
            if member.name.endswith("004.Black_Bird/Bird_1.jpg"):
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "../../../secret", 0
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with pytest.raises(DataError, match=r"lacks 004\.Black_Bird/Bird_1\.jpg"):
        Cub.verify(folder.parent)


@pytest.mark.parametrize("file", [INDEX, "trainvalclasses.txt", "testclasses.txt", TRAIN, TEST, IMAGES])
def test_each_missing_file_is_named_with_the_remedy(folder: Path, file: str) -> None:
    (folder / file).rename(folder / "elsewhere")
    with pytest.raises(DataMissing, match=rf"needs .*{Path(file).name}.*`mmbench data fetch cub --data-root DIR`"):
        Cub.verify(folder.parent)
