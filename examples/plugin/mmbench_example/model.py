"""mean-vae: a Gaussian posterior whose parameters are the means of the observed encoders' (a toy, from no paper).

    q(z|x_S) = N(mean over m in S of mu_m(x_m), (mean over m in S of sigma_m(x_m))^2),
    L(x_S) = E_q[ sum_{m in S} lambda_m log p_m(x_m|z) ] - beta KL(q(z|x_S) || N(0, I)),

a bound on log p(x_S) for beta = 1 and lambda = 1, whatever is observed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.models import MODELS, Facts, MultimodalVAE, Objective
from mmbench.models.base import require_observed
from mmbench.models.posteriors import Distribution, Gaussian, kl_standard, standard_normal
from mmbench.seeding import Noise

__all__ = ["MeanSettings", "MeanVAE"]


@dataclass(frozen=True)
class MeanSettings:
    """Settings of `mean-vae`."""

    beta: float = setting(1.0, low=0.0, help="Weight of the KL; 1 gives a bound on log p(x_S).")


@final
@MODELS.register("mean-vae")
class MeanVAE(MultimodalVAE):
    """Means of the observed encoders' parameters."""

    name: ClassVar[str] = "mean-vae"
    Settings: ClassVar[type] = MeanSettings
    facts: ClassVar[Facts] = Facts(
        title="Mean-VAE",
        references=("Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014",),
        joint="mean of parameters",
        additional="-",
        partial_test=True,
        partial_train_claims="no",
        partial_train_holds=True,
        partial_train_rule="mean over the observed modalities",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the posterior",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {"common": {}, "source": {}}
    settings: MeanSettings

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian:
        require_observed(self, values)
        experts = [self.gaussian(name, x) for name, x in values.items()]
        location = torch.stack([q.location for q in experts]).mean(0)
        return Gaussian(location, torch.stack([q.scale for q in experts]).mean(0))

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        q = self.posterior(values)
        z = q.rsample(1, noise)  # [K=1, B, D]
        log_likelihood = torch.stack([self.log_likelihood(name, x, z)[0] for name, x in values.items()]).sum(0)
        kl = kl_standard(q)
        terms = {"log_likelihood": log_likelihood.detach().mean(), "kl": kl.detach().mean()}
        return Objective(-(log_likelihood - self.settings.beta * kl).mean(), terms)
