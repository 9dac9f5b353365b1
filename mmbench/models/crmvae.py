"""CRMVAE: a product of experts that is held close to every encoder, each of which reconstructs its own modality
(Suzuki & Matsuo, Mitigating the Limitations of Multimodal VAEs with Coordination-based Approach, submission to ICLR
2023, openreview Rn8u4MYgeNJ).

The posterior of any subset S is the normalised product of the experts of S, without the prior. With q = q(z|X),
training maximises

    L = 1/(M+1) { 1/2 sum_m lambda_m ( E_q[ log p_m(x_m|z) ] + E_{q_m}[ log p_m(x_m|z) ] )
                  - beta ( KL(q || N(0, I)) + sum_m KL(q || q_m(z|x_m)) ) },

with one sample of q and of each q_m = q_m(z|x_m), and all KLs in closed form. Its relatives:

* JMVAE: 2(M+1) L is JMVAE's objective with q in the place of the joint encoder and 2 beta as both of its weights, plus
  sum_m E_{q_m}[ lambda_m log p_m(x_m|z) ].
* MVTCAE: the KLs have the weights that MVTCAE gives them at alpha = M/(M+1), which is its 5/6 for five modalities; the
  reconstructions have 1/(2(M+1)) from q and as much from q_m, where MVTCAE has M/(M+1) from q alone.

So L adds to either what they lack, that a single encoding is decoded in training. No KL is paid for the samples of q_m:
what keeps q_m wide is KL(q || q_m) alone. L is a bound on no likelihood for any beta. Cross reconstructions from q_m
are not trained.

On rows that hold the modalities O, [M] becomes O and every M becomes |O|. Where |O| = 1 the product is its one expert,
its KL to it is 0, and L is half the ELBO (with beta), so that such rows count by half, where those of a complete row
have M/(M+1) for their reconstructions.

What is followed: the package multivae, as the paper's text was not at hand. The formula in multivae's documentation has
no 1/2 before the reconstructions, its code has; the former is 2 L with beta/2 in the place of beta, so `model.beta=0.5`
trains it as written up to the factor. The default of beta is 1, as in all models here; multivae has 2.5 (`source`). It
adds up the rows of a batch, adds 1e-8 to the variances in the product, and keeps M for all modalities on rows that hold
fewer. Nothing else of the paper's settings was at hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.posteriors import Distribution, Gaussian, kl_gaussian, kl_standard, product, standard_normal
from mmbench.seeding import Noise

__all__ = ["CRMVAE", "CrmvaeSettings"]


@dataclass(frozen=True)
class CrmvaeSettings:
    """The weight of all KLs."""

    beta: float = setting(1.0, low=0.0, help="Weight of all KLs against half of the reconstructions.")


@final
@MODELS.register("crmvae")
class CRMVAE(MultimodalVAE):
    """Product of experts close to every expert, with reconstructions from each, for any observation pattern."""

    name: ClassVar[str] = "crmvae"
    Settings: ClassVar[type] = CrmvaeSettings
    facts: ClassVar[Facts] = Facts(
        title="CRMVAE",
        references=(
            "Suzuki & Matsuo, Mitigating the Limitations of Multimodal VAEs with Coordination-based Approach, "
            "submission to ICLR 2023",
        ),
        joint="q(z|s) q(z|t)",
        additional="-",
        partial_test=True,
        partial_train_claims="not known: the paper's text was not at hand; the package multivae trains so",
        partial_train_holds=True,
        partial_train_rule="product, likelihoods, KLs and their weights restricted to the observed modalities",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the product",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {"model": {"beta": 2.5}},
    }

    settings: CrmvaeSettings

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian:
        require_observed(self, values)
        return product([self.gaussian(name, values[name]) for name in sorted(values)], prior_expert=False)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        experts = {name: self.gaussian(name, values[name]) for name in sorted(values)}
        q = product(list(experts.values()), prior_expert=False)
        joint = q.rsample(1, noise.child("product of experts"))
        scores = {  # [2, B]: from the product, and from the modality's own expert
            name: self.log_likelihood(name, values[name], torch.cat([joint, expert.rsample(1, noise.child(name))]))
            for name, expert in experts.items()
        }
        kl = kl_standard(q)
        apart = {name: kl_gaussian(q, expert) for name, expert in experts.items()}
        reconstruction = 0.5 * torch.stack(list(scores.values())).sum((0, 1))
        divergence = kl + torch.stack(list(apart.values())).sum(0)
        value = (reconstruction - self.settings.beta * divergence) / (len(experts) + 1)
        terms = {f"log_likelihood/{name}": score[0].detach().mean() for name, score in scores.items()}
        terms |= {f"log_likelihood/{name}|{name}": score[1].detach().mean() for name, score in scores.items()}
        terms |= {f"kl/{name}": value.detach().mean() for name, value in apart.items()}
        return Objective(-value.mean(), terms | {"kl": kl.detach().mean()})
