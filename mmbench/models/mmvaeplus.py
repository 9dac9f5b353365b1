"""MMVAE+: a mixture of experts with private latents (Palumbo, Daunhawer & Vogt, MMVAE+: Enhancing the Generative
Quality of Multimodal VAEs without Compromises, ICLR 2023; released code epalu/mmvaeplus).

The latent is [z | w_1 .. w_M], z shared and w_m private to modality m. The bound, for expert r and its k-th sample:

    lw_r = lambda_r log p_r(x_r|z_r, w_r) + sum_{n != r} lambda_n log p_n(x_n|z_r, w~_n)
           + beta [ log p(z_r) + log p(w_r) - log q(z_r|X) - log q_r(w_r|x_r) ],
    z_r, w_r ~ q_r(z|x_r) q_r(w_r|x_r),    w~_n ~ r_n(w_n),    q(z|X) = (1/M) sum_m q_m(z|x_m),

    L = (1/M) sum_r E[ LME_k lw_r ]                                                      (looser, what is trained).

So a cross reconstruction never sees the private code of its target, and shared content that hides there is lost to it.
The auxiliary priors r_n have mean zero and learned scales, which only the cross terms train. At test time the private
part of a missing modality comes from the prior p(w_n) (`missing=prior`, as in the released code) or from r_n.

L is a bound on log p(X) for `cross=prior`, which puts p(w_n) in the place of r_n, with beta = 1 and lambda = 1; with
learned r_n it bounds a hybrid likelihood (see `private_experts`), and with other weights in general none.
`looser=false` is the tight form that MMVAE has, over all samples of all experts; the released code has none for private
latents. `cross=own` is the released code's variant `mmvaefactorized`: the cross terms read w_n of the target's own
encoder. Each lw_r pays for one private code and decodes M, so that is no bound.

The released code's `elbo` is L with K samples, its scripts use one; here `elbo` is one sample and `iwae` is K. Its
`dreg` registers its hook on a copy of the samples, where it never fires, and reads posteriors that are not detached:
what it trains is the gradient of `iwae`. `dreg` here detaches the posteriors' parameters inside log q and multiplies
the gradient that reaches z_r and w_r by the normalised weight once more (Tucker et al. 2019). The gradient that reaches
r_n is weighed once, for the weight holds no density of w~_n. As for MMVAE it is biased with several experts for K > 1,
since z_r is drawn from q_r and the weight has the mixture.

Differences of architecture: one encoder gives both parts, where the released code has two trunks; with scales
d * softmax (`arch.posterior_scale=softmax`, which holds for the r_n too; they are exp(raw) otherwise) those of both
parts together sum to d. In the released code all w_m have the same size, and one generated w serves all decoders; here
each modality draws its own. `learn_prior`, which MultiVae has and the released code has not, learns the scales of p(z)
and of each p(w_m).

Missing modalities in training are not in the source; here everything is restricted to the observed ones. The preset
`source` has the authors' script for PolyMNIST: 32 dimensions for z and for each of five w_m, hence 192 in all.
Its residual networks are not here: the preset's are those of MNIST and SVHN; PolyMNIST needs `arch.networks=small`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from mmbench.config import setting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, Objective, require_observed
from mmbench.models.networks import Coder
from mmbench.models.posteriors import DiagonalPrior, Normalised, diagonal
from mmbench.models.private import PrivateLatents
from mmbench.models.private_experts import (
    Priors,
    PrivateExpertsSettings,
    auxiliary_raw_scale,
    objective_of,
    positive,
    posterior_of,
    private_priors,
    require_consistent,
)
from mmbench.seeding import Noise

__all__ = ["MMVAEPlus", "MmvaeplusSettings"]


@dataclass(frozen=True)
class MmvaeplusSettings(PrivateExpertsSettings):
    """Those of all mixtures of experts with private parts, and whether the prior is learned."""

    learn_prior: bool = setting(False, help="Learn the scales of p(z) and p(w_m), which the released code keeps at 1.")


@final
@MODELS.register("mmvaeplus")
class MMVAEPlus(PrivateLatents):
    """Mixture of experts over a shared latent, with private latents, for any number of modalities."""

    name: ClassVar[str] = "mmvaeplus"
    Settings: ClassVar[type] = MmvaeplusSettings
    facts: ClassVar[Facts] = Facts(
        title="MMVAE+",
        references=(
            "Palumbo, Daunhawer & Vogt, MMVAE+: Enhancing the Generative Quality of Multimodal VAEs without "
            "Compromises, ICLR 2023",
        ),
        joint="(q(z|s) + q(z|t)) q(w_s|s) q(w_t|t)",
        additional="auxiliary priors of the private latents",
        partial_test=True,
        partial_train_claims="no",
        partial_train_holds=True,
        partial_train_rule="mixture, cross terms and likelihoods restricted to the observed modalities",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling, stratified over experts; private latents of the rest from the prior",
        private_latents=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "model": {"objective": "elbo", "family": "laplace", "beta": 2.5, "private": 32},
            "arch": {"networks": "paper", "latent_dim": 192, "scale": 0.75, "posterior_scale": "softmax"},
            "train": {"lr": 1e-3, "batch_size": 128, "epochs": 250, "steps": None, "amsgrad": True},
        },
    }

    settings: MmvaeplusSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: MmvaeplusSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        require_consistent(settings)
        self.prior_raw_scale = nn.Parameter(torch.zeros(arch.latent_dim), requires_grad=settings.learn_prior)
        self.auxiliary_raw_scale = auxiliary_raw_scale(self._layout, settings)

    def prior(self) -> DiagonalPrior:
        """p(z) prod_m p(w_m)."""
        priors = self._priors()
        scale = torch.cat([self._shared_scale(), *(priors.private[name].scale for name in self._layout.private)])
        name = "learned" if self.settings.learn_prior else "standard"
        return DiagonalPrior(f"{name} {self.settings.family}", self.settings.family, torch.zeros_like(scale), scale)

    def posterior(self, values: Mapping[str, Tensor]) -> Normalised:
        require_observed(self, values)
        priors = self._priors()
        missing = priors.private if self.settings.missing == "prior" else priors.auxiliary
        return posterior_of(self, values, family=self.settings.family, missing=missing)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        return objective_of(self, values, self.settings, self._priors(), noise=noise)

    def _priors(self) -> Priors:
        family, scale = self.settings.family, self.arch.posterior_scale
        shared = self._shared_scale()
        own = self.prior_raw_scale[self._layout.shared.stop :]
        return Priors(
            shared=diagonal(family, torch.zeros_like(shared), shared),
            private=private_priors(own, self._layout, family=family, scale=scale),
            auxiliary=private_priors(self.auxiliary_raw_scale, self._layout, family=family, scale=scale),
        )

    def _shared_scale(self) -> Tensor:
        return positive(self.prior_raw_scale[self._layout.shared], self.arch.posterior_scale)
