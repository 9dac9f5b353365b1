"""Correlation of images and captions: are generated pairs as related as real ones? (Table 5 of the MEME paper)

Both sides become vectors: an image its features (or pixels), a caption the weighted mean of its word vectors (see
`word_vectors`). Canonical correlation analysis of the real training pairs finds directions along which both vary
together (see `cca` and `cca_protocols`), and the score of pairs is the mean cosine of their projections (Massiceti et
al. 2018, Shi et al. 2019). The MEME paper's eq. 12 says to minimise it: a misprint, real pairs have a high one.

- `cca`, image -> caption: real images with the most probable tokens decoded at one sample of q(z | image);
  caption -> image: decoder means at one sample of q(z | caption) with the real captions; neither: both decoded from
  one prior sample.
- `ground-truth`: the real pairs of the test split, what a perfect generator would reach.
- `shuffled`: real images with real captions of other images, over all such pairs: what a generator that ignores what
  it is given would reach. It is not zero where test images differ from training images as a whole, as other classes do.

Values depend on the word vectors and on the protocol, so that numbers without their ground truth mean little: every
score has it in `details`, with the shuffled control and its `share` of the ground truth. Generated captions differ from
real ones as a whole (the most probable token of each place makes no sentence), which shifts all their cosines: the mean
cosine of the same generations with the inputs of other images is `mismatched` in `details`, and what the score exceeds
it by is owed to what was given.

The released code averages over batches of 256 and drops the last one; here the mean is over all pairs. Standard errors
are over images (rows with the same features), each with all its captions; those of prior samples over samples. Images
of more than 4096 values are averaged over squares of pixels first, and the score's `features` say so.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from torch import Tensor

from mmbench.config import setting
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.metrics.cca_protocols import PROTOCOLS, Fit, fit
from mmbench.metrics.feature_views import Features, marks
from mmbench.metrics.pair_cosines import clustered_mean, mismatched_mean, unit
from mmbench.metrics.word_vectors import SentenceVectors
from mmbench.modality import ModalitySpec, Tokens
from mmbench.results.records import Score
from mmbench.seeding import RowNoise, stream

__all__ = ["CaptionCorrelation", "CaptionCorrelationSettings", "caption_of"]

CHUNK = 500


@dataclass(frozen=True)
class CaptionCorrelationSettings:
    """Settings of `caption_correlation`."""

    protocol: str = setting(
        "auto",
        choices=PROTOCOLS,
        help="How the canonical directions are fitted: small (principal components, ridge), full, mmvae; auto chooses.",
    )
    components: int = setting(50, low=1, help="Principal components of a view at most (protocol small).")
    directions: int = setting(40, low=1, help="Canonical directions at most.")
    samples: int = setting(1000, low=1, help="Number of prior samples.")


def caption_of(modalities: tuple[ModalitySpec, ...]) -> tuple[str, Tokens]:
    """Name and tokens of the one modality of captions among others of images or vectors.

    Raises:
        Skipped: there is none, more than one, no other, or its tokens are no words.
    """
    captions = [spec for spec in modalities if spec.kind == "tokens"]
    if len(captions) != 1 or len(modalities) < 2:
        raise Skipped("a correlation of captions needs one modality of captions and another of images or vectors.")
    (caption,) = captions
    if caption.tokens is None or not caption.tokens.words or not caption.tokens.joiner:
        raise Skipped(f"the tokens of modality {caption.name!r} are no words.")
    return caption.name, caption.tokens


@final
@METRICS.register("caption_correlation")
class CaptionCorrelation(Metric):
    """Mean cosine of canonical projections of generated pairs, with real and shuffled pairs beside it."""

    name = "caption_correlation"
    description = "Canonical correlation of images with captions generated from them and back, and of the real pairs."
    Settings = CaptionCorrelationSettings
    default = False
    references: ClassVar[tuple[str, ...]] = (
        "Shi et al., Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models, NeurIPS 2019",
        "Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022",
        "Massiceti et al., Visual Dialogue without Vision or Dialogue, 2018, arXiv:1812.06417",
        "Hotelling, Relations between Two Sets of Variates, Biometrika 1936",
        "Arora, Liang & Ma, A Simple but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017",
        "Bojanowski et al., Enriching Word Vectors with Subword Information, TACL 2017",
    )

    def prepare(self, context: Context) -> None:
        self._context = context
        self._caption, tokens = caption_of(context.modalities)
        rows = [_tokens(view.values[self._caption]) for view in context.train()]
        if not rows:
            raise Skipped("the training split has no complete rows.")
        captions = np.concatenate(rows)
        self._sentences = SentenceVectors.fitted(captions, tokens, cache=context.cache)
        vectors = self._sentences.of(captions).astype(np.float32)
        self._judges = [
            self._judge(Features(spec), vectors) for spec in context.modalities if spec.name != self._caption
        ]

    def update(self, view: View) -> None:
        sentences = self._sentences.of(_tokens(view.values[self._caption]))
        for judge in self._judges:
            judge.add(view, self._caption, sentences, self._sentences)

    def compute(self) -> Outcome:
        return Outcome(tuple(score for judge in self._judges for score in self._scores(judge)))

    def _judge(self, features: Features, vectors: np.ndarray) -> "_Judge":
        """Fit the directions of one view and the sentence vectors `[N, D]` of all training captions."""
        name = features.spec.name
        images = np.concatenate([marks(features.of(view.values[name])) for view in self._context.train()])

        def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            at = 0
            for view in self._context.train():
                x = features.of(view.values[name])
                yield x, vectors[at : at + len(x)]
                at += len(x)

        s = self.settings
        return _Judge(
            features, fit(pairs, images, protocol=s.protocol, components=s.components, directions=s.directions)
        )

    def _scores(self, judge: "_Judge") -> Iterator[Score]:
        if not judge.images:
            raise Skipped("the test split has no complete rows.")
        view, images = judge.features.spec.name, np.concatenate(judge.images)
        u, v = np.concatenate(judge.real_x), np.concatenate(judge.real_y)
        truth, control = clustered_mean((u * v).sum(1), images), mismatched_mean(u, v, images)
        params = self._params(judge)
        fitted = self._fitted(judge)

        def found(estimator: str, value: tuple[float, float | None], n: int, **fields: Any) -> Score:
            return self.score(value[0], estimator, stderr=value[1], n=n, **{"params": params, **fields})

        beside = {"ground_truth": truth[0], **({} if control is None else {"shuffled": control[0]}), **fitted}
        yield found("ground-truth", truth, len(u), details=fitted)
        if control is None:
            yield self.skipped("all test rows show the same image.", "shuffled", params=params)
        else:
            yield found("shuffled", control, len(u), details=fitted)
        joint = self._joint(judge)
        prior = {**params, "prior": self._context.model.prior().name}
        told, shown = np.concatenate(judge.told), np.concatenate(judge.shown)
        for given, target, cosines, groups, own, other in (
            (view, self._caption, (u * told).sum(1), images, params, mismatched_mean(u, told, images)),
            (self._caption, view, (shown * v).sum(1), images, params, mismatched_mean(shown, v, images)),
            ("", "", joint, np.arange(len(joint)), prior, None),
        ):
            value = clustered_mean(cosines, groups)
            share = value[0] / truth[0] if truth[0] else math.nan
            more = {"share": share, "mismatched": math.nan if other is None else other[0]}
            details = {**beside, **{key: number for key, number in more.items() if math.isfinite(number)}}
            yield found("cca", value, len(cosines), given=given, target=target, details=details, params=own)

    def _params(self, judge: "_Judge") -> dict[str, Any]:
        s, protocol = self.settings, judge.fit.protocol
        components = {"components": s.components} if protocol == "small" else {}
        features = {"view": judge.features.spec.name, "features": judge.features.name}
        return {"protocol": protocol, **components, "directions": s.directions, **features}

    def _fitted(self, judge: "_Judge") -> dict[str, Any]:
        """How the directions and the word vectors were fitted."""
        held = {} if judge.fit.held_out is None else {"held_out": judge.fit.held_out}
        return {
            "ridge": judge.fit.ridge,
            **held,
            "solved_in": list(judge.fit.components),
            "directions": len(judge.fit.directions.correlations),
            "train_images": judge.fit.images,
            "word_vectors": self._sentences.digest,
        }

    def _joint(self, judge: "_Judge") -> np.ndarray:
        """Cosines `[samples]` of pairs that are decoded from prior samples."""
        model, samples = self._context.model, self.settings.samples
        key = stream(self._context.seed, "evaluation", self.name)
        found = []
        for at in range(0, samples, CHUNK):
            numbers = range(at, min(at + CHUNK, samples))
            z = model.prior().sample(1, len(numbers), RowNoise(key, numbers, device=model.device, dtype=model.dtype))
            x = judge.features.of(model.likelihood(judge.features.spec.name, z).mean[0])
            y = self._sentences.of(_tokens(model.likelihood(self._caption, z).mean[0]))
            found.append(judge.fit.directions.cosines(x, y))
        return np.concatenate(found)


class _Judge:
    """The canonical directions of one view and captions, and the projections of test rows at length 1 `[B, k]`.

    Attributes:
        told, shown: those of the captions generated from the view, and of the view generated from captions.
    """

    def __init__(self, features: Features, fit: Fit) -> None:
        self.features, self.fit = features, fit
        self.images: list[np.ndarray] = []
        self.real_x: list[np.ndarray] = []
        self.real_y: list[np.ndarray] = []
        self.told: list[np.ndarray] = []
        self.shown: list[np.ndarray] = []

    def add(self, view: View, caption: str, real: np.ndarray, sentences: SentenceVectors) -> None:
        """Take in a batch with the sentence vectors `[B, D]` of its real captions."""
        name, directions = self.features.spec.name, self.fit.directions
        x = self.features.of(view.values[name])
        u, v = unit(directions.project_x(x)), unit(directions.project_y(real))
        told = sentences.of(_tokens(view.reconstruction((name,), caption)))
        shown = self.features.of(view.reconstruction((caption,), name))
        self.images.append(marks(x))
        self.real_x.append(u)
        self.real_y.append(v)
        self.told.append(unit(directions.project_y(told)))
        self.shown.append(unit(directions.project_x(shown)))


def _tokens(x: Tensor) -> np.ndarray:
    return x.cpu().numpy().astype(np.int32)
