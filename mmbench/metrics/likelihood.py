"""log p(x_A | x_B) of a model in nats, for any disjoint sets A and B of modalities: the one estimator of all metrics.

- `iwae`, B empty: log of the integral of p(z) prod_{a in A} p(x_a|z), importance-sampled from q(z | x_A).
- `conditional-iwae`, where the model has a generative prior given x_B (MEME): log of the integral of
  p(z | x_B) prod_{a in A} p(x_a|z), importance-sampled from the mixture of q(z | x_A), p(z | x_B) and their product.
- `iwae-difference`, otherwise: log p(x_A, x_B) - log p(x_B), each with noise of its own. A difference of two lower
  bounds is no bound: look at its jackknife bias.

Mixtures are stratified (see `importance`), K samples of each component. The second proposal is defensive: with
q(z | x_A) alone a weight p(x_A|z) p(z|x_B) / q(z|x_A) is unbounded where the encoder is narrower than the integrand,
and then neither the variance nor its estimate is finite; with p(z | x_B) in the mixture no weight exceeds the number of
components times the largest p(x_A|z). The product is near the integrand wherever both are, which counts in many
dimensions. On the linear-Gaussian model with exact encoders and 8 latent dimensions, 200 samples decoded in all, the
effective samples are 6 % of K with q(z | x_A) alone, 17 % with the mixture of the two, and 75 % with all three; with
encoders of 0.6 times the right width 4 %, 16 % and 29 %.

Where q(z | x_A) of several modalities has no density, the mixture of the posteriors of each alone takes its place: a
proposal decides the variance, not what is estimated.

Likelihoods are the model's own, never rescaled, and no beta enters.
"""

from collections.abc import Iterable, Mapping
from typing import final

import torch
from torch import Tensor

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.metrics.base import Skipped
from mmbench.metrics.importance import Estimate, difference, estimate, log_weights_of
from mmbench.models.base import MultimodalVAE
from mmbench.models.posteriors import Density, Gaussian, Mixture, Normalised, Transported, product
from mmbench.seeding import Noise

__all__ = ["LogLikelihoods", "log_likelihood"]

Names = tuple[str, ...]


def log_likelihood(
    model: MultimodalVAE,
    values: Mapping[str, Tensor],
    target: Iterable[str],
    given: Iterable[str] = (),
    *,
    k: int,
    noise: Noise,
) -> Estimate:
    """log p(x_target | x_given) of each row; the order of names does not matter.

    Args:
        model: in eval mode; nothing here is differentiated.
        values: modality -> `[B, *shape]`, at least those named.
        target, given: disjoint names of modalities; `given` may be empty.
        k: K, samples of each component of the proposal.
        noise: with noise keyed by row, a row's estimate does not depend on its batch.

    Raises:
        InvalidSetting: the names are none, overlap, or are no modalities with values.
        CannotBear, Skipped: the model cannot answer; the message is the reason.
    """
    return LogLikelihoods(model, values, k=k, noise=noise).of(target, given)


@final
class LogLikelihoods:
    """Log likelihoods of one batch: as `log_likelihood`, and what several of them share is estimated once."""

    def __init__(self, model: MultimodalVAE, values: Mapping[str, Tensor], *, k: int, noise: Noise) -> None:
        if k < 1:
            raise InvalidSetting(f"a log likelihood needs K >= 1 samples, got {k}.")
        self._model, self._values, self._k, self._noise = model, values, k, noise
        self._marginals: dict[Names, Estimate] = {}

    def of(self, target: Iterable[str], given: Iterable[str] = ()) -> Estimate:
        """log p(x_target | x_given) of each row."""
        a, b = tuple(sorted(set(target))), tuple(sorted(set(given)))
        self._require_disjoint(a, b)
        with torch.no_grad():
            if not b:
                return self._marginal(a)
            try:
                prior = self._model.generative_prior(self._some(b))
            except CannotBear:
                return difference(self._marginal(tuple(sorted(a + b))), self._marginal(b), "iwae-difference")
            return self._conditional(a, b, prior)

    def _marginal(self, names: Names) -> Estimate:
        if names not in self._marginals:
            prior = self._model.generative_prior({})
            self._marginals[names] = self._sampled(names, prior, self._proposal(names), "iwae", "+".join(names))
        return self._marginals[names]

    def _conditional(self, a: Names, b: Names, prior: Density) -> Estimate:
        proposal = _defensive(self._proposal(a), prior)
        return self._sampled(a, prior, proposal, "conditional-iwae", f"{'+'.join(a)}|{'+'.join(b)}")

    def _proposal(self, names: Names) -> Normalised:
        """q(z | x_names), or the mixture of those of each name where it has no density."""
        posterior = self._model.proposal(self._some(names))
        if isinstance(posterior, Normalised):
            return posterior
        alone = [_components(self._model.proposal(self._some((name,)))) for name in names if len(names) > 1]
        if not alone or not all(alone):
            raise Skipped(
                "importance sampling needs a proposal with a density; "
                f"q(z | {', '.join(names)}) of model {self._model.name!r} is {type(posterior).__name__}, without one."
            )
        return Mixture(tuple(component for components in alone for component in components))

    def _sampled(self, scored: Names, prior: Density, proposal: Normalised, estimator: str, role: str) -> Estimate:
        noise = self._noise.child(role)
        u = log_weights_of(self._model, self._some(scored), prior=prior, proposal=proposal, k=self._k, noise=noise)
        return estimate(u, estimator)

    def _some(self, names: Names) -> dict[str, Tensor]:
        return {name: self._values[name] for name in names}

    def _require_disjoint(self, target: Names, given: Names) -> None:
        known = sorted(set(self._values) & set(self._model.modalities))
        if not target:
            raise InvalidSetting(f"a log likelihood needs modalities to be scored, some of {known}; got none.")
        if strange := sorted({*target, *given} - set(known)):
            raise InvalidSetting(f"log likelihoods are of modalities with values, {known}; got {strange}.")
        if both := sorted(set(target) & set(given)):
            raise InvalidSetting(f"what is scored and what is given must be disjoint; {both} are both.")


def _defensive(posterior: Normalised, prior: Density) -> Normalised:
    """The mixture of both and of their product, as far as a mixture can hold them."""
    ours, safe = _components(posterior), _components(prior)
    if not ours or not safe:
        return posterior
    if isinstance(posterior, Gaussian) and isinstance(prior, Gaussian):
        return Mixture((posterior, prior, product([posterior, prior], prior_expert=False)))
    return Mixture((*ours, *safe))


def _components(density: object) -> tuple[Transported, ...]:
    """What a mixture with this density as a part is made of; nothing where a mixture cannot hold it."""
    if isinstance(density, Transported):
        return (density,)
    return density.components if isinstance(density, Mixture) else ()
