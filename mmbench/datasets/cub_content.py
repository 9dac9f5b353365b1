"""What of CUB lies in a folder: all of it or the photographs of some classes; and whether it is as published."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mmbench.datasets.base import SplitName
from mmbench.datasets.cub_download import ARCHIVE_MD5, CHECKED
from mmbench.datasets.cub_files import CAPTIONS_EACH, CubFiles
from mmbench.datasets.cub_photographs import check_present, find_photographs, photograph_digests
from mmbench.datasets.files import combined_digest, file_md5

__all__ = ["PUBLISHED_MD5", "Found", "look"]

PUBLISHED_MD5 = {
    "class split": "1d4a0b1f9fd9fe7ae82b897f4f9a9828",
    "images.txt": "619b5c21b05008767b6d09160bdfba38",
    "text_trainvalclasses.txt": "8fb2e6aac4d1f63f0bed0ba0e019ff99",
    "text_testclasses.txt": "704a32e23b576e9ef69e775670050b8f",
}


@dataclass(frozen=True)
class Found:
    """What lies in the folder.

    Attributes:
        files: lists and captions, of all classes.
        place: where the photographs are.
        photographs: photograph -> SHA-256, of those that are there.
        checked: whether the photographs are those of the archive with the published MD5.
    """

    files: CubFiles
    place: Path
    photographs: Mapping[str, str]
    checked: bool

    @cached_property
    def rows(self) -> Mapping[SplitName, np.ndarray]:
        """Split -> which of its photographs, in their sorted order, are there."""
        return {
            which: np.array([i for i, name in enumerate(part.names) if name in self.photographs], np.int64)
            for which, part in self.files.parts.items()
        }

    @property
    def published(self) -> bool:
        """Whether all of it is the published content."""
        return self.checked and not self.subset and self.files.digests == PUBLISHED_MD5

    @property
    def subset(self) -> str:
        """How much there is where it is less than what the lists have; empty where it is all."""
        here, listed = self.photographs, self.files.line_of
        if len(here) == len(listed):
            return ""
        classes, all_classes = (len({name.split("/")[0] for name in names}) for names in (here, listed))
        return (
            f"{classes} of {all_classes} classes, {len(here)} of {len(listed)} photographs with "
            f"{CAPTIONS_EACH * len(here)} of {CAPTIONS_EACH * len(listed)} captions"
        )


def look(folder: Path, files: CubFiles) -> Found:
    """Find the photographs below `CUB/` that go with the files. Raises `DataMissing` or `DataError`."""
    place = find_photographs(folder)
    digests = photograph_digests(place)
    check_present(place, digests, files.line_of, files.index)
    return Found(files, place, digests, _checked(folder, place, digests))


def _checked(folder: Path, place: Path, digests: Mapping[str, str]) -> bool:
    """Whether the photographs are those of the published archive, as far as can be told."""
    if place.is_file():
        return file_md5(place) == ARCHIVE_MD5
    note = folder / CHECKED
    return note.is_file() and note.read_bytes().strip() == combined_digest(digests).encode()
