"""CMVAE: MMVAE+ with clusters (Palumbo, Laguna, Chopard & Vogt, Deep Generative Clustering with Multimodal Diffusion
Variational Autoencoders, ICLR 2024).

p(z) of MMVAE+ becomes a mixture with C learned weights and centres, p(z) = sum_c p(c) p(z|c), and nothing else changes
(see `mmvaeplus`): private latents w_m, auxiliary priors r_n in cross terms, the mixture of experts. The source writes

    lw_r = sum_c q(c|z_r) { log likelihoods + beta [ log p(c) + log p(z_r|c) - log q(c|z_r) + log p(w_r)
                                                     - log q(z_r|X) - log q_r(w_r|x_r) ] },        q(c|z) = p(c|z).

With that q, the best there is, the terms in c add up to log p(z_r) exactly, and this is what is computed: lw_r of
MMVAE+ with the mixture's density. The released code sums over the clusters and adds 1e-20 to each q(c|z). So what holds
of MMVAE+'s objective holds here: a bound on log p(X) for `cross=prior` with beta = 1 and lambda = 1, and else none.

Weights start uniform and centres uniform on [-1, 1]; scales of p(z|c) and of p(w_m) stay at 1, as in the released code.
`family` is that of p(z|c) and of the posteriors: the paper speaks of Gaussians, the authors' script for PolyMNIST takes
Laplaces.

How many clusters to keep is found after training, on rows of one pattern (the authors take a validation part):

    found = model.pruning(values, noise=noise)      # found.criterion: number of clusters -> what is least for the best
    model.keep(found.kept)                          # the others get probability zero, for good
    model.assign(model.posterior(values).rsample(1, noise))           # q(c|z), the clusters of rows

Left out: the diffusion model that the paper puts behind the decoders. For architectures, `dreg`, and training with
missing modalities, see `mmvaeplus`. The preset `source` has the authors' script for PolyMNIST: 40 clusters, and 32
dimensions for z and for each of five w_m.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from mmbench.config import setting
from mmbench.errors import InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, Objective, require_observed
from mmbench.models.clusters import ClusteredPrior, Clusters, Pruning, pruned
from mmbench.models.networks import Coder
from mmbench.models.posteriors import DiagonalPrior, Normalised
from mmbench.models.private import PrivateLatents, size_of
from mmbench.models.private_experts import (
    Priors,
    PrivateExpertsSettings,
    auxiliary_raw_scale,
    objective_of,
    posterior_of,
    private_priors,
    require_consistent,
)
from mmbench.seeding import Noise

__all__ = ["CMVAE", "CmvaeSettings"]


@dataclass(frozen=True)
class CmvaeSettings(PrivateExpertsSettings):
    """Those of all mixtures of experts with private parts, and the number of clusters."""

    clusters: int = setting(10, low=1, help="C, clusters of the prior of the shared latent.")


@final
@MODELS.register("cmvae")
class CMVAE(PrivateLatents):
    """Mixture of experts over a shared latent with clusters, with private latents, for any number of modalities."""

    name: ClassVar[str] = "cmvae"
    Settings: ClassVar[type] = CmvaeSettings
    facts: ClassVar[Facts] = Facts(
        title="CMVAE",
        references=(
            "Palumbo, Laguna, Chopard & Vogt, Deep Generative Clustering with Multimodal Diffusion Variational "
            "Autoencoders, ICLR 2024",
        ),
        joint="(q(z|s) + q(z|t)) q(w_s|s) q(w_t|t)",
        additional="auxiliary priors of the private latents, clusters in the prior",
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
            "model": {"objective": "elbo", "family": "laplace", "beta": 2.5, "private": 32, "clusters": 40},
            "arch": {"networks": "paper", "latent_dim": 192, "scale": 0.75, "posterior_scale": "softmax"},
            "train": {"lr": 1e-3, "batch_size": 128, "epochs": 250, "steps": None, "amsgrad": True},
        },
    }

    settings: CmvaeSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: CmvaeSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        require_consistent(settings)
        self.cluster_logits = nn.Parameter(torch.zeros(settings.clusters))
        self.centres = nn.Parameter(2 * torch.rand(settings.clusters, size_of(self._layout.shared)) - 1)
        self.auxiliary_raw_scale = auxiliary_raw_scale(self._layout, settings)

    def clusters(self) -> Clusters:
        """p(z), the mixture."""
        family = self.settings.family
        return Clusters(
            f"{len(self.centres)} {family} clusters", family, self.cluster_logits.log_softmax(0), self.centres
        )

    def prior(self) -> ClusteredPrior:
        """p(z) prod_m p(w_m)."""
        clusters, family = self.clusters(), self.settings.family
        zeros = self.centres.new_zeros(self.arch.latent_dim - self._layout.shared.stop)
        return ClusteredPrior(clusters.name, clusters, DiagonalPrior("private", family, zeros, torch.ones_like(zeros)))

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

    def assign(self, z: Tensor) -> Tensor:
        """q(c|z) at the whole latent `[K, B, D]`: `[K, B, C]`."""
        return self.clusters().assigned(z[..., self._layout.shared]).movedim(0, -1)

    @torch.no_grad()
    def pruning(self, values: Mapping[str, Tensor], *, noise: Noise) -> Pruning:
        """Which clusters the rows need, by the criterion of `clusters`; nothing is changed.

        Raises:
            InvalidSetting: a model with one cluster.
        """
        require_observed(self, values)
        alone = {name: self.posterior({name: x}).rsample(1, noise.child(name))[0] for name, x in values.items()}
        z = torch.stack([sample[:, self._layout.shared] for sample in alone.values()])
        return pruned(self.clusters(), z, beta=self.settings.beta)

    @torch.no_grad()
    def keep(self, kept: Tensor) -> None:
        """Give all clusters but those kept, booleans `[C]`, the probability zero."""
        if not kept.any():
            raise InvalidSetting("one cluster of model 'cmvae' or more must be kept, got none.")
        self.cluster_logits[~kept] = -torch.inf

    def _priors(self) -> Priors:
        family, scale = self.settings.family, self.arch.posterior_scale
        raw = self.auxiliary_raw_scale
        return Priors(
            shared=self.clusters(),
            private=private_priors(torch.zeros_like(raw), self._layout, family=family, scale=scale),
            auxiliary=private_priors(raw, self._layout, family=family, scale=scale),
        )
