"""kl_used: how many dimensions of the latent a posterior uses.

A dimension is used where its KL(q(z_d|x_A) || N(0, 1)), averaged over the test rows, is above a threshold in nats; what
is not used carries (nearly) the prior. For every modality alone and for all together the score is the number of used
dimensions. A posterior that is no Gaussian has no such KL in closed form and is left out with that reason.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from mmbench.config import setting
from mmbench.metrics import METRICS, Context, Metric, Outcome, View
from mmbench.models.posteriors import Gaussian

__all__ = ["KLUsed", "KLUsedSettings", "kl_by_dimension"]


@dataclass(frozen=True)
class KLUsedSettings:
    """Settings of `kl_used`."""

    threshold: float = setting(0.01, low=0.0, help="Nats above which a dimension is used.")


def kl_by_dimension(q: Gaussian) -> Tensor:
    """KL(q_d || N(0, 1)) of every dimension, `[B, D]`."""
    return 0.5 * (q.scale.square() + q.location.square() - 1) - q.scale.log()


@final
@METRICS.register("kl_used")
class KLUsed(Metric):
    """The number of latent dimensions whose posterior differs from the prior."""

    name: ClassVar[str] = "kl_used"
    description: ClassVar[str] = "Number of latent dimensions whose mean KL to N(0, 1) is above a threshold."
    Settings: ClassVar[type] = KLUsedSettings

    def prepare(self, context: Context) -> None:
        names = context.names
        self._sets = [*((name,) for name in names), *([names] if len(names) > 1 else [])]
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._kinds: dict[tuple[str, ...], str] = {}
        self._rows = 0

    def update(self, view: View) -> None:
        self._rows += len(view.rows)
        for names in self._sets:
            q = view.posterior(names)
            if not isinstance(q, Gaussian):
                self._kinds[names] = type(q).__name__
                continue
            total = kl_by_dimension(q).double().sum(0)
            self._sums[names] = self._sums[names] + total if names in self._sums else total

    def compute(self) -> Outcome:
        scores = []
        for names in self._sets:
            given = "+".join(names)
            if names in self._kinds:
                scores.append(self.skipped(f"q(z | {given}) is a {self._kinds[names]}, no Gaussian.", given=given))
                continue
            means = self._sums[names] / self._rows
            used = float((means > self.settings.threshold).sum())
            scores.append(self.score(used, "threshold", given=given, n=self._rows, details={"kl": float(means.sum())}))
        return Outcome(tuple(scores))
