"""How far a model is from the truth in nats, on data whose exact density is known.

For test rows x and sets S of modalities the gap is log p(x_S) - estimate, where p is the density of the data and the
estimate one of the model's own log density p_model(x_S):

- `elbo`:    E_q[ log p_model(x_S, z) - log q(z | x_S) ], the mean of K samples (of each component of a mixture, in
             proportion to its weight). On average over the data the gap is
             KL(p(x_S) || p_model(x_S)) + E KL(q(z | x_S) || p_model(z | x_S)): the model's error and the posterior's.
- `iwae-K`:  the log-mean-exp of K weights; its gap tends to KL(p(x_S) || p_model(x_S)) as K grows.

Both are bounds in expectation, so that the mean gap is not negative beyond its error. (A single row's may be: the model
may well give a row more density than the truth does.) A model without a prior over z (MEME) has conditionals alone:
`conditional-iwae-K` sets log p_model(x_b | x_a) against the exact log p(x_a, x_b) - log p(x_a).

The sets are all non-empty ones of up to four modalities; of more, each modality, all but each, and all. Likelihoods are
never rescaled. The standard error is over rows, with the sampling noise in it. `details` hold the mean truth and the
mean estimate, and for importance sampling the mean effective number of samples and the mean jackknife bias of the
estimate (an estimate of less than zero says by how much the gap is too large).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.errors import CannotBear
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.metrics.importance import samples_at_once
from mmbench.metrics.likelihood import LogLikelihoods
from mmbench.models.base import MultimodalVAE
from mmbench.models.posteriors import Mixture, Normalised
from mmbench.results.records import Score
from mmbench.seeding import Noise

__all__ = ["TruthGap", "TruthGapSettings", "evidence_lower_bound", "sets_scored"]

ALL_SETS_UP_TO = 4  # modalities; beyond, the number of sets would grow as 2^M

Names = tuple[str, ...]


@dataclass(frozen=True)
class TruthGapSettings:
    """Settings of `truth_gap`."""

    k: int = setting(100, low=1, help="K, samples a row (of each component of a mixture).")
    rows: int = setting(500, low=1, help="Test rows scored, the first ones of the split.")


@dataclass(frozen=True)
class Question:
    """One score: log p(x_target | x_given) by `elbo` or `iwae`."""

    target: Names
    given: Names
    kind: str


@dataclass(frozen=True)
class Answer:
    """Per-row results `[B]` in nats; what was measured beside the estimate, by name."""

    truth: Tensor
    estimate: Tensor
    beside: Mapping[str, Tensor]


@final
@METRICS.register("truth_gap")
class TruthGap(Metric):
    """The exact log density of test rows less the model's estimate of it."""

    name = "truth_gap"
    description = "log p of the data, where it is known, less the model's ELBO and IWAE estimate of it, in nats."
    Settings = TruthGapSettings
    default = False
    references: ClassVar[tuple[str, ...]] = (
        "Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016",
        "Bishop, Pattern Recognition and Machine Learning, Springer 2006",
    )

    def prepare(self, context: Context) -> None:
        if context.model.facts.density == "none":
            raise Skipped(f"model {context.model.name!r} has no density: {context.model.facts.density_rule}.")
        self._log_density = context.log_density
        self._questions = _questions(context.model, context.names)
        self._left = self.settings.rows
        self._found: dict[Question, list[Answer]] = {question: [] for question in self._questions}
        self._estimators: dict[Question, str] = {}
        self._refused: dict[Question, str] = {}

    def update(self, view: View) -> None:
        if self._left <= 0:
            return
        if len(view.rows) > self._left:
            view = view.select(np.arange(self._left))
        self._left -= len(view.rows)
        truths = {names: self._truth(view, names) for question in self._questions for names in _needed(question)}
        estimates = LogLikelihoods(view.model, view.values, k=self.settings.k, noise=view.noise("truth_gap|iwae"))
        for question in self._questions:
            joint, *rest = (truths[names] for names in _needed(question))
            try:
                found = self._estimated(view, question, estimates)
            except (CannotBear, Skipped) as reason:
                self._refused[question] = str(reason)
            else:
                self._found[question].append(Answer(joint - rest[0] if rest else joint, *found))

    def compute(self) -> Outcome:
        return Outcome(tuple(self._score(question) for question in self._questions))

    def _truth(self, view: View, names: Names) -> Tensor:
        density = self._log_density({name: view.values[name].double().cpu().numpy() for name in names})
        if density is None:
            raise Skipped("the density of this dataset is not known.")
        return torch.from_numpy(np.asarray(density, np.float64))

    def _estimated(
        self, view: View, question: Question, estimates: LogLikelihoods
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        if question.kind == "elbo":
            self._estimators[question] = "elbo"
            values = {name: view.values[name] for name in question.target}
            noise = view.noise("truth_gap|elbo|" + "+".join(sorted(question.target)))
            return evidence_lower_bound(view.model, values, k=self.settings.k, noise=noise).cpu(), {}
        found = estimates.of(question.target, question.given)
        self._estimators[question] = f"{found.estimator}-{self.settings.k}"
        return found.value.cpu(), {"ess": found.effective.cpu(), "jackknife_bias": found.bias.cpu()}

    def _score(self, question: Question) -> Score:
        names = {"given": "+".join(question.given), "target": "+".join(question.target)}
        parts = self._found[question]
        if reason := self._refused.get(question, "" if parts else "the test split has no complete rows."):
            return self.skipped(reason, question.kind, **names)
        truth, estimate = (torch.cat([getattr(part, key) for part in parts]) for key in ("truth", "estimate"))
        beside = {key: torch.cat([part.beside[key] for part in parts]) for key in parts[0].beside}
        means = {"truth": truth, "estimate": estimate, **beside}
        gap = truth - estimate
        return self.score(
            float(gap.mean()),
            self._estimators[question],
            stderr=float(gap.std() / len(gap) ** 0.5) if len(gap) > 1 else None,
            n=len(gap),
            details={key: float(value.mean()) for key, value in means.items() if value.mean().isfinite()},
            **names,
        )


def sets_scored(names: Names) -> list[Names]:
    """All non-empty sets of up to four modalities; of more, each modality, all but each, and all."""
    m = len(names)
    sizes = range(1, m + 1) if m <= ALL_SETS_UP_TO else (1, m - 1, m)
    return [some for size in sizes for some in combinations(names, size)]


def evidence_lower_bound(model: MultimodalVAE, values: Mapping[str, Tensor], *, k: int, noise: Noise) -> Tensor:
    """E_q[log p(x_S, z) - log q(z | x_S)] of each row, `[B]` in float64, for the set S of `values`; nothing rescaled.

    K samples are drawn of q, or of each of its components, with the density of the whole mixture in the weight.

    Raises:
        CannotBear: the model has no prior over z, or no posterior of this set.
        Skipped: the posterior has no density.
    """
    prior, posterior = model.generative_prior({}), model.posterior(values)
    if not isinstance(posterior, Normalised):
        kind = type(posterior).__name__
        raise Skipped(f"an ELBO needs a posterior with a density; q(z | {', '.join(values)}) is {kind}.")
    density = posterior

    def log_weight(z: Tensor) -> Tensor:
        total = prior.log_prob(z) - density.log_prob(z)
        for name, x in values.items():
            total = total + model.likelihood(name, z).log_prob(x)
        return total.double()

    chunk = samples_at_once(values)
    components = posterior.components if isinstance(posterior, Mixture) else (posterior,)
    shares = posterior.log_weights.double().exp() if isinstance(posterior, Mixture) else torch.ones(1)
    means = [
        _mean(log_weight, component.rsample(k, noise.child(f"component-{r}")), chunk)
        for r, component in enumerate(components)
    ]
    return torch.stack([float(share) * mean for share, mean in zip(shares, means, strict=True)]).sum(0)


def _mean(score: Callable[[Tensor], Tensor], z: Tensor, chunk: int) -> Tensor:
    """Mean over samples `[K, B, D]` of their scores, so many samples at once: `[B]`."""
    return torch.cat([score(part) for part in torch.split(z, chunk)]).mean(0)


def _questions(model: MultimodalVAE, names: Names) -> list[Question]:
    """What can be asked: every set where the model has a prior over z, otherwise each modality given others."""
    try:
        model.generative_prior({})
    except CannotBear:
        pairs = [Question((b,), (a,), "iwae") for a in names for b in names if a != b]
        rest = [Question((b,), tuple(a for a in names if a != b), "iwae") for b in names]
        return [*pairs, *(rest if len(names) > 2 else [])]
    return [Question(some, (), kind) for some in sets_scored(names) for kind in ("elbo", "iwae")]


def _needed(question: Question) -> list[Names]:
    """The sets whose log densities make the truth: the first less the second, where there are two."""
    both = tuple(sorted(question.target + question.given))
    return [both, tuple(sorted(question.given))] if question.given else [both]
