"""The published files of PolyMNIST: PNG images `<split>/m<modality>/<number>.<digit>.png`, in a folder or in the zip.

The archive `PolyMNIST.zip` holds them below `MMNIST/`; it is read as it is or extracted. Numbers count the images of a
digit, and images of one name are of one digit in every modality. A file is never larger than 64 KiB, and its header is
read before it is decoded.
"""

import io
import re
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from mmbench.errors import DataError, DataMissing

__all__ = ["DEFAULT_METRICS", "NAMES", "SIDE", "Archive", "ImageFile", "decoded", "find"]

NAMES = ("m0", "m1", "m2", "m3", "m4")
# Likelihoods of five modalities, in 31 questions, take minutes: they are computed where they are asked for.
DEFAULT_METRICS = (
    "classifier_accuracy",
    "cross_coherence",
    "embeddings",
    "joint_coherence",
    "latent_accuracy",
    "relatedness",
    "samples",
)
SIDE = 28
LARGEST_FILE = 1 << 16
MOST_FILES = 100_000  # of one modality and split
PLACES = ("MMNIST", "PolyMNIST/MMNIST", "PolyMNIST", "PolyMNIST.zip", "PolyMNIST/PolyMNIST.zip", "MMNIST.zip")
START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
RGB_OF_8_BITS = (8, 2)
END = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True, order=True)
class ImageFile:
    """One image, ordered by digit and number; `stamp` changes with its content, as far as a listing tells."""

    digit: int
    number: int
    stamp: str = ""

    @property
    def name(self) -> str:
        """`<number>.<digit>.png`."""
        return f"{self.number}.{self.digit}.png"


class Archive(ABC):
    """Where the images are. Final: `Folder` and `Zipped`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def _listing(self, which: str, modality: str) -> Iterator[tuple[str, int, str]]:
        """Name, size in bytes and stamp of every PNG file of a modality and split."""

    @abstractmethod
    def contents(self, which: str, modality: str, names: Iterable[str]) -> Iterator[bytes]:
        """The files of these names, in this order. Raises `DataError` where one cannot be read."""

    def place(self, which: str, modality: str) -> str:
        """Where the images of a modality and split are, for messages."""
        return f"{self.path}/{which}/{modality}"

    def images(self, which: str, modality: str) -> list[ImageFile]:
        """The images of a modality and split, in order.

        Raises:
            DataMissing: there are none.
            DataError: a name that says no digit, one that stands twice, a file that is too large, or too many files.
        """
        place, found = self.place(which, modality), []
        for name, size, stamp in self._listing(which, modality):
            match = re.fullmatch(r"(\d{1,9})\.(\d)\.png", name, re.ASCII)
            if match is None or match[1] != str(int(match[1])):
                raise DataError(f"{place}/{name} is not named <number>.<digit>.png, so its digit is not known.")
            if size > LARGEST_FILE:
                raise DataError(f"{place}/{name} has {size} bytes, more than the {LARGEST_FILE} that are read.")
            found.append(ImageFile(int(match[2]), int(match[1]), stamp))
            if len(found) > MOST_FILES:
                raise DataError(f"{place} holds more than the {MOST_FILES} images that are read.")
        if not found:
            raise DataMissing(f"polymnist needs the images {place}/<number>.<digit>.png, and there are none.")
        found.sort()
        for one, other in pairwise(found):
            if one.name == other.name:
                raise DataError(f"{place}/{one.name} stands in it twice.")
        return found


class Folder(Archive):
    """An extracted archive: the folder that holds `train` and `test`."""

    def _listing(self, which: str, modality: str) -> Iterator[tuple[str, int, str]]:
        folder = self.path / which / modality
        if not folder.is_dir():
            raise DataMissing(f"polymnist needs the folder {folder}, which is not there.")
        for file in folder.glob("*.png"):
            try:
                about = file.stat()
            except OSError as error:
                raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error
            yield file.name, about.st_size, f"{about.st_size} {about.st_mtime_ns}"

    def contents(self, which: str, modality: str, names: Iterable[str]) -> Iterator[bytes]:
        for name in names:
            path = self.path / which / modality / name
            try:
                with path.open("rb") as file:
                    yield file.read(LARGEST_FILE)
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


class Zipped(Archive):
    """The archive as it is published; nothing is extracted.

    Raises:
        DataError: it is no whole zip file, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._members: dict[tuple[str, str], list[zipfile.ZipInfo]] = {}
        try:
            with zipfile.ZipFile(path) as file:
                members = file.infolist()
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path} is not a whole zip file ({error}); download it again.") from error
        for info in members:
            parts = info.filename.split("/")
            if parts[-1].endswith(".png") and len(parts) > 2 and parts[0] != "__MACOSX":
                self._members.setdefault((parts[-3], parts[-2]), []).append(info)

    def _listing(self, which: str, modality: str) -> Iterator[tuple[str, int, str]]:
        for info in self._members.get((which, modality), []):
            yield info.filename.rpartition("/")[2], info.file_size, f"{info.file_size} {info.CRC}"

    def contents(self, which: str, modality: str, names: Iterable[str]) -> Iterator[bytes]:
        members = {info.filename.rpartition("/")[2]: info for info in self._members[which, modality]}
        with zipfile.ZipFile(self.path) as archive:
            for name in names:
                try:
                    with archive.open(members[name]) as file:
                        yield file.read(LARGEST_FILE)
                except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
                    # RuntimeError: encrypted, or packed in a way that Python does not know
                    raise DataError(f"{self.place(which, modality)}/{name} cannot be unpacked: {error}.") from error


def find(root: Path) -> Archive:
    """The archive below `root`, extracted or not. Raises `DataMissing`, which says how to get it, or `DataError`."""
    for place in PLACES:
        path = root / place
        if path.suffix == ".zip" and path.is_file():
            return Zipped(path)
        if path.suffix != ".zip" and any((path / which).is_dir() for which in ("train", "test")):
            return Folder(path)
    raise DataMissing(
        f"polymnist needs {root / PLACES[3]} or its folder {root / PLACES[0]}, and neither is there; mmbench does not "
        "download it: get PolyMNIST.zip from https://zenodo.org/record/4899160."
    )


def decoded(content: bytes, name: str) -> np.ndarray:
    """The pixels `[3, 28, 28]` uint8 of a PNG file.

    Args:
        name: the file, for messages.

    Raises:
        DataError: no PNG image, of another size or kind than 28x28 RGB, cut short, or damaged.
    """
    from PIL import Image

    if not content.startswith(START) or len(content) < len(START) + 10:
        raise DataError(f"{name} is not a PNG image.")
    width, height, *kind = struct.unpack_from(">IIBB", content, len(START))
    if (width, height) != (SIDE, SIDE) or tuple(kind) != RGB_OF_8_BITS:
        raise DataError(f"{name} must be a PNG image of {SIDE}x{SIDE} RGB pixels of 8 bits, got {width}x{height}.")
    if not content.endswith(END):
        raise DataError(f"{name} is a PNG image that is cut short, or something follows it.")
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"{name} is a damaged PNG image: {error}.") from error
