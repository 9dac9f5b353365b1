"""CUB in small, written in the published layout: 3 training and 2 test classes of 3 photographs, ten captions each.

Photographs are noise of different sizes; captions name the photograph's class and number, so that every token tells
where it belongs.
"""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN = ("001.Red_Bird", "003.Blue_Bird", "005.Green_Bird")
TEST = ("002.Grey_Bird", "004.Black_Bird")
NUMBERS = ("11", "2", "1")  # sorted as text, not as numbers
NAMES = {
    "train": [f"{group}/Bird_{n}" for group in TRAIN for n in sorted(NUMBERS)],
    "test": [f"{group}/Bird_{n}" for group in TEST for n in sorted(NUMBERS)],
}
CAPTION_FILE = {"train": "text_trainvalclasses.txt", "test": "text_testclasses.txt"}


def caption(name: str, k: int) -> str:
    """Caption `k` of a photograph; the numbers stand apart as words."""
    colour = name.split(".")[1].split("_")[0].lower()
    return f"this {colour} bird has number {name.rsplit('_', 1)[1]} and caption {k}."


def jpeg(name: str, suffix: str = "JPEG") -> bytes:
    """A photograph of its own size and content."""
    rng = np.random.default_rng(abs(sum(name.encode()) * 7919) % 1000)
    height, width = rng.integers(40, 90, 2)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype(np.uint8)).save(buffer, suffix)
    return buffer.getvalue()


def write(root: Path) -> Path:
    """Write all of it below `root / "CUB"`, photographs in their folder; returns that folder."""
    folder = root / "CUB"
    images = folder / "CUB_200_2011" / "images"
    listed = [f"{group}/Bird_{n}" for group in sorted((*TRAIN, *TEST)) for n in NUMBERS]
    for name in listed:
        path = images / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(name))
    lines = [f"{number} {name}.jpg" for number, name in enumerate(listed, 1)]
    (folder / "CUB_200_2011" / "images.txt").write_text("\n".join(lines) + "\n")
    (folder / "trainvalclasses.txt").write_text("\n".join(TRAIN) + "\n")
    (folder / "testclasses.txt").write_text("\n".join(TEST) + "\n")
    for which, file in CAPTION_FILE.items():
        captions = [caption(name, k) for name in NAMES[which] for k in range(10)]
        (folder / file).write_text("\n".join(captions) + "\n")
    return folder


def pack_photographs(folder: Path, archive: Path, *, mode: str = "w") -> None:
    """Put the photographs into an archive in the published layout and remove their folder."""
    images = folder / "CUB_200_2011" / "images"
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]  # typeshed wants a literal mode
        tar.add(images, "CUB_200_2011/images")
    for path in sorted(images.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    images.rmdir()


def compress(path: Path) -> None:
    """Replace a file by its gzipped form."""
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
