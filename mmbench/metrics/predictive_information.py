"""Predictive information: how unsure a Bayesian judge is of what a generated image shows (Table 6 of the MEME paper).

The last layer of the modality's classifier is replaced by a sparse variational Gaussian process on the features before
it (see `_variational_gp`), w its functions, and for a generated x

    MI(y, w | x, D) = H[ E_{p(w|D)} p(y|x, w) ] - E_{p(w|D)} H[ p(y|x, w) ]    (in nats; Joy et al., ICLR 2022, H.2),

with expectations by Monte Carlo over w: large where plausible judges are each sure of another class, as far from real
images, and small where they agree, be it that the image is clear or that it lies between two classes for all of them.
Lower is better. A finite number of samples makes the value too small by about (C - 1) / (2 samples) at most.

The paper names neither kernel nor inducing points, so that its values compare in their order alone; the protocol is in
`params`, and the same number for the real test images stands beside ours (`svgp-real`): a generator of perfect images
would reach it. `svgp` is of decoder means at one sample of q(z | x_a): of a itself, as in the paper, and of the others.
The layer is fitted on the originals that trained the classifier, with a seed of its own, and cached as the classifier
is, so that all runs on a dataset are judged by the same one. Where a modality is read by rule (`metrics.classifiers`)
there is no layer to replace, and its scores say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from mmbench.config import content_hash, setting
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.metrics.classifiers import Classifier
from mmbench.metrics.coherence import JudgeSettings
from mmbench.metrics.weight_cache import kept
from mmbench.results.records import Score
from mmbench.seeding import Noise

if TYPE_CHECKING:
    from mmbench.metrics._variational_gp import LastLayer

__all__ = ["PredictiveInformation", "PredictiveInformationSettings", "mutual_information"]

SEED = 0
BATCH_SIZE = 256


@dataclass(frozen=True)
class PredictiveInformationSettings(JudgeSettings):
    """Settings of `predictive_information`."""

    samples: int = setting(100, low=2, help="Samples of w behind an expectation.")
    inducing: int = setting(64, low=1, help="Inducing points of the Gaussian process.")
    steps: int = setting(300, low=1, help="Adam steps that fit it, on mini-batches of 256.")


def mutual_information(probabilities: Tensor) -> Tensor:
    """H[mean_s p_s] - mean_s H[p_s] of class probabilities `[S, B, C]` in nats: `[B]`, from 0 to log C."""
    mixed: Tensor = torch.special.entr(probabilities.mean(0)).sum(-1)
    each: Tensor = torch.special.entr(probabilities).sum(-1).mean(0)
    return (mixed - each).clamp_min(0)  # below zero by rounding alone: entropy is concave


@final
@METRICS.register("predictive_information")
class PredictiveInformation(Metric):
    """Mutual information between the prediction on a generated image and the judge's last layer."""

    name = "predictive_information"
    description = "How much plausible classifiers disagree on generated images (mutual information), and on real ones."
    Settings = PredictiveInformationSettings
    default = False
    references: ClassVar[tuple[str, ...]] = (
        "Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022",
        "Houlsby et al., Bayesian Active Learning for Classification and Preference Learning, 2011, arXiv:1112.5745",
        "Hensman, Matthews & Ghahramani, Scalable Variational Gaussian Process Classification, AISTATS 2015",
    )

    def prepare(self, context: Context) -> None:
        classes = context.require_classes()
        fitted = {name: self._fitted(context, name, classes) for name in context.names}
        self._judges = {name: judge for name, judge in fitted.items() if judge is not None}
        self._exact = [name for name, judge in fitted.items() if judge is None]
        pairs = [("", name) for name in self._judges] + [(a, b) for a in context.names for b in self._judges]
        self._found: dict[tuple[str, str], list[np.ndarray]] = {pair: [] for pair in pairs}

    def _fitted(self, context: Context, name: str, classes: int) -> "_Judge | None":
        """The modality's judge; None where it is read by rule."""
        try:
            from mmbench.metrics._variational_gp import VERSION, LastLayer, fit_last_layer
        except ModuleNotFoundError as missing:
            raise Skipped(
                f"the Gaussian process needs {missing.name}, which is not installed; pip install 'mmbench[gp]'."
            ) from missing
        classifier = context.classifier(name, self.settings.classifier)
        if not isinstance(classifier, Classifier):
            return None
        protocol = {
            "classes": classes,
            "inducing": self.settings.inducing,
            "steps": self.settings.steps,
            "batch_size": BATCH_SIZE,
            "seed": SEED,
        }

        def make() -> Mapping[str, Tensor]:
            images, targets = classifier.training()
            return fit_last_layer(classifier.features(images), targets, **protocol).state_dict()

        key = content_hash({**protocol, "classifier": classifier.digest, "version": VERSION})
        path = None if classifier.cache is None else classifier.cache / f"last-layer-{name}-{key}.pt"
        state = kept(path, make, device=next(classifier.network.parameters()).device)
        return _Judge(classifier, LastLayer.restored(state), self.settings.samples)

    def update(self, view: View) -> None:
        for (given, target), found in self._found.items():
            judge = self._judges[target]
            if not given:
                judge.count(view.values[target], view.require_targets())
            shown = view.reconstruction((given,), target) if given else view.values[target]
            found.append(judge.information(shown, view.noise(f"{self.name}|{target}")))

    def compute(self) -> Outcome:
        scores = [self._score(given, target, parts) for (given, target), parts in self._found.items()]
        reason = "the modality is read by rule: no classifier's last layer can be replaced."
        return Outcome((*scores, *(self.skipped(reason, "svgp", target=name) for name in self._exact)))

    def _score(self, given: str, target: str, parts: list[np.ndarray]) -> Score:
        if not parts:
            raise Skipped("the test split has no complete rows.")
        values, judge, s = np.concatenate(parts), self._judges[target], self.settings
        stderr = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        fields: dict[str, Any] = {
            "given": given,
            "target": target,
            "n": len(values),
            "params": {"classifier": s.classifier, "samples": s.samples, "inducing": s.inducing, "steps": s.steps},
            "details": {"digest": judge.classifier.digest, "accuracy": judge.right / len(values)},
        }
        return self.score(float(values.mean()), "svgp" if given else "svgp-real", stderr=stderr, **fields)


class _Judge:
    """A classifier with its Gaussian process, and how often the process is right on real test rows."""

    def __init__(self, classifier: Classifier, layer: "LastLayer", samples: int) -> None:
        self.classifier, self._layer, self._samples = classifier, layer, samples
        self.right = 0

    def count(self, x: Tensor, targets: np.ndarray) -> None:
        """Take in how many real rows x `[B, *shape]` are given their class `[B]`."""
        mean, _ = self._layer.marginals(self.classifier.features(x))
        self.right += int((mean.argmax(-1).cpu().numpy() == targets).sum())

    def information(self, x: Tensor, noise: Noise) -> np.ndarray:
        """MI of each row of x `[B, *shape]`: `[B]`."""
        mean, stddev = self._layer.marginals(self.classifier.features(x))
        drawn = noise.normal("w", (self._samples, *mean.shape)).to(mean)
        return mutual_information((mean + stddev * drawn).softmax(-1)).cpu().numpy()
