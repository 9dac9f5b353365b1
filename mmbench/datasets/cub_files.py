"""The files of CUB that say what there is: the list of photographs, the class split, and the captions.

`CUB_200_2011/images.txt` lists the photographs (`<id> <class>/<photograph>.jpg`). The class split is a list of the
classes of each part (`trainvalclasses.txt`, as Reed et al. published it) or of its photographs (as AttnGAN has it). A
caption file has ten lines for each photograph of its part, photographs in sorted order of their names.
"""

import gzip
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmbench.datasets.base import SplitName
from mmbench.datasets.files import first_existing
from mmbench.errors import DataError

__all__ = ["CAPTIONS", "CAPTIONS_EACH", "INDEX", "SPLIT_LISTS", "Captioned", "CubFiles", "read_cub"]

DATASET = "cub"
INDEX = "CUB_200_2011/images.txt"
SUFFIX = ".jpg"
CAPTIONS_EACH = 10
CAPTIONS: Mapping[SplitName, str] = {"train": "text_trainvalclasses.txt", "test": "text_testclasses.txt"}
SPLIT_LISTS: Mapping[SplitName, tuple[str, ...]] = {
    "train": ("trainvalclasses.txt", "attngan_train_filenames.txt", "train_filenames.txt"),
    "test": ("testclasses.txt", "attngan_test_filenames.txt", "test_filenames.txt"),
}
LARGEST = 1 << 28
LONGEST = 2000
"""Characters of a caption; the longest published one has 357. What is longer is no caption but a file gone wrong."""


@dataclass(frozen=True)
class Captioned:
    """One part of the class split: its photographs `<class>/<photograph>` in sorted order, ten captions for each."""

    names: tuple[str, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class CubFiles:
    """What the files say.

    Attributes:
        index: the list of photographs.
        line_of: photograph -> its line in the list.
        parts: split -> its photographs with their captions.
        digests: MD5 of the list's and the caption files' content by file name (without `.gz`), and of the class split.
    """

    index: Path
    line_of: Mapping[str, int]
    parts: Mapping[SplitName, Captioned]
    digests: Mapping[str, str]


def read_cub(folder: Path) -> CubFiles:
    """Read the files below `CUB/`. Raises `DataMissing`, or `DataError` with the file and the line that is wrong."""
    index = _found(folder, (INDEX,))
    lines, digest = read_lines(index)
    line_of = _photographs(index, lines)
    part_of = _class_split(folder, line_of)
    for name, line in line_of.items():
        if name.split("/")[0] not in part_of:
            raise DataError(f"{index}:{line}: {name} is of a class that stands in no list of the class split.")
    digests = {Path(INDEX).name: digest, "class split": _split_digest(part_of)}
    parts: dict[SplitName, Captioned] = {}
    for which, file in CAPTIONS.items():
        names = sorted(name for name in line_of if part_of[name.split("/")[0]] == which)
        path = _found(folder, (file,))
        captions, digests[file] = read_lines(path)
        _check_captions(path, captions, names)
        parts[which] = Captioned(tuple(names), tuple(captions))
    return CubFiles(index, line_of, parts, digests)


def read_lines(path: Path) -> tuple[list[str], str]:
    """The lines of a UTF-8 file, gzipped or not, without the white space around them, and the MD5 of its content.

    Raises:
        DataError: unreadable, larger than 256 MiB, or bytes that are not UTF-8: the line is named.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a whole gzip file ({error}); fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(content) > LARGEST:
        raise DataError(f"{path} is larger than the {LARGEST} bytes that are read.")
    pieces = content.split(b"\n")
    pieces = pieces if pieces[-1] else pieces[:-1]
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return [_decoded(piece, path, line) for line, piece in enumerate(pieces, 1)], digest


def _decoded(piece: bytes, path: Path, line: int) -> str:
    try:
        return piece.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{line} holds bytes that are not UTF-8, the first at place {error.start}.") from error


def _found(folder: Path, files: Sequence[str]) -> Path:
    return first_existing([folder / f"{file}{end}" for file in files for end in ("", ".gz")], dataset=DATASET)


def _photographs(index: Path, lines: Sequence[str]) -> dict[str, int]:
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        name = line.partition(" ")[2].removesuffix(SUFFIX)
        if not line.endswith(SUFFIX) or name.count("/") != 1:
            raise DataError(f"{index}:{number} must be '<id> <class>/<photograph>{SUFFIX}', got {line[:80]!r}.")
        if name in line_of:
            raise DataError(f"{index}:{number} lists {name} again, which line {line_of[name]} has.")
        line_of[name] = number
    return line_of


def _class_split(folder: Path, line_of: Mapping[str, int]) -> dict[str, SplitName]:
    """Class -> the part that it is in."""
    known = {*line_of, *(name.split("/")[0] for name in line_of)}
    part_of: dict[str, tuple[SplitName, str]] = {}
    for which, files in SPLIT_LISTS.items():
        path = _found(folder, files)
        for number, line in enumerate(read_lines(path)[0], 1):
            name = line.removesuffix(SUFFIX)
            if name not in known:
                raise DataError(f"{path}:{number}: {INDEX} lists no class or photograph {name[:80]!r}.")
            group = name.split("/")[0]
            other, place = part_of.setdefault(group, (which, f"{path}:{number}"))
            if other != which:
                raise DataError(f"{path}:{number}: class {group} overlaps both parts of the split, see {place}.")
    return {group: which for group, (which, _) in part_of.items()}


def _split_digest(part_of: Mapping[str, SplitName]) -> str:
    lines = "".join(f"{group} {which}\n" for group, which in sorted(part_of.items()))
    return hashlib.md5(lines.encode(), usedforsecurity=False).hexdigest()


def _check_captions(path: Path, captions: Sequence[str], names: Sequence[str]) -> None:
    count, expected = len(captions), CAPTIONS_EACH * len(names)
    if count < expected:
        name, have = names[count // CAPTIONS_EACH], count % CAPTIONS_EACH
        raise DataError(
            f"{path} ends at line {count}: {name} has {have} of its {CAPTIONS_EACH} captions, and the {len(names)} "
            f"photographs of this part need {expected} lines."
        )
    if count > expected:
        raise DataError(
            f"{path}:{expected + 1} is a caption of no photograph: the {len(names)} photographs of this part have "
            f"{CAPTIONS_EACH} lines each."
        )
    for number, caption in enumerate(captions, 1):
        if not caption:
            raise DataError(f"{path}:{number} is an empty caption, of {names[(number - 1) // CAPTIONS_EACH]}.")
        if len(caption) > LONGEST:
            raise DataError(f"{path}:{number} has {len(caption)} characters; a caption has {LONGEST} at most.")
