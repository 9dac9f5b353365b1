"""Log likelihoods of test rows in nats, with the estimator and K named in every score (see `metrics.likelihood`).

Scored are each modality, all of them, each given each other one, and each given all others: `iwae-K`,
`iwae-difference-K` (of two lower bounds, hence itself no bound) or `conditional-iwae-K`. What a model has no answer to
is skipped with its reason.

The standard error is over rows. `details` hold the mean effective number of samples (`ess`: near one, the value lies
far below the truth), the mean jackknife bias, and the Monte-Carlo standard error of the value, which the rows are not
to blame for and a larger K makes smaller.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.errors import CannotBear
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.metrics.importance import Estimate
from mmbench.metrics.likelihood import LogLikelihoods
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
    version = 2
    description = "Importance-sampled log p(x_S) and log p(x_b | x_a) of test rows, in nats."
    Settings = LogLikelihoodSettings
    references: ClassVar[tuple[str, ...]] = (
        "Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016",
    )

    def prepare(self, context: Context) -> None:
        self._wanted = questions(context.names)
        self._left = self.settings.rows
        self._found: dict[tuple[Names, Names], list[Estimate]] = {question: [] for question in self._wanted}
        self._refused: dict[tuple[Names, Names], str] = {}

    def update(self, view: View) -> None:
        if self._left <= 0:
            return
        if len(view.rows) > self._left:
            view = view.select(np.arange(self._left))
        self._left -= len(view.rows)
        answers = LogLikelihoods(view.model, view.values, k=self.settings.k, noise=view.noise("log_likelihood"))
        for target, given in self._wanted:
            try:
                self._found[target, given].append(answers.of(target, given))
            except (CannotBear, Skipped) as reason:
                self._refused[target, given] = str(reason)

    def compute(self) -> Outcome:
        return Outcome(tuple(self._score(target, given) for target, given in self._wanted))

    def _score(self, target: Names, given: Names) -> Score:
        names = {"given": "+".join(given), "target": "+".join(target)}
        parts = self._found[target, given]
        if reason := self._refused.get((target, given), "" if parts else "the test split has no complete rows."):
            return self.skipped(reason, **names)
        value = torch.cat([part.value for part in parts])
        return self.score(
            float(value.mean()),
            f"{parts[0].estimator}-{self.settings.k}",
            stderr=float(value.std() / len(value) ** 0.5) if len(value) > 1 else None,
            n=len(value),
            details=_details(parts),
            **names,
        )


def questions(names: Names) -> list[tuple[Names, Names]]:
    """What is scored, as (target, given): each modality, all, each given each other, each given all others."""
    marginals: list[tuple[Names, Names]] = [((name,), ()) for name in names]
    joint: list[tuple[Names, Names]] = [(names, ())] if len(names) > 1 else []
    pairs: list[tuple[Names, Names]] = [((b,), (a,)) for a in names for b in names if a != b]
    rest: list[tuple[Names, Names]] = [((b,), tuple(a for a in names if a != b)) for b in names]
    return [*marginals, *joint, *pairs, *(rest if len(names) > 2 else [])]


def _details(parts: list[Estimate]) -> dict[str, float]:
    """Means over the rows; what K = 1 leaves unknown is left out."""
    effective = torch.cat([part.effective for part in parts])
    bias = torch.cat([part.bias for part in parts])
    stderr = torch.cat([part.stderr for part in parts])
    found: dict[str, Tensor] = {
        "ess": effective.mean(),
        "jackknife_bias": bias.mean(),
        "mc_stderr": stderr.square().sum().sqrt() / len(stderr),
    }
    return {name: float(value) for name, value in found.items() if value.isfinite()}
