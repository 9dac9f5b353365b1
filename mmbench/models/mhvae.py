"""MHVAE: a hierarchy of latents with a product of experts at every level (Dorent et al., Unified Brain MR-Ultrasound
Synthesis using Multi-Modal Hierarchical Representations, MICCAI 2023; released code ReubenDo/MHVAE).

The latent has L levels, and the decoders see the lowest alone:

    p(z) = p(z_L) prod_{l < L} p(z_l | z_{>l}),   p(z_L) = N(0, I),   p(X|z) = prod_m p_m(x_m | z_1).

The posterior of any subset S goes down the same way, and is at every level the normalised product of the prior given
the levels above and of one expert of each modality in S:

    q(z_L | x_S) ~ p(z_L) prod_{m in S} q_m(z_L | x_m),
    q(z_l | x_S, z_{>l}) ~ p(z_l | z_{>l}) prod_{m in S} q_m(z_l | x_m, z_{>l}).

Training maximises the mean over subsets S of an ELBO each of which reconstructs all modalities, also those not in S:

    L = mean_S E_{q(z|x_S)}[ sum_m lambda_m log p_m(x_m | z_1)
                             - beta sum_l KL(q(z_l | x_S, z_{>l}) || p(z_l | z_{>l})) ].

One sample of z serves both expectations; the KL of a level, given the sampled levels above, is in closed form. For
beta = 1 and lambda = 1 each ELBO, and so L, is a bound on log p(X): L = log p(X) - mean_S KL(q(z|x_S) || p(z|X)).
With L = 1 this is the mean over subsets of ELBOs of MVAE's product of experts.

`subsets` are all non-empty ones (`all`; 2^M - 1 decoded samples a row), the full set and each modality alone
(`full+singles`, as the released code, for its two modalities the same), or one drawn for each row anew (`sampled`, an
unbiased estimate of `all`). On rows that hold the modalities O, subsets are those of O and sums run over O.

Where mmbench differs:

* The released code multiplies Gaussians by adding inverse *standard deviations*: mean sum(mu/s)/sum(1/s), scale
  1/sum(1/s). That is no product of Gaussians; here precisions are added.
* There p(z_l | .) and q_m(z_l | .) are convolutions that see z_{l+1} alone, q_m's weights are shared by the modalities
  below the top level, and x_m enters each level at its own resolution (L = 7). Here latents are vectors, a level sees
  all levels above it, every expert has its own weights, and x_m enters each level through a layer of its own on the
  features of its one encoder.
* There the loss is the sum over subsets, with smooth-L1 reconstructions, one-sample KLs and an adversarial term, which
  is left out here. Its KL grows from 0 over the whole training, which is `anneal=1` (preset `source`).

The flat latent is [z_1 | .. | z_L], `arch.latent_dim` in all: equal parts, the lowest levels get what is left. Given z
of L levels, z_1 is the code that decoders read, and the levels above say what codes there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from mmbench.config import setting
from mmbench.errors import CannotBear
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.hierarchy import Expert, LevelNetwork, TopDownPosterior, TopDownPrior, levels_of
from mmbench.models.likelihoods import Likelihood
from mmbench.models.networks import Coder, build
from mmbench.models.networks.base import Encoder
from mmbench.models.patterns import full_and_singles, some_subsets, subsets
from mmbench.models.posteriors import Gaussian
from mmbench.seeding import Noise

__all__ = ["MHVAE", "MhvaeSettings"]


@dataclass(frozen=True)
class MhvaeSettings:
    """The hierarchy, the subsets whose ELBOs are averaged, and the weight of the KLs."""

    levels: int = setting(2, low=1, help="L, the number of levels of the latent.")
    subsets: str = setting(
        "all",
        choices=("all", "full+singles", "sampled"),
        help="Posteriors that are trained: of all subsets, of all and of single modalities, or of a drawn one a row.",
    )
    beta: float = setting(1.0, low=0.0, help="Weight of the KLs of all levels; 1 gives a bound.")
    anneal: float = setting(0.0, low=0.0, help="Length of beta's growth from 0, in trainings (0: none).")


@final
@MODELS.register("mhvae")
class MHVAE(MultimodalVAE):
    """Hierarchical products of experts, for any number of modalities and any observation pattern."""

    name: ClassVar[str] = "mhvae"
    Settings: ClassVar[type] = MhvaeSettings
    facts: ClassVar[Facts] = Facts(
        title="MHVAE",
        references=(
            "Dorent et al., Unified Brain MR-Ultrasound Synthesis using Multi-Modal Hierarchical Representations, "
            "MICCAI 2023",
        ),
        joint="prod_l p(z_l|z_{>l}) q_s(z_l|s,z_{>l}) q_t(z_l|t,z_{>l})",
        additional="hierarchical latents",
        partial_test=True,
        partial_train_claims="not addressed; the released code trains on complete rows",
        partial_train_holds=True,
        partial_train_rule="ELBOs of the subsets of the observed modalities, each reconstructing all observed ones",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the hierarchical product",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {  # L = 7 of convolutional latents there, and Adamax with a cosine schedule
            "model": {"subsets": "full+singles", "anneal": 1.0},
            "arch": {"likelihood": "laplace", "rescale": "none"},
            "train": {"lr": 2e-3, "batch_size": 16, "epochs": 500, "steps": None},
        },
        "sampled": {"model": {"subsets": "sampled", "levels": 3}},
    }

    settings: MhvaeSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: MhvaeSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self.levels = levels_of(arch.latent_dim, settings.levels, model=self.name)
        dim, sizes = arch.latent_dim, [(part.stop, part.stop - part.start) for part in self.levels[:-1]]
        self.priors = nn.ModuleList(LevelNetwork(dim - stop, size) for stop, size in sizes)
        self.experts = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    LevelNetwork(dim - stop, size, features=self._trunk(name).features, scale=arch.posterior_scale)
                    for stop, size in sizes
                )
                for name in self.modalities
            }
        )

    @classmethod
    def coders(cls, modalities: Sequence[ModalitySpec], settings: Any, arch: Architecture) -> dict[str, Coder]:
        """Encoders of z_L's size, decoders of z_1's."""
        levels = levels_of(arch.latent_dim, settings.levels, model=cls.name)
        sizes = [part.stop - part.start for part in (levels[0], levels[-1])]
        found = {spec.name: build(spec, replace(arch, latent_dim=sizes[0])) for spec in modalities}
        if sizes[0] == sizes[1]:
            return found
        return {
            spec.name: Coder(build(spec, replace(arch, latent_dim=sizes[1])).encoder, found[spec.name].decoder)
            for spec in modalities
        }

    @property
    def follows_progress(self) -> bool:
        return self.settings.anneal > 0

    def prior(self) -> TopDownPrior:
        return TopDownPrior(self.levels, tuple(self.priors))

    def posterior(self, values: Mapping[str, Tensor]) -> TopDownPosterior:
        require_observed(self, values)
        return TopDownPosterior(self.prior(), tuple(self._expert(name, values[name]) for name in sorted(values)))

    def likelihood(self, name: str, z: Tensor) -> Likelihood:
        """p(x_name | z_1)."""
        return super().likelihood(name, z[..., self.levels[0]])

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        q = self.posterior(values)
        chosen = self._chosen(len(values), next(iter(values.values())), noise)
        z, apart = q.descend(chosen.shape[1], noise, chosen)
        scores = {name: self.log_likelihood(name, values[name], z).mean(0) for name in sorted(values)}
        kl = [value.mean(0) for value in apart]
        bound = torch.stack(list(scores.values())).sum(0) - self._beta(progress) * torch.stack(kl).sum(0)
        terms = {f"log_likelihood/{name}": score.detach().mean() for name, score in scores.items()}
        terms |= {f"kl/level {level}": value.detach().mean() for level, value in enumerate(kl, 1)}
        return Objective(-bound.mean(), terms)

    def _beta(self, progress: float) -> float:
        warm = 1.0 if self.settings.anneal == 0 else min(1.0, progress / self.settings.anneal)
        return self.settings.beta * warm

    def _expert(self, name: str, x: Tensor) -> Expert:
        """Features of the modality once, for all levels."""
        if len(self.levels) == 1:
            return Expert(self.gaussian(name, x))
        encoder, networks = self._trunk(name), tuple(self.experts[name].children())
        features = encoder.trunk(x)
        top = Gaussian(encoder.location(features), encoder.scale(features))
        return Expert(top, networks, [network.get_submodule("hint")(features) for network in networks])

    def _trunk(self, name: str) -> Encoder:
        encoder = self.encoders[name]
        if not isinstance(encoder, Encoder):
            raise CannotBear(
                f"networks {self.arch.networks!r} have no trunk for modality {name!r}, which model 'mhvae' needs above "
                "one level; use model.levels=1."
            )
        return encoder

    def _chosen(self, count: int, like: Tensor, noise: Noise) -> Tensor:
        """The subsets of the `count` observed modalities, in name order, that are trained: booleans `[count, n, B]`."""
        if self.settings.subsets == "sampled":
            return some_subsets(count, noise.uniform("subset", (1, len(like)))[0]).unsqueeze(1)
        found = subsets(count, like) if self.settings.subsets == "all" else full_and_singles(count, like)
        return found.unsqueeze(-1).expand(-1, -1, len(like))
