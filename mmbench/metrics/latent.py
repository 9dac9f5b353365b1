"""Latent accuracy: how much of the class can be read off the encoding of one modality by a linear classifier?

Where a model's latent has parts that are private to one modality, the shared part alone is classified. Three
protocols, each under its own name:

- `linear-sample` (the MMVAE code, Shi et al. 2019): a linear layer trained by Adam on a fresh posterior sample at each
  visit of a training row, tested on one sample a test row. The source trains 30 epochs, which is 197,000 steps on its
  1.68 million pairs and 6,600 on MEME's 56,068; here the number of steps is fixed, so that equal scores are equal work.
- `logistic-mean` (MoPoE and MVTCAE; MultiVae): logistic regression on the posterior means of 500 random training rows.
- `input`: the modality's own supervised classifier on the test rows, which bounds what can be asked of an encoding.
"""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config import setting
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.metrics.classifiers import Judge
from mmbench.metrics.coherence import JudgeSettings, share
from mmbench.models.posteriors import Diagonal, Point, Posterior
from mmbench.results.records import Score
from mmbench.seeding import Noise, generator, stream

__all__ = ["LatentAccuracy", "LatentAccuracySettings", "linear_probe", "logistic_answers"]


@dataclass(frozen=True)
class LatentAccuracySettings(JudgeSettings):
    """Settings of `latent_accuracy`."""

    steps: int = setting(2000, low=1, help="Adam steps of the linear layer (linear-sample).")
    batch_size: int = setting(256, low=1, help="Training rows a step (linear-sample).")
    learning_rate: float = setting(1e-3, above=0.0, help="Adam's learning rate (linear-sample).")
    points: int = setting(500, low=1, help="Random training rows that the logistic regression sees (logistic-mean).")


def linear_probe(
    samples: Tensor, targets: np.ndarray, *, classes: int, steps: int, batch_size: int, learning_rate: float, seed: int
) -> nn.Linear:
    """Train a linear layer with bias on the cross-entropy.

    Args:
        samples: `[V, N, D]`, sample v is seen at the v-th visit of a row; visits beyond V start again at the first.
        targets: classes of the rows `[N]`.
    """
    visits, rows, dim = samples.shape
    random = generator(seed, "probe")
    layer = _fresh_layer(dim, classes, random).to(samples.device)
    wanted = torch.from_numpy(targets.astype(np.int64)).to(samples.device)
    epochs = -(-steps * batch_size // rows)
    order = torch.from_numpy(np.concatenate([random.permutation(rows) for _ in range(epochs)])).to(samples.device)
    optimiser = torch.optim.Adam(layer.parameters(), lr=learning_rate)
    with torch.enable_grad():
        for step in range(steps):
            place = torch.arange(step * batch_size, (step + 1) * batch_size, device=samples.device)
            chosen = order[place]
            optimiser.zero_grad()
            logits = layer(samples[(place // rows) % visits, chosen].float())
            F.cross_entropy(logits, wanted[chosen]).backward()  # type: ignore[no-untyped-call]  # torch: no types
            optimiser.step()
    return layer


def _fresh_layer(dim: int, classes: int, random: np.random.Generator) -> nn.Linear:
    """torch's initialisation, uniform within 1 / sqrt(D), from a generator of its own."""
    layer = nn.Linear(dim, classes, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.from_numpy(random.uniform(-(dim**-0.5), dim**-0.5, parameter.shape)))
    return layer


def logistic_answers(train: np.ndarray, targets: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Classes `[T]` that a logistic regression (lbfgs, at most 1,000 iterations) fitted on `train` `[N, D]` gives."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise Skipped("the posterior means are not all finite.")
    if len(np.unique(targets)) < 2:
        raise Skipped("a logistic regression needs training rows of two classes.")
    with warnings.catch_warnings():
        # Stopping after 1,000 iterations is the protocol, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(max_iter=1000).fit(train, targets)
    return np.asarray(fitted.predict(test))


@final
@METRICS.register("latent_accuracy")
class LatentAccuracy(Metric):
    """Linear classification from q(z | x_m), for each modality m."""

    name = "latent_accuracy"
    description = "Accuracy of linear classifiers on the encodings of each modality, with the input's own as bound."
    Settings = LatentAccuracySettings
    references: ClassVar[tuple[str, ...]] = (
        "Shi et al., Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models, NeurIPS 2019",
        "Sutter, Daunhawer & Vogt, Generalized Multimodal ELBO, ICLR 2021",
        "Hwang et al., Multi-View Representation Learning via Total Correlation Objective, NeurIPS 2021",
    )

    def prepare(self, context: Context) -> None:
        self._classes = context.require_classes()
        self._names, self._seed = context.names, stream(context.seed, "evaluation", self.name)
        self._shared = context.model.layout.shared
        held: dict[str, list[tuple[Posterior, Noise]]] = {name: [] for name in context.names}
        targets: list[np.ndarray] = []
        for view in context.train():
            targets.append(view.require_targets())
            for name in context.names:
                held[name].append((view.posterior((name,)), view.noise(f"latent_accuracy|{name}")))
        if not targets:
            raise Skipped("the training split has no complete rows.")
        classes_of_rows = np.concatenate(targets)
        self._probes = {name: self._probe(held[name], classes_of_rows) for name in context.names}
        self._points = self._chosen(held, classes_of_rows)
        self._judges: dict[str, Judge | str] = {name: _judge(context, name, self.settings) for name in self._names}
        self._sampled: dict[str, list[np.ndarray]] = {name: [] for name in context.names}
        self._means: dict[str, list[np.ndarray]] = {name: [] for name in context.names}
        self._judged: dict[str, list[np.ndarray]] = {name: [] for name in context.names}
        self._targets: list[np.ndarray] = []

    def _probe(self, held: list[tuple[Posterior, Noise]], targets: np.ndarray) -> nn.Linear:
        s = self.settings
        visits = -(-s.steps * s.batch_size // len(targets))
        samples = torch.cat([posterior.rsample(visits, noise) for posterior, noise in held], dim=1)[..., self._shared]
        return linear_probe(
            samples,
            targets,
            classes=self._classes,
            steps=s.steps,
            batch_size=s.batch_size,
            learning_rate=s.learning_rate,
            seed=self._seed,
        )

    def _chosen(
        self, held: dict[str, list[tuple[Posterior, Noise]]], targets: np.ndarray
    ) -> dict[str, tuple[np.ndarray, np.ndarray] | None]:
        """Posterior means and classes of the random training rows; None where a posterior has no mean."""
        count = min(self.settings.points, len(targets))
        rows = generator(self._seed, "points").choice(len(targets), count, replace=False)
        found: dict[str, tuple[np.ndarray, np.ndarray] | None] = {}
        for name, parts in held.items():
            means = [_mean(posterior, self._shared) for posterior, _ in parts]
            known = [mean for mean in means if mean is not None]
            found[name] = (np.concatenate(known)[rows], targets[rows]) if len(known) == len(means) else None
        return found

    def update(self, view: View) -> None:
        self._targets.append(view.require_targets())
        for name in self._names:
            logits = self._probes[name](view.sample((name,))[0][:, self._shared].float())
            self._sampled[name].append(logits.argmax(-1).cpu().numpy())
            mean = _mean(view.posterior((name,)), self._shared)
            if mean is not None:
                self._means[name].append(mean)
            judge = self._judges[name]
            if isinstance(judge, Judge):
                self._judged[name].append(judge.predict(view.values[name]))

    def compute(self) -> Outcome:
        if not self._targets:
            raise Skipped("the test split has no complete rows.")
        targets = np.concatenate(self._targets)
        scores: list[Score] = []
        for name in self._names:
            scores += [self._linear(name, targets), self._logistic(name, targets), self._input(name, targets)]
        return Outcome(tuple(scores))

    def _linear(self, name: str, targets: np.ndarray) -> Score:
        s = self.settings
        params = {"steps": s.steps, "batch_size": s.batch_size, "learning_rate": s.learning_rate}
        return self._share("linear-sample", name, np.concatenate(self._sampled[name]) == targets, params=params)

    def _logistic(self, name: str, targets: np.ndarray) -> Score:
        chosen = self._points[name]
        try:
            if chosen is None:
                raise Skipped(f"the posterior given {name} has no closed-form mean.")
            answers = logistic_answers(*chosen, np.concatenate(self._means[name]))
        except Skipped as reason:
            return self.skipped(str(reason), "logistic-mean", given=name)
        return self._share("logistic-mean", name, answers == targets, params={"points": len(chosen[0])})

    def _input(self, name: str, targets: np.ndarray) -> Score:
        judge = self._judges[name]
        if not isinstance(judge, Judge):
            return self.skipped(judge, "input", given=name)
        held = {"params": {"classifier": judge.strength}, "details": {"digest": judge.digest}}
        return self._share("input", name, np.concatenate(self._judged[name]) == targets, **held)

    def _share(self, estimator: str, name: str, right: np.ndarray, **fields: Any) -> Score:
        value, stderr = share(right)
        return self.score(value, estimator, given=name, stderr=stderr, n=len(right), **fields)


def _judge(context: Context, name: str, settings: LatentAccuracySettings) -> Judge | str:
    """The modality's judge, or why there is none."""
    try:
        return context.classifier(name, settings.classifier)
    except Skipped as reason:
        return str(reason)


def _mean(posterior: Posterior, shared: slice) -> np.ndarray | None:
    if not isinstance(posterior, Diagonal | Point):
        return None
    return posterior.mean[:, shared].double().cpu().numpy()
