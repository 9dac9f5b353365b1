"""mmJSD: a mixture of experts regularised by a Jensen-Shannon divergence that includes the prior (Sutter, Daunhawer &
Vogt, Multimodal Generative Learning Utilizing Jensen-Shannon-Divergence, NeurIPS 2020).

The experts q_m(z|x_m), m <= M, and the prior q_{M+1} = N(0, I) have weights pi that sum to one. Training maximises

    L = E_{q(z|X)}[ sum_m lambda_m log p_m(x_m|z) ] - beta JS,
    q(z|X) = sum_{m<=M} (pi_m / sum_{n<=M} pi_n) q_m(z|x_m),    JS = sum_{nu<=M+1} pi_nu KL(q_nu || f),

with f, the dynamic prior, a mean of all q_nu. The prior takes part in JS but not in the mixture that is decoded (the
re-implementation in the released code of MoPoE decodes prior samples too, and asks them to reconstruct X: not here).

    geometric (default, the released code):  f = prod_nu q_nu^pi_nu / Z, a Gaussian; JS is in closed form and equals
        sum_{nu,mu} pi_nu pi_mu KL(q_nu||q_mu) + log Z;
    arithmetic:  f = sum_nu pi_nu q_nu; JS is between 0 and log(M + 1) and at most the geometric one. It is estimated
        from `k` samples of every q_nu as the mean of log q_nu - log f, which is at most -log pi_nu for every sample.

L is no bound on log p(X), for neither mean. The experts weigh alike (the paper's choice); `prior_weight` is the prior's
weight relative to theirs, pi_{M+1} = w / (M + w), so that 1 is the uniform 1/(M + 1).

`sampling` estimates the expectation over the mixture without bias: `row` draws an expert for every row and decodes one
sample of it; `enumerate` decodes one sample of each expert. The released code cuts the batch into contiguous parts,
one an expert, which leaves all of a small batch to the last expert; that is not offered here.

On rows that hold the modalities O, the missing q_m are dropped, and pi is renormalised over O and the prior. At test
time the posterior of S is the mixture of its experts (`inference=mixture`, the released code), or the geometric mean of
its experts and the prior with the weights of training (`dynamic`). The released code's private latents are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.errors import InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.networks import Coder
from mmbench.models.posteriors import (
    Distribution,
    Gaussian,
    Normalised,
    component_samples,
    geometric_mean,
    kl_gaussian,
    mixture,
    standard_normal,
)
from mmbench.seeding import Noise

__all__ = ["MMJSD", "MmjsdSettings", "arithmetic_divergence", "geometric_divergence"]


@dataclass(frozen=True)
class MmjsdSettings:
    """The dynamic prior, the estimate of the mixture's expectation, and the posterior at test time."""

    prior: str = setting("geometric", choices=("geometric", "arithmetic"), help="Mean that makes the dynamic prior.")
    prior_weight: float = setting(1.0, above=0.0, help="The prior's weight relative to an expert's; 1: all the same.")
    sampling: str = setting(
        "row", choices=("row", "enumerate"), help="An expert drawn for each row, or one sample of every expert."
    )
    inference: str = setting(
        "mixture", choices=("mixture", "dynamic"), help="Posterior of S: mixture, or geometric mean with the prior."
    )
    beta: float = setting(1.0, low=0.0, help="Weight of the divergence.")
    k: int = setting(1, low=1, help="K, samples of each expert and the prior in the arithmetic divergence.")


@final
@MODELS.register("mmjsd")
class MMJSD(MultimodalVAE):
    """Mixture of experts with a Jensen-Shannon divergence, for any number of modalities and any observation pattern."""

    name: ClassVar[str] = "mmjsd"
    Settings: ClassVar[type] = MmjsdSettings
    facts: ClassVar[Facts] = Facts(
        title="mmJSD",
        references=(
            "Sutter, Daunhawer & Vogt, Multimodal Generative Learning Utilizing Jensen-Shannon-Divergence, "
            "NeurIPS 2020",
        ),
        joint="f(q(z|s), q(z|t), p(z))",
        additional="-",
        partial_test=True,
        partial_train_claims="no",
        partial_train_holds=True,
        partial_train_rule="missing experts dropped, weights renormalised over the observed ones and the prior",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling, stratified over experts (inference=dynamic: from the geometric mean)",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "model": {"prior": "geometric", "beta": 2.5},
            "arch": {"networks": "paper", "latent_dim": 20, "scale": 0.75, "rescale": "largest"},
            "train": {"lr": 5e-4, "batch_size": 256, "epochs": 100, "steps": None},
            "data": {"pairs": 20},
        },
        "arithmetic": {"model": {"prior": "arithmetic", "sampling": "enumerate"}},
    }

    settings: MmjsdSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: MmjsdSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        if settings.inference == "dynamic" and settings.prior != "geometric":
            raise InvalidSetting("model.inference=dynamic is the geometric mean; it needs model.prior=geometric.")

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Normalised:
        require_observed(self, values)
        experts = list(self._experts(values).values())
        if self.settings.inference == "mixture":
            return mixture(experts)
        return geometric_mean([*experts, standard_like(experts[0])], self._weights(len(experts)))

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        experts = self._experts(values)
        z = component_samples(experts, noise.child("mixture"), stratified=self.settings.sampling == "enumerate")
        scores = {name: self.log_likelihood(name, values[name], z).mean(0) for name in sorted(values)}
        divergence = self._divergence(experts, noise.child("divergence"))
        bound = torch.stack(list(scores.values())).sum(0) - self.settings.beta * divergence
        terms = {f"log_likelihood/{name}": score.detach().mean() for name, score in scores.items()}
        return Objective(-bound.mean(), terms | {"divergence": divergence.detach().mean()})

    def _experts(self, values: Mapping[str, Tensor]) -> dict[str, Gaussian]:
        return {name: self.gaussian(name, values[name]) for name in sorted(values)}

    def _weights(self, experts: int) -> list[float]:
        """pi over the experts and, last, the prior."""
        total = experts + self.settings.prior_weight
        return [1 / total] * experts + [self.settings.prior_weight / total]

    def _divergence(self, experts: Mapping[str, Gaussian], noise: Noise) -> Tensor:
        """JS of the experts and the prior, `[B]`."""
        components = list(experts.values())
        components.append(standard_like(components[0]))
        weights = self._weights(len(experts))
        if self.settings.prior == "geometric":
            return geometric_divergence(components, weights)
        sources = [*(noise.child("experts").child(name) for name in experts), noise.child("prior")]
        samples = [q.rsample(self.settings.k, n) for q, n in zip(components, sources, strict=True)]
        return arithmetic_divergence(components, weights, torch.stack(samples))


def geometric_divergence(components: Sequence[Gaussian], weights: Sequence[float]) -> Tensor:
    """sum_nu pi_nu KL(q_nu || f) with f the normalised geometric mean of all q_nu, `[B]`."""
    f = geometric_mean(components, weights)
    return torch.stack([w * kl_gaussian(q, f) for q, w in zip(components, weights, strict=True)]).sum(0)


def arithmetic_divergence(components: Sequence[Gaussian], weights: Sequence[float], samples: Tensor) -> Tensor:
    """Estimate of sum_nu pi_nu E_{q_nu}[log q_nu - log sum_mu pi_mu q_mu], `[B]`, from samples `[E, K, B, D]`.

    Every log ratio is at most -log pi_nu, so that the estimate is at most the entropy of the weights.
    """
    log_pi = torch.stack([samples.new_full((), w) for w in weights]).log()  # filled on the device itself
    densities = torch.stack([torch.stack([q.log_prob(z) for z in samples]) for q in components])
    log_f = (densities + log_pi[:, None, None, None]).logsumexp(0)
    own = torch.stack([densities[nu, nu] for nu in range(len(components))])
    return ((own - log_f).mean(1) * log_pi.exp()[:, None]).sum(0)


def standard_like(q: Gaussian) -> Gaussian:
    """N(0, I) with one row for each row of q."""
    return Gaussian(torch.zeros_like(q.location), torch.ones_like(q.scale))
