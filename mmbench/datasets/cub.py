"""CUB with captions: photographs of birds and ten sentences about each.

The photographs are those of Caltech-UCSD Birds-200-2011 (Wah et al.), the captions those of Reed et al.; 150 classes
are for training and 50 for tests, so that no species stands in both. Files are read below `<root>/CUB` (see
`cub_files` and `cub_photographs`). A root that holds the photographs of some classes only is used as the subset that it
is: its photographs with their captions, while the vocabulary comes from the training captions of all classes.

A photograph is a modality as the MEME and MMVAE papers have it, 2048 features of a ResNet-101, or 1280 of a smaller
network that comes with packages, or 64x64 pixels (see `image_features`). A caption is 32 tokens (see `vocabulary`).
Table 8d of the MEME paper has a vocabulary of 1590. That is of MMVAE's own captions, which were edited by hand (first
sentence alone, spelling corrected, a full stop at every end); the captions of Reed et al. give 1856 by the same rule.

A row is a photograph with one of its captions. The ten rows of a photograph are one group: a scheme observes all of
them alike, so that a photograph which is paired in one row is never alone in another. `features` are computed once and
kept in the cache.

Rows have no class: a classifier that learned the training species would know none of the test species.
"""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmbench.config import setting
from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Split, SplitName
from mmbench.datasets.cache import Arrays, cached
from mmbench.datasets.cub_content import PUBLISHED_MD5, Found, look
from mmbench.datasets.cub_download import fetch_cub
from mmbench.datasets.cub_files import CAPTIONS_EACH, CubFiles, read_cub
from mmbench.datasets.cub_photographs import decoded, photographs, sizes_of, where
from mmbench.datasets.files import combined_digest, folder_to_fill, require_root
from mmbench.datasets.image_features import VIEWS, View
from mmbench.datasets.vocabulary import END, PADDING, UNKNOWN, encoded, vocabulary, words_of
from mmbench.modality import ModalitySpec, Tokens
from mmbench.seeding import generator

__all__ = ["Cub", "CubSettings"]

VERSION = 1  # raised whenever the content made of the same files changes
LENGTH = 32
PAPER_VOCABULARY = 1590
SPLITS: tuple[SplitName, ...] = ("train", "test")
IGNORED = {"pad": PADDING, "exc": UNKNOWN}


@dataclass(frozen=True)
class CubSettings(DatasetSettings):
    """Settings of `cub` (section `data`)."""

    pairs: int = setting(1, low=1, high=1, help="Only 1: a caption belongs to its photograph alone.")
    features: str = setting(
        "resnet101",
        choices=tuple(VIEWS),
        help="What is seen of a photograph: 2048 features (Table 8c), 1280 of a network in packages, or 64x64 pixels.",
    )
    captions: int = setting(CAPTIONS_EACH, low=1, high=CAPTIONS_EACH, help="Captions used of each photograph.")
    ignored: str = setting(
        "pad",
        choices=("pad", "exc"),
        help="What the likelihood of captions passes over: padding, or unknown words (a slip of the MMVAE code).",
    )


@DATASETS.register("cub")
class Cub(Dataset):
    """Birds and captions, read from files below `root`."""

    name = "cub"
    description = "photographs of birds (2048 features, or pixels) with captions of 32 tokens; 10 captions a photograph"
    Settings = CubSettings
    references: ClassVar[tuple[str, ...]] = (
        "Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, California Institute of Technology CNS-TR-2011-001, 2011",
        "Reed et al., Learning Deep Representations of Fine-Grained Visual Descriptions, CVPR 2016 (captions)",
        "Shi et al., Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models, NeurIPS 2019 "
        "(features and tokens)",
    )
    terms: ClassVar[str] = "The photographs of CUB are for non-commercial research and education only."
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "small", "latent_dim": 64, "likelihood": "normal", "scale": 0.2, "rescale": "largest"},
        "train": {"batch_size": 128, "lr": 5e-4, "steps": 1500},
    }
    default_metrics: ClassVar[tuple[str, ...] | None] = (
        "caption_correlation",
        "caption_quality",
        "log_likelihood",
        "relatedness",
        "samples",
    )
    settings: CubSettings

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._splits: dict[SplitName, Split] = {}

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        """Photograph and caption; without files the vocabulary has the paper's size and no words."""
        words = tuple(self._tokens["words"].tolist()) if self._has_files else ()
        tokens = Tokens(
            len(words) or PAPER_VOCABULARY,
            end=END,
            ignored=IGNORED[self.settings.ignored],
            words=words,
            hidden=frozenset({PADDING, END}),
        )
        return (
            ModalitySpec("image", self._view.kind, self._view.shape),
            ModalitySpec("caption", "tokens", (LENGTH,), tokens),
        )

    @property
    def classes(self) -> None:
        return None

    def split(self, which: SplitName) -> Split:
        """Photographs `[N, *shape]` and captions `[N * captions, 32]`, both in the sorted order of the photographs."""
        if which not in self._splits:
            arrays = {"image": self._images[which], "caption": self._tokens[which][self._caption_rows(which)]}
            self._splits[which] = Split(arrays=arrays, targets={})
        return self._splits[which]

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        """Every photograph with each of its captions, shuffled; the rows of a photograph are a group."""
        captions = np.arange(len(self._found.rows[which]) * self.settings.captions)
        captions = generator(seed, "pairing", which).permutation(captions)
        images = captions // self.settings.captions
        return Pairing(("image", "caption"), np.stack([images, captions], axis=1), groups=images)

    def provenance(self) -> Mapping[str, Any]:
        """Also which part of the data a subset is, and how many captions were cut and words left out."""
        found, each = self._found, self.settings.captions
        counts = {which: {"image": len(rows), "caption": len(rows) * each} for which, rows in found.rows.items()}
        used = {which: self._tokens[which][self._caption_rows(which)] for which in SPLITS}
        return {
            "status": "published" if found.published else "unverified",
            "counts": counts,
            "subset": found.subset,
            "files": {
                file: {"md5": md5, "published": PUBLISHED_MD5[file] == md5}
                for file, md5 in sorted(found.files.digests.items())
            },
            "photographs": {"digest": combined_digest(found.photographs), "published": found.checked},
            "vocabulary": len(self._tokens["words"]),
            "captions cut to 32 tokens": {
                which: int(self._tokens[f"{which}-cut"][self._caption_rows(which)].sum()) for which in SPLITS
            },
            "unknown words": {which: int((rows == UNKNOWN).sum()) for which, rows in used.items()},
            "digest": combined_digest({**found.files.digests, **found.photographs}),
        }

    @classmethod
    def fetch(cls, root: Path | None) -> str:
        added = fetch_cub(folder_to_fill(root))
        done = f"added {', '.join(added)}" if added else "all files were there already"
        return f"{done}; {cls.verify(root)}"

    @classmethod
    def verify(cls, root: Path | None) -> str:
        """Check all files, and (once, as long as the cache knows of it) that every photograph can be decoded."""
        found = cls(CubSettings(), root)._found
        digest = combined_digest(found.photographs)
        cached(f"cub-sizes-{digest}", lambda: {"sizes": np.array(sizes_of(found.place), np.int64)})
        sizes = " and ".join(f"{len(rows)} {which}" for which, rows in found.rows.items())
        status = "published" if found.published else "unverified"
        subset = f"; a subset: {found.subset}" if found.subset else ""
        other = [file for file, md5 in sorted(found.files.digests.items()) if md5 != PUBLISHED_MD5[file]]
        other += [] if found.checked else ["the photographs"]
        note = f"; not shown to be the published content: {', '.join(other)}" if other else ""
        return f"{cls.name} in {root} is {status} ({sizes} photographs){subset}{note}."

    @property
    def _view(self) -> View:
        return VIEWS[self.settings.features]

    @property
    def _has_files(self) -> bool:
        return self.root is not None and (self.root / "CUB").is_dir()

    @cached_property
    def _folder(self) -> Path:
        return require_root(self.root, dataset=self.name) / "CUB"

    @cached_property
    def _files(self) -> CubFiles:
        return read_cub(self._folder)

    @cached_property
    def _found(self) -> Found:
        return look(self._folder, self._files)

    @cached_property
    def _tokens(self) -> Arrays:
        """Tokens `[10 N, 32]` of all captions of each split, which of them were cut, and the words."""
        files = self._files
        version = f"{VERSION}-nltk{importlib.metadata.version('nltk')}"
        return cached(f"cub-tokens-{version}-{combined_digest(files.digests)}", lambda: _tokens_of(files))

    @cached_property
    def _images(self) -> Mapping[SplitName, np.ndarray]:
        """Split -> what is seen of its photographs `[N, *shape]`."""
        found, view = self._found, self._view
        key = f"cub-{view.key}-{VERSION}-{combined_digest(found.photographs)}"
        row_of = {name: row for row, name in enumerate(sorted(found.photographs))}
        values = cached(key, lambda: {"values": _seen(found.place, row_of, view, self._folder)})["values"]
        names = {which: np.array(part.names)[found.rows[which]] for which, part in found.files.parts.items()}
        return {which: values[[row_of[name] for name in names[which].tolist()]] for which in SPLITS}

    def _caption_rows(self, which: SplitName) -> np.ndarray:
        """Which captions of the split's file are used: the first ones of the photographs that are there."""
        first = CAPTIONS_EACH * self._found.rows[which]
        return (first[:, None] + np.arange(self.settings.captions)).reshape(-1)


def _tokens_of(files: CubFiles) -> dict[str, np.ndarray]:
    sentences = {which: words_of(files.parts[which].captions) for which in SPLITS}
    words = vocabulary(sentences["train"])
    arrays: dict[str, np.ndarray] = {which: encoded(sentences[which], words, length=LENGTH) for which in SPLITS}
    cut = {f"{which}-cut": np.array([len(s) >= LENGTH for s in sentences[which]]) for which in SPLITS}
    return {**arrays, **cut, "words": np.array(words)}


def _seen(place: Path, row_of: Mapping[str, int], view: View, folder: Path) -> np.ndarray:
    """What is seen of the photographs `[N, *shape]`, each in its row."""
    see = view.load(folder)
    values = np.empty((len(row_of), *view.shape), np.uint8 if view.kind == "image" else np.float32)
    for name, content in photographs(place):
        values[row_of[name]] = see(decoded(content, where(place, name)))
    return values
