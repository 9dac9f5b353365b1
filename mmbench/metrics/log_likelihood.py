"""Log likelihoods of test rows in nats, by importance sampling, with the estimator named in every score.

- `iwae-K`: log p(x_S) of each modality and of all, with the proposal q(z | x_S); for models with a prior over z.
- `iwae-difference-K`: log p(x_b | x_a) as log p(x_a, x_b) - log p(x_a). A difference of two lower bounds is no bound,
  so its jackknife bias stands beside it.
- `conditional-iwae-K`: log p(x_b | x_a) = log of the integral of p(x_b|z) p(z|x_a), for models whose generative prior
  given x_a is known (MEME: e_a), with the proposal q(z | x_b). MEME has no prior p(z), hence no log p(x_S).

Likelihoods are never rescaled. The standard error is over rows; `details` hold the mean effective number of samples
and the mean jackknife bias: where the effective number is near one, the value lies far below the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from mmbench.config import setting
from mmbench.errors import CannotBear
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.metrics.importance import Estimate, estimate, log_weights_of
from mmbench.models.posteriors import Density, Normalised
from mmbench.results.records import Score

__all__ = ["LogLikelihood", "LogLikelihoodSettings"]

Names = tuple[str, ...]


@dataclass(frozen=True)
class LogLikelihoodSettings:
    """Settings of `log_likelihood`."""

    k: int = setting(100, low=1, help="K, importance samples a row (of each component of a mixture).")
    rows: int = setting(500, low=1, help="Test rows scored, the first ones of the split.")


@final
@METRICS.register("log_likelihood")
class LogLikelihood(Metric):
    """Importance-sampled marginal, joint and conditional log likelihoods."""

    name = "log_likelihood"
    description = "Importance-sampled log p(x_S) and log p(x_b | x_a) of test rows, in nats."
    Settings = LogLikelihoodSettings

    def prepare(self, context: Context) -> None:
        self._names = context.names
        self._left = self.settings.rows
        self._found: dict[tuple[Names, Names], list[Estimate]] = {}
        self._estimators: dict[tuple[Names, Names], str] = {}
        self._refused: dict[tuple[Names, Names], str] = {}

    def update(self, view: View) -> None:
        if self._left <= 0:
            return
        if len(view.rows) > self._left:
            view = view.select(np.arange(self._left))
        self._left -= len(view.rows)
        marginals: dict[Names, Estimate | str] = {}
        for names in self._subsets():
            self._keep((), names, "iwae", lambda names=names: _marginal(view, names, self.settings.k, marginals))  # type: ignore[misc]
        for a in self._names:
            for b in self._names:
                if a != b:
                    self._conditional(view, a, b, marginals)

    def compute(self) -> Outcome:
        directions = [((a,), (b,)) for a in self._names for b in self._names if a != b]
        wanted = [((), names) for names in self._subsets()] + directions
        return Outcome(tuple(self._score(given, target) for given, target in wanted))

    def _subsets(self) -> list[Names]:
        single: list[Names] = [(name,) for name in self._names]
        return single if len(single) == 1 else [*single, self._names]

    def _conditional(self, view: View, a: str, b: str, marginals: dict[Names, Estimate | str]) -> None:
        try:
            prior = view.model.generative_prior({a: view.values[a]})
        except CannotBear:
            pair = tuple(name for name in self._names if name in (a, b))
            self._keep((a,), (b,), "iwae-difference", lambda: _difference(view, pair, (a,), self.settings.k, marginals))
        else:
            self._keep((a,), (b,), "conditional-iwae", lambda: _given_prior(view, b, a, prior, self.settings.k))

    def _keep(self, given: Names, target: Names, estimator: str, make: Callable[[], Estimate]) -> None:
        """Add the estimates of these rows, or the reason why there are none."""
        self._estimators[given, target] = f"{estimator}-{self.settings.k}"
        try:
            self._found.setdefault((given, target), []).append(make())
        except (CannotBear, Skipped) as reason:
            self._refused[given, target] = str(reason)

    def _score(self, given: Names, target: Names) -> Score:
        names = {"given": "+".join(given), "target": "+".join(target)}
        estimator = self._estimators.get((given, target), "iwae")
        reason = self._refused.get((given, target))
        if reason is None and not self._found.get((given, target)):
            reason = "the test split has no complete rows."
        if reason is not None:
            return self.skipped(reason, estimator, **names)
        parts = self._found[given, target]
        value, bias, effective = (
            torch.cat([getattr(p, key) for p in parts]).cpu().numpy() for key in ("value", "bias", "effective")
        )
        details = {"ess": float(effective.mean()), "jackknife_bias": float(bias.mean())}
        stderr = float(value.std(ddof=1) / len(value) ** 0.5) if len(value) > 1 else None
        return self.score(float(value.mean()), estimator, stderr=stderr, n=len(value), details=details, **names)


def _marginal(view: View, names: Names, k: int, held: dict[Names, Estimate | str]) -> Estimate:
    """log p(x_names), computed once a view."""
    if names not in held:
        try:
            held[names] = _sampled(view, names, view.model.generative_prior({}), _proposal(view, names), k, "joint")
        except (CannotBear, Skipped) as reason:
            held[names] = str(reason)
    kept = held[names]
    if isinstance(kept, str):
        raise Skipped(kept)
    return kept


def _difference(view: View, both: Names, given: Names, k: int, held: dict[Names, Estimate | str]) -> Estimate:
    joint, marginal = _marginal(view, both, k, held), _marginal(view, given, k, held)
    effective = torch.minimum(joint.effective, marginal.effective)
    return Estimate(joint.value - marginal.value, joint.bias - marginal.bias, effective)


def _given_prior(view: View, target: str, given: str, prior: Density, k: int) -> Estimate:
    return _sampled(view, (target,), prior, _proposal(view, (target,)), k, f"given-{given}")


def _proposal(view: View, names: Names) -> Normalised:
    posterior = view.posterior(names)
    if not isinstance(posterior, Normalised):
        kind = type(posterior).__name__
        raise Skipped(f"importance sampling needs a proposal with a density; q(z | {', '.join(names)}) is {kind}.")
    return posterior


def _sampled(view: View, scored: Names, prior: Density, proposal: Normalised, k: int, role: str) -> Estimate:
    noise = view.noise(f"log_likelihood|{role}|{'+'.join(scored)}")
    values = {name: view.values[name] for name in scored}
    return estimate(log_weights_of(view.model, values, prior=prior, proposal=proposal, k=k, noise=noise))
