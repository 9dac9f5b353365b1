"""MVTCAE: a product of experts that is held close to every single encoder (Hwang, Kim, Hong & Kim, Multi-View
Representation Learning via Total Correlation Objective, NeurIPS 2021).

The posterior of any subset S is the normalised product of the experts of S, without the prior. With q = q(z|X) and
alpha, `tc_ratio` in the released code, between 0 and 1, training maximises

    L = (M - alpha)/M E_q[ sum_m lambda_m log p_m(x_m|z) ]
        - beta { (alpha/M) sum_m KL(q || q_m(z|x_m)) + (1 - alpha) KL(q || N(0, I)) },

with one sample of q and all KLs in closed form. For beta = 1 and lambda = 1 it is a weighted mean of the ELBO of all
modalities and of M conditional ones, each of which has the encoder of x_m as its prior and leaves x_m out:

    L = (1 - alpha) ELBO(q; [M]) + (alpha/M) sum_m { E_q[ sum_{n != m} log p_n(x_n|z) ] - KL(q || q_m) }.

The term of m is at most the log of the integral of q_m(z|x_m) prod_{n != m} p_n(x_n|z), which is log p(x_{-m}|x_m)
where q_m is exact. So L is a bound on log p(X) for alpha = 0, a VAE with the product as its encoder, and for no other.

The KLs to the single encoders are what aligns the latents; the single encoders get no ELBO of their own. On rows that
hold the modalities O, [M] becomes O and every M becomes |O|. Where |O| = 1 the product is its one expert, and L is
1 - alpha times the ELBO: such rows count less, and at alpha = 1 for nothing, so that training on them is refused.

What is followed: the released code for the objective and for alpha = 5/6; the paper's text was not at hand. The default
of beta is 1, as in all models here; the released code has 2.5 (`source`). It trains on complete rows only, and adds
1e-8 to the variances in the product, which is taken in log space here. `multivae` has alpha = 0.1 and beta = 2.5, and
its weights keep the M of all modalities on rows that hold fewer. What `source` does not reproduce: PolyMNIST, its
networks, and the scale of its Laplace likelihood, which was not at hand either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.posteriors import Distribution, Gaussian, kl_gaussian, kl_standard, product, standard_normal
from mmbench.seeding import Noise

__all__ = ["MVTCAE", "MvtcaeSettings"]


@dataclass(frozen=True)
class MvtcaeSettings:
    """The share of the conditional terms and the weight of all KLs."""

    alpha: float = setting(
        5 / 6, low=0.0, high=1.0, help="Share of the KLs to the single encoders; 0 leaves the KL to the prior alone."
    )
    beta: float = setting(1.0, low=0.0, help="Weight of all KLs; 1 with alpha = 0 gives a bound.")


@final
@MODELS.register("mvtcae")
class MVTCAE(MultimodalVAE):
    """Product of experts close to every expert, for any number of modalities and any observation pattern."""

    name: ClassVar[str] = "mvtcae"
    Settings: ClassVar[type] = MvtcaeSettings
    facts: ClassVar[Facts] = Facts(
        title="MVTCAE",
        references=(
            "Hwang, Kim, Hong & Kim, Multi-View Representation Learning via Total Correlation Objective, NeurIPS 2021",
        ),
        joint="q(z|s) q(z|t)",
        additional="-",
        partial_test=True,
        partial_train_claims="no; the released code trains on complete rows",
        partial_train_holds=True,
        partial_train_rule="product, likelihoods, KLs and their weights restricted to the observed modalities",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the product",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "model": {"alpha": 5 / 6, "beta": 2.5},
            "arch": {"networks": "paper", "latent_dim": 512, "likelihood": "laplace", "rescale": "none"},
            "train": {"lr": 1e-3, "batch_size": 256, "epochs": 300, "steps": None},
        },
    }

    settings: MvtcaeSettings

    def cannot_bear(self, names: Sequence[str]) -> str | None:
        """At alpha = 1, rows with one of several modalities: their objective is zero."""
        if self.settings.alpha == 1 and len(names) == 1 and len(self.modalities) > 1:
            return f"model {self.name!r} with model.alpha=1 (lower it) cannot learn from rows that hold only {names[0]}"
        return super().cannot_bear(names)

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
        z = q.rsample(1, noise)
        scores = {name: self.log_likelihood(name, values[name], z)[0] for name in experts}
        apart = {name: kl_gaussian(q, expert) for name, expert in experts.items()}
        kl, alpha = kl_standard(q), self.settings.alpha
        reconstruction = (1 - alpha / len(experts)) * torch.stack(list(scores.values())).sum(0)
        divergence = alpha * torch.stack(list(apart.values())).mean(0) + (1 - alpha) * kl
        bound = reconstruction - self.settings.beta * divergence
        terms = {f"log_likelihood/{name}": score.detach().mean() for name, score in scores.items()}
        terms |= {f"kl/{name}": value.detach().mean() for name, value in apart.items()}
        return Objective(-bound.mean(), terms | {"kl": kl.detach().mean()})
