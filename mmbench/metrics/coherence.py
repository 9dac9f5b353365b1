"""Coherence: does a generated modality show the class it should? Judged by a classifier of that modality.

Where the dataset reads a modality by rule, that reading judges; what it does not recognise is wrong and agrees with
nothing.

Cross coherence A -> b (Shi et al. 2019; given several modalities, Sutter et al. 2021): one sample z of q(z | x_A) a
test row, the decoder's mean of b at z, and the fraction of rows whose generated b is classified as the row's class. A
is every non-empty set of the other modalities: with M of them there are M (2^(M-1) - 1) directions. Micro is the
average over rows (MMVAE), macro the average over classes (MultiVae). The MEME paper's "matching predictions of input
and output" may also mean agreement with the classifier's answer on the real input: option `label=predicted`, from one
modality. The posterior of a product model with a prior expert is the product with that expert.

Joint coherence: z of the prior, all modalities decoded, the fraction in which all classifiers agree. A model without a
prior over z says what it samples instead, and the score carries that name. A generator that always draws one digit
agrees with itself, so `details` hold the share of the commonest answer: 1 is collapse, about 1/C what is wanted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, final

import numpy as np
from torch import Tensor

from mmbench.config import setting
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.metrics.classifier_networks import STRENGTHS
from mmbench.metrics.classifiers import Judge
from mmbench.results.records import Score
from mmbench.seeding import RowNoise, stream

__all__ = [
    "ClassifierAccuracy",
    "CrossCoherence",
    "JointCoherence",
    "accuracy_by_class",
    "directions",
    "macro",
    "share",
]

CHUNK = 500
CLASSIFIER_HELP = "Which classifier judges: standard (as the literature), or strong (right more often; other numbers)."


@dataclass(frozen=True)
class JudgeSettings:
    """Settings of every metric that asks a classifier."""

    classifier: str = setting("standard", choices=STRENGTHS, help=CLASSIFIER_HELP)


@dataclass(frozen=True)
class CrossCoherenceSettings(JudgeSettings):
    """Settings of `cross_coherence`."""

    label: str = setting(
        "true",
        choices=("true", "predicted"),
        help="What a generation must show: the row's true class, or the class predicted for the real input.",
    )


@dataclass(frozen=True)
class JointCoherenceSettings(JudgeSettings):
    """Settings of `joint_coherence`."""

    samples: int = setting(10000, low=1, help="Number of prior samples.")


def directions(names: Sequence[str]) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Every (given, target): single modalities first, then every larger set of the target's others.

    >>> directions(["a", "b", "c"])[-4:]
    ((('c',), 'b'), (('b', 'c'), 'a'), (('a', 'c'), 'b'), (('a', 'b'), 'c'))
    """
    single = [((given,), target) for given in names for target in names if given != target]
    several = [
        (given, target)
        for size in range(2, len(names))
        for target in names
        for given in combinations([name for name in names if name != target], size)
    ]
    return (*single, *several)


def share(right: np.ndarray) -> tuple[float, float]:
    """Fraction of true entries of `right` `[N]` and its standard error sqrt(p (1 - p) / N)."""
    p = float(right.mean())
    return p, math.sqrt(p * (1 - p) / len(right))


def accuracy_by_class(labels: np.ndarray, predicted: np.ndarray, classes: int) -> dict[int, tuple[float, float, int]]:
    """Class -> (accuracy, standard error, rows) for the classes that have rows."""
    found = {}
    for c in range(classes):
        mine = labels == c
        if mine.any():
            found[c] = (*share(predicted[mine] == c), int(mine.sum()))
    return found


def macro(by_class: dict[int, tuple[float, float, int]]) -> tuple[float, float]:
    """Unweighted mean of the classes' accuracies, and its standard error."""
    values = list(by_class.values())
    mean = sum(p for p, _, _ in values) / len(values)
    return mean, math.sqrt(sum(error**2 for _, error, _ in values)) / len(values)


def agreeing(answers: np.ndarray) -> np.ndarray:
    """Whether all judges give the same class, `[M, N]` to `[N]`; -1, nothing recognised, agrees with nothing."""
    return np.asarray((answers == answers[0]).all(axis=0) & (answers[0] >= 0))


def commonest(answers: np.ndarray) -> float:
    """Share of the commonest class among all answers, those that recognise nothing included in the whole."""
    counts = np.bincount(answers[answers >= 0])
    return float(counts.max(initial=0) / answers.size)


def prior_samples(context: Context, purpose: str, numbers: np.ndarray) -> Tensor:
    """The samples `[1, len(numbers), D]` of the model's prior with these numbers, keyed by seed, purpose and number."""
    model = context.model
    key = stream(context.seed, "evaluation", purpose)
    noise = RowNoise(key, numbers.tolist(), device=model.device, dtype=model.dtype)
    return model.prior().sample(1, len(numbers), noise)


@final
@METRICS.register("cross_coherence")
class CrossCoherence(Metric):
    """Coherence from every set of modalities to each other one."""

    name = "cross_coherence"
    description = "Fraction of cross generations that show the class of the row they were generated from."
    Settings = CrossCoherenceSettings
    references: ClassVar[tuple[str, ...]] = (
        "Shi et al., Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models, NeurIPS 2019",
        "Sutter, Daunhawer & Vogt, Generalized Multimodal ELBO, ICLR 2021",
        "Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022",
    )

    def prepare(self, context: Context) -> None:
        self._classes = context.require_classes()
        self._directions = _directions(context.names, self.settings.label)
        if not self._directions:
            raise Skipped("cross coherence needs two modalities.")
        self._judges = {name: context.classifier(name, self.settings.classifier) for name in context.names}
        self._labels: dict[tuple[tuple[str, ...], str], list[np.ndarray]] = {d: [] for d in self._directions}
        self._predicted: dict[tuple[tuple[str, ...], str], list[np.ndarray]] = {d: [] for d in self._directions}

    def update(self, view: View) -> None:
        for given, target in self._directions:
            predicted = self._judges[target].predict(view.reconstruction(given, target))
            self._labels[given, target].append(self._label(view, given))
            self._predicted[given, target].append(predicted)

    def compute(self) -> Outcome:
        return Outcome(tuple(score for direction in self._directions for score in self._scores(*direction)))

    def _label(self, view: View, given: tuple[str, ...]) -> np.ndarray:
        if self.settings.label == "predicted":
            return self._judges[given[0]].predict(view.values[given[0]])
        return view.require_targets()

    def _scores(self, given: tuple[str, ...], target: str) -> list[Score]:
        labels, predicted = _joined(self._labels[given, target]), _joined(self._predicted[given, target])
        by_class = accuracy_by_class(labels, predicted, self._classes)
        suffix = "-predicted" if self.settings.label == "predicted" else ""

        common = {"given": "+".join(given), "target": target}
        judge = {"classifier": self._judges[target].strength}

        def score(estimator: str, value: float, stderr: float, n: int, **params: Any) -> Score:
            return self.score(value, estimator + suffix, stderr=stderr, n=n, params={**judge, **params}, **common)

        return [
            score("micro", *share(labels == predicted), len(labels)),
            score("macro", *macro(by_class), len(labels)),
            *(score("class", p, error, n, **{"class": c}) for c, (p, error, n) in by_class.items()),
        ]


@final
@METRICS.register("classifier_accuracy")
class ClassifierAccuracy(Metric):
    """The classifiers on the real images of the test rows, and the majority class: coherence's ceiling and floor."""

    name = "classifier_accuracy"
    description = "Accuracy of the judging classifiers on real test rows, and the share of the majority class."
    Settings = JudgeSettings
    references: ClassVar[tuple[str, ...]] = (
        "Shi et al., Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models, NeurIPS 2019",
        "LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 1998",
    )

    def prepare(self, context: Context) -> None:
        context.require_classes()
        self._judges: dict[str, Judge] = {
            name: context.classifier(name, self.settings.classifier) for name in context.names
        }
        self._predicted: dict[str, list[np.ndarray]] = {name: [] for name in context.names}
        self._targets: list[np.ndarray] = []

    def update(self, view: View) -> None:
        self._targets.append(view.require_targets())
        for name, judge in self._judges.items():
            self._predicted[name].append(judge.predict(view.values[name]))

    def compute(self) -> Outcome:
        targets = _joined(self._targets)
        value, stderr = share(targets == np.bincount(targets).argmax())
        scores = [self.score(value, "majority", stderr=stderr, n=len(targets))]
        for name, judge in self._judges.items():
            value, stderr = share(_joined(self._predicted[name]) == targets)
            fields = {
                "target": name,
                "n": len(targets),
                "params": {"classifier": judge.strength},
                "details": {"digest": judge.digest, "originals": judge.accuracy},
            }
            scores.append(self.score(value, "classifier", stderr=stderr, **fields))
        return Outcome(tuple(scores))


@final
@METRICS.register("joint_coherence")
class JointCoherence(Metric):
    """Agreement of all classifiers on generations from one prior sample."""

    name = "joint_coherence"
    description = "Fraction of prior samples whose generated modalities are all given the same class."
    Settings = JointCoherenceSettings
    references: ClassVar[tuple[str, ...]] = (
        "Shi et al., Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models, NeurIPS 2019",
    )

    def prepare(self, context: Context) -> None:
        context.require_classes()
        if len(context.names) < 2:
            raise Skipped("joint coherence needs two modalities.")
        self._context = context
        self._judges = {name: context.classifier(name, self.settings.classifier) for name in context.names}

    def update(self, view: View) -> None:
        """Nothing: prior samples do not depend on test rows."""

    def compute(self) -> Outcome:
        samples = self.settings.samples
        starts = range(0, samples, CHUNK)
        answers = np.concatenate([self._answers(np.arange(at, min(at + CHUNK, samples))) for at in starts], axis=1)
        value, stderr = share(agreeing(answers))
        strengths = sorted({judge.strength for judge in self._judges.values()})
        fields = {
            "params": {"prior": self._context.model.prior().name, "classifier": "+".join(strengths)},
            "details": {"commonest": commonest(answers)},
        }
        return Outcome((self.score(value, "prior-samples", stderr=stderr, n=samples, **fields),))

    def _answers(self, numbers: np.ndarray) -> np.ndarray:
        """Classes that the judges give to the prior samples with these numbers, `[M, len(numbers)]`."""
        model = self._context.model
        z = prior_samples(self._context, self.name, numbers)
        return np.stack([judge.predict(model.likelihood(name, z).mean[0]) for name, judge in self._judges.items()])


def _directions(names: tuple[str, ...], label: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """All directions; single modalities alone where the label is that predicted for the one input."""
    return tuple(d for d in directions(names) if label == "true" or len(d[0]) == 1)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    if not parts:
        raise Skipped("the test split has no complete rows.")
    return np.concatenate(parts)
