"""Fetching CUB: the published archive of photographs, the captions of Reed et al., and the weights of ResNet-101.

The captions come as one file a photograph; they are written as the two files that the MMVAE code reads, ten lines a
photograph in sorted order. Archives are unpacked by tarfile's filter `data`, and only the members that are needed.
"""

import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mmbench.datasets.cub_files import CAPTIONS, INDEX, SPLIT_LISTS
from mmbench.datasets.cub_photographs import ARCHIVE, FOLDER, OTHER_ARCHIVES, photograph_digests
from mmbench.datasets.downloads import download_missing
from mmbench.datasets.files import combined_digest
from mmbench.datasets.image_features import RESNET101_WEIGHTS
from mmbench.errors import DataError

__all__ = ["ARCHIVE_MD5", "CHECKED", "fetch_cub"]

ARCHIVE_URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
ARCHIVE_MD5 = "97eceeb196236b17998738112f37df78"
CAPTION_FILE = "cvpr2016_cub.tar.gz"
CAPTION_URL = (
    "https://drive.usercontent.google.com/download?id=0B0ywwgffWnLLZW9uVHNjb2JmNlE"
    "&resourcekey=0-8y2UVmBHAlG26HafWYNoFQ&export=download&confirm=t"
)
WEIGHTS_URL = f"https://download.pytorch.org/models/{RESNET101_WEIGHTS[0]}"
CHECKED = "CUB_200_2011/photographs.sha256"
"""Written beside photographs unpacked from the archive with the published MD5: the digest of all of them."""


def fetch_cub(root: Path) -> list[str]:
    """Download what is missing below `root`; returns the paths that were added, relative to `root`."""
    folder = root / "CUB"
    lists = [names[0] for names in SPLIT_LISTS.values() if not _there(folder, names)]
    texts = [file for file in CAPTIONS.values() if not _there(folder, (file,))]
    archive = [] if _there(folder, (INDEX,)) else [INDEX]
    if not (folder / FOLDER).is_dir() and not _there(folder, (ARCHIVE,)) and not [*folder.glob(OTHER_ARCHIVES)]:
        archive += [FOLDER, CHECKED]
    network = [] if _there(folder, RESNET101_WEIGHTS) else [RESNET101_WEIGHTS[0]]
    parts: list[tuple[list[str], Callable[[Any, Path], None], str]] = [
        (archive, _photographs, "the photographs of CUB"),
        ([*lists, *texts], _captions, "the captions of CUB"),
        (network, _weights, "the weights of ResNet-101"),
    ]
    added = []
    for wanted, download, name in parts:
        added += download_missing(root, [f"CUB/{path}" for path in wanted], download, dataset=name)
    return added


def _there(folder: Path, files: Iterable[str]) -> bool:
    return any((folder / f"{file}{end}").is_file() for file in files for end in ("", ".gz"))


def _photographs(datasets: Any, root: Path) -> None:
    folder = root / "CUB"
    datasets.utils.download_url(ARCHIVE_URL, str(root), filename=ARCHIVE, md5=ARCHIVE_MD5)
    _unpack(root / ARCHIVE, folder, lambda name: name == INDEX or name.startswith(f"{FOLDER}/"))
    digest = combined_digest(photograph_digests(folder / FOLDER))
    (folder / CHECKED).write_text(f"{digest}\n", encoding="ascii")


def _captions(datasets: Any, root: Path) -> None:
    datasets.utils.download_url(CAPTION_URL, str(root), filename=CAPTION_FILE)
    lists = [names[0] for names in SPLIT_LISTS.values()]
    _unpack(root / CAPTION_FILE, root, lambda name: "/text_c10/" in name or Path(name).name in lists)
    (source,) = [path.parent for path in root.glob("*/text_c10")] or [root]
    (root / "CUB").mkdir()
    for which, names in SPLIT_LISTS.items():
        classes = (source / names[0]).read_text(encoding="utf-8").split()
        files = sorted((group, path) for group in classes for path in (source / "text_c10" / group).glob("*.txt"))
        lines = [line.strip() for _, path in files for line in path.read_bytes().strip().split(b"\n")]
        (root / "CUB" / CAPTIONS[which]).write_bytes(b"".join(line + b"\n" for line in lines))
        (source / names[0]).replace(root / "CUB" / names[0])


def _weights(datasets: Any, root: Path) -> None:
    datasets.utils.download_url(WEIGHTS_URL, str(root / "CUB"), filename=RESNET101_WEIGHTS[0])


def _unpack(path: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if wanted(member.name)]
            archive.extractall(folder, members=members, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{path.name} was not unpacked: {error}.") from error
