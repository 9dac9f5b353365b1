"""tELBO: the triple ELBO, one of a joint encoder and one of each modality (Vedantam, Fischer, Huang & Murphy,
Generative Models of Visually Grounded Imagination, ICLR 2018).

    L = ELBO(q(z|X); [M]) + sum_m ELBO(q_m; {m}),
    ELBO(q(z|X); [M]) = E[ sum_m lambda_m log p_m(x_m|z) ] - beta KL(q(z|X) || N(0, I)),
    ELBO(q_m; {m})    = gamma E[ lambda_m log p_m(x_m|z) ] - beta KL(q_m(z|x_m) || N(0, I)).

Only the joint ELBO is meant to train the decoders: what a modality alone can explain must not shape them. `training`:

    stop-gradient (default)  one stage; the decoders are held fixed in the ELBOs of single modalities, whose gradient
                             still passes through them to z and to q_m;
    stages                   first the joint ELBO (joint encoder and decoders), then the ELBOs of single modalities
                             (their encoders; all else is frozen);
    joint                    one stage in which every ELBO trains the decoders, the default of the released code, whose
                             flags for the stop-gradient are off.

The released code weights the likelihood of its attribute vector by 50. That is a weight of one kind of data and maps to
no pair of images; lambda_m is `arch.rescale` here, and gamma one number for all modalities.

Each ELBO is a bound for beta = gamma = lambda = 1, on log p(X) and on log p(x_m); their sum is none on log p(X).

The paper trains on complete rows. Here, after the released code's mask of the ELBOs of a row, a row that holds only
some modalities has the ELBOs of each of these and no joint one, and in the first stage its loss is the constant zero.
Under stop-gradient such rows train the q_m alone.

Given S: all modalities by the joint encoder, one by its own. What lies between is undefined in the source: the product
of the q_m of S, which counts the prior |S| times (`subsets=product`, default), or a refusal (`subsets=refuse`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mmbench.config import setting
from mmbench.errors import CannotBear, InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, Stage, require_observed
from mmbench.models.likelihoods import likelihood_of, output_shape
from mmbench.models.networks import Coder
from mmbench.models.networks.joint import JointEncoder
from mmbench.models.posteriors import Distribution, Gaussian, kl_standard, product, standard_normal
from mmbench.seeding import Noise

__all__ = ["TELBO", "TelboSettings"]

PARTS = {"main": ("joint", "single"), "joint": ("joint",), "single": ("single",)}
"""Which ELBOs a stage maximises: that of the joint encoder, those of single modalities, or both."""

JOINT = "joint encoder"
"""The joint encoder's role in noise and terms; no modality's name has a space."""


@dataclass(frozen=True)
class TelboSettings:
    """Who trains the decoders, weights, and inference from some of the modalities."""

    training: str = setting(
        "stop-gradient",
        choices=("stop-gradient", "stages", "joint"),
        help="ELBOs of single modalities hold the decoders fixed, follow in a second stage, or train them too.",
    )
    beta: float = setting(1.0, low=0.0, help="Weight of every KL; 1 gives bounds.")
    gamma: float = setting(1.0, low=0.0, help="Weight of the log likelihood in the ELBOs of single modalities.")
    subsets: str = setting(
        "product",
        choices=("product", "refuse"),
        help="Posterior of several but not all modalities; the source has none.",
    )


@final
@MODELS.register("telbo")
class TELBO(MultimodalVAE):
    """Joint encoder and encoders of single modalities, for any number of modalities and any observation pattern."""

    name: ClassVar[str] = "telbo"
    Settings: ClassVar[type] = TelboSettings
    facts: ClassVar[Facts] = Facts(
        title="tELBO",
        references=("Vedantam et al., Generative Models of Visually Grounded Imagination, ICLR 2018",),
        joint="q(z|s,t)",
        additional="q(z|s), q(z|t)",
        partial_test=True,
        partial_train_claims="no; the released code masks the ELBOs of a row",
        partial_train_holds=True,
        partial_train_rule="the ELBO of each observed modality, the joint one on complete rows only",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the joint encoder, a modality's own, or the product of several",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "model": {"training": "joint"},
            "arch": {"latent_dim": 10, "likelihood": "bernoulli"},
            "train": {"lr": 1e-4},
        },
        "stages": {"model": {"training": "stages"}},
    }

    settings: TelboSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: TelboSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self.joint: nn.Module = JointEncoder(modalities, arch, arch.latent_dim)
        if settings.training == "stages":
            self.stages = (Stage("joint", 0.5, ("joint", "decoders")), Stage("single", 0.5, ("encoders",)))

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian:
        require_observed(self, values)
        if len(values) == len(self.modalities):
            return Gaussian(*self.joint(values))
        if len(values) > 1 and self.settings.subsets == "refuse":
            raise CannotBear(
                f"model 'telbo' has no posterior given only {', '.join(sorted(values))}: its source defines one of all "
                "modalities and one of each alone; model.subsets=product multiplies the latter."
            )
        experts = [self.gaussian(name, values[name]) for name in sorted(values)]
        return experts[0] if len(experts) == 1 else product(experts, prior_expert=False)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        if stage not in PARTS:
            raise InvalidSetting(f"model 'telbo' has no stage {stage!r}; it has {', '.join(PARTS)}.")
        elbos: list[Tensor] = []
        terms: dict[str, Tensor] = {}
        if "joint" in PARTS[stage] and len(values) == len(self.modalities):
            q = Gaussian(*self.joint(values))
            z = q.rsample(1, noise.child(JOINT))
            scores = [self.log_likelihood(name, values[name], z)[0] for name in sorted(values)]
            elbos.append(self._elbo(JOINT, q, torch.stack(scores).sum(0), terms))
        for name in sorted(values) if "single" in PARTS[stage] else []:
            q = self.gaussian(name, values[name])
            score = self._own_score(name, values[name], q.rsample(1, noise.child(name)))
            elbos.append(self._elbo(name, q, self.settings.gamma * score, terms))
        if not elbos:
            return Objective(next(self.parameters()).new_zeros(()))
        return Objective(-torch.stack(elbos).sum(0).mean(), terms)

    def _elbo(self, role: str, q: Gaussian, reconstruction: Tensor, terms: dict[str, Tensor]) -> Tensor:
        """The ELBO of each row `[B]`; its parts are added to `terms`."""
        kl = kl_standard(q)
        elbo = reconstruction - self.settings.beta * kl
        terms[f"elbo/{role}"], terms[f"kl/{role}"] = elbo.detach().mean(), kl.detach().mean()
        return elbo

    def _own_score(self, name: str, x: Tensor, z: Tensor) -> Tensor:
        """Weighted log likelihood of a modality at its own sample z `[1, B, D]`: `[B]`.

        Unless `training=joint` the decoder's weights are constants here, so that the gradient goes to z alone.
        """
        if self.settings.training == "joint":
            return self.log_likelihood(name, x, z)[0]
        decoder = self.decoders[name]
        constants = {key: weight.detach() for key, weight in decoder.named_parameters()}
        output: Tensor = functional_call(decoder, constants, (z[0],))
        output = output.reshape(1, len(x), *output_shape(self.modalities[name]))
        likelihood = likelihood_of(self.modalities[name], self.arch.likelihood, self.arch.scale, output)
        return self.weights[name] * likelihood.log_prob(x)[0]
