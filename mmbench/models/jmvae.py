"""JMVAE: a joint encoder, and encoders of single modalities that are drawn to it (Suzuki, Nakayama & Matsuo, Joint
Multimodal Learning with Deep Generative Models, 2016, arXiv:1611.01891).

`variant=kl`, with a joint encoder q(z|X) and one encoder q_m(z|x_m) a modality:

    L = ELBO(q(z|X); [M]) - alpha sum_m KL( q(z|X) || q_m(z|x_m) ),
    ELBO(q; [M]) = E_q[ sum_m lambda_m log p_m(x_m|z) ] - beta KL(q || N(0, I)).

The joint posterior stands first in the second KL, and its gradient flows into the joint encoder too: a large alpha
drags the joint posterior to what each modality alone can explain. For a fixed joint encoder the best Gaussian q_m is
its moment match, the mean E[mu(X) | x_m] and variance E[sigma^2(X) | x_m] + Var[mu(X) | x_m]. For beta = 1, lambda = 1
and alpha >= 0, L is a bound on log p(X).

`variant=zero` maximises the ELBO of the joint encoder alone, and shows it zeros in place of what is missing at test
time: inputs that it never met in training. It has no encoders of single modalities.

Given S: all modalities by the joint encoder, one by its own. Neither paper nor released code says what to do in
between; here, as in the MultiVae library, it is the product of the q_m of S. Each q_m stands for a whole posterior, so
that this product counts the prior |S| times; it is not corrected.

alpha is 1 by default, as in the released script; the paper's own value could not be verified. The MultiVae library
uses 0.1 (preset `multivae`), and in its first 10 epochs multiplies both KL terms by a factor that grows from 0, as
`anneal` does over a share of the training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from mmbench.config import setting
from mmbench.errors import CannotBear
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.networks import Coder
from mmbench.models.networks.joint import JointEncoder
from mmbench.models.posteriors import Distribution, Gaussian, kl_gaussian, kl_standard, product, standard_normal
from mmbench.seeding import Noise

__all__ = ["JMVAE", "JmvaeSettings"]


@dataclass(frozen=True)
class JmvaeSettings:
    """Variant and weights of the KL terms."""

    variant: str = setting(
        "kl",
        choices=("kl", "zero"),
        help="Encoders of single modalities, or zeros for missing inputs of the joint one.",
    )
    alpha: float = setting(1.0, low=0.0, help="Weight of KL(q(z|X) || q_m(z|x_m)) in variant kl.")
    beta: float = setting(1.0, low=0.0, help="Weight of the KL to the prior; 1 gives a bound.")
    anneal: float = setting(
        0.0, low=0.0, help="Length of the growth of both KL weights from 0, in trainings (0: none)."
    )


@final
@MODELS.register("jmvae")
class JMVAE(MultimodalVAE):
    """Joint encoder with surrogates of single modalities, for any number of modalities, on complete rows."""

    name: ClassVar[str] = "jmvae"
    Settings: ClassVar[type] = JmvaeSettings
    facts: ClassVar[Facts] = Facts(
        title="JMVAE",
        references=(
            "Suzuki, Nakayama & Matsuo, Joint Multimodal Learning with Deep Generative Models, 2016, arXiv:1611.01891",
        ),
        joint="q(z|s,t)",
        additional="q(z|s), q(z|t)",
        partial_test=True,
        partial_train_claims="no",
        partial_train_holds=False,
        partial_train_rule="the joint encoder needs complete rows",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the joint encoder, a modality's own, or the product of several",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "arch": {"latent_dim": 64, "likelihood": "bernoulli"},
            "train": {"batch_size": 100, "epochs": 100, "steps": None},
        },
        "zero": {"model": {"variant": "zero"}},
        "multivae": {"model": {"alpha": 0.1}},
    }

    settings: JmvaeSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: JmvaeSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self.joint: nn.Module = JointEncoder(modalities, arch, arch.latent_dim)
        if settings.variant == "zero":
            self.encoders = nn.ModuleDict()

    @property
    def follows_progress(self) -> bool:
        return self.settings.anneal > 0

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian:
        require_observed(self, values)
        if self.settings.variant == "zero" or len(values) == len(self.modalities):
            return self._joint(values)
        experts = [self.gaussian(name, values[name]) for name in sorted(values)]
        return experts[0] if len(experts) == 1 else product(experts, prior_expert=False)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        reason = self.cannot_bear(sorted(values))
        if reason:
            raise CannotBear(f"{reason}: {self.facts.partial_train_rule}.")
        q = self._joint(values)
        z = q.rsample(1, noise.child("joint encoder"))
        scores = {name: self.log_likelihood(name, values[name], z)[0] for name in sorted(values)}
        kl = kl_standard(q)
        warm = self._warm(progress)
        elbo = torch.stack(list(scores.values())).sum(0) - warm * self.settings.beta * kl
        apart = {name: kl_gaussian(q, self.gaussian(name, values[name])) for name in self.encoders}
        bound = elbo - warm * self.settings.alpha * sum(apart.values(), torch.zeros_like(elbo))
        terms = {"elbo": elbo.detach().mean(), "kl": kl.detach().mean()}
        terms |= {f"log_likelihood/{name}": score.detach().mean() for name, score in scores.items()}
        terms |= {f"kl/{name}": value.detach().mean() for name, value in apart.items()}
        return Objective(-bound.mean(), terms)

    def _warm(self, progress: float) -> float:
        return 1.0 if self.settings.anneal == 0 else min(1.0, progress / self.settings.anneal)

    def _joint(self, values: Mapping[str, Tensor]) -> Gaussian:
        return Gaussian(*self.joint(values))
