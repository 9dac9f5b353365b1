"""The photographs of CUB, in a folder or in an archive: their bytes, their digests, and their pixels.

Archives are read in place, member by member in memory, so that nothing is unpacked; `mmbench data fetch` unpacks the
published one. A whole class may be absent (a subset); a class that is there must be complete.
"""

import hashlib
import io
import tarfile
import warnings
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mmbench.datasets.files import how_to_get
from mmbench.errors import DataError, DataMissing

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "ARCHIVE",
    "FOLDER",
    "OTHER_ARCHIVES",
    "check_present",
    "decoded",
    "find_photographs",
    "photograph_digests",
    "photographs",
    "sizes_of",
    "where",
]

FOLDER = "CUB_200_2011/images"
ARCHIVE = "CUB_200_2011.tgz"
OTHER_ARCHIVES = "CUB_200_2011_images*.tar"
SUFFIX = ".jpg"
MOST_PIXELS = 50_000_000
LARGEST = 1 << 26  # bytes of a file


def find_photographs(folder: Path) -> Path:
    """Where the photographs below `CUB/` are: their folder, else an archive. Raises `DataMissing`."""
    if (folder / FOLDER).is_dir():
        return folder / FOLDER
    for path in (folder / ARCHIVE, *sorted(folder.glob(OTHER_ARCHIVES))):
        if path.is_file():
            return path
    raise DataMissing(f"cub needs photographs in {folder / FOLDER} or {folder / ARCHIVE}; {how_to_get('cub')}")


def photographs(place: Path) -> Iterator[tuple[str, bytes]]:
    """Name `<class>/<photograph>` and content of each file, in the order of the folder's names or of the archive.

    Raises:
        DataError: the archive is cut short, or a file cannot be read or has more than 64 MiB.
    """
    try:
        if place.is_dir():
            for path in sorted(place.glob(f"*/*{SUFFIX}")):
                with path.open("rb") as file:
                    yield f"{path.parent.name}/{path.stem}", _content(file, f"{path}")
        else:
            with tarfile.open(place) as archive:
                for member in archive:
                    file_of = archive.extractfile(member) if _is_photograph(member) else None
                    if file_of is not None:
                        name = "/".join(Path(member.name).parts[-2:]).removesuffix(SUFFIX)
                        yield name, _content(file_of, where(place, name))
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{place} is not a whole archive ({error}); fetch it again.") from error
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror or error}.") from error


def photograph_digests(place: Path) -> dict[str, str]:
    """Photograph -> SHA-256 of its file."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in photographs(place)}


def check_present(place: Path, present: Collection[str], line_of: Mapping[str, int], index: Path) -> None:
    """Raise `DataError` where a listed photograph of a class that is there is missing, or one is not listed."""
    for name in present:
        if name not in line_of:
            raise DataError(f"{place} holds {name}{SUFFIX}, which {index} does not list, so that it has no captions.")
    held, classes = set(present), {name.split("/")[0] for name in present}
    for name, line in line_of.items():
        if name.split("/")[0] in classes and name not in held:
            raise DataError(f"{index}:{line}: {place} lacks {name}{SUFFIX}, but holds others of its class.")
    if not held:
        raise DataError(f"{place} holds no photograph <class>/<photograph>{SUFFIX}.")


def sizes_of(place: Path) -> list[tuple[int, int]]:
    """Width and height of every photograph. Raises `DataError` for one that is not whole."""
    return [decoded(content, where(place, name)).size for name, content in photographs(place)]


def where(place: Path, name: str) -> str:
    """How a photograph is named to the user."""
    return f"{place / name}{SUFFIX}" if place.is_dir() else f"{place}: {name}{SUFFIX}"


def decoded(content: bytes, shown: str) -> "Image":
    """The picture in RGB.

    Raises:
        DataError: not a whole image, or one of more than 50 million pixels, of which none is decoded.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound below is stricter
            image = Image.open(io.BytesIO(content))
        if image.width * image.height > MOST_PIXELS:
            raise DataError(f"{shown} has {image.width}x{image.height} pixels; at most {MOST_PIXELS} are read.")
        return image.convert("RGB")
    except Image.DecompressionBombError as error:
        raise DataError(f"{shown} has too many pixels; at most {MOST_PIXELS} are read.") from error
    except (OSError, SyntaxError) as error:
        raise DataError(f"{shown} is not a whole image ({error}).") from error


def _is_photograph(member: tarfile.TarInfo) -> bool:
    parts = Path(member.name).parts
    return member.isfile() and parts[-3:-2] == ("images",) and parts[-1].endswith(SUFFIX) and parts[-1][0] != "."


def _content(file: IO[bytes], shown: str) -> bytes:
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise DataError(f"{shown} is larger than the {LARGEST} bytes that are read.")
    return content
