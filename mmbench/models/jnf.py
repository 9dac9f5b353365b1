"""JNF: a joint VAE first, then a normalising flow for each modality's posterior (Senellart, Chadebec & Allassonniere,
Improving Multimodal Joint Variational Autoencoders through Normalizing Flows and Correlation Analysis, 2023).

Two stages, each of `share` and 1 - `share` of the steps; the second leaves what the first has learned as it is:

    joint       max  E_{q(z|X)}[ sum_m lambda_m log p_m(x_m|z) ] - beta KL(q(z|X) || N(0, I));
    unimodal    max  sum_m E_{q(z|X)}[ log q_m(z|x_m) ]  =  - sum_m KL(q(z|X) || q_m(z|x_m)) + const.,
                log q_m(z|x_m) = log N(F_m(z); mu_m(x_m), diag sigma_m(x_m)^2) + log |det dF_m/dz|.

F_m is a flow of its own for each modality, the same for all its rows: only the Gaussian depends on x_m (see `flows`).
The first objective is a bound on log p(X) for beta = lambda = 1, the second trains inference alone and bounds nothing.
It is JMVAE's second term, without its pull on the joint encoder; with `flow=none` the optimal q_m has the mean and the
variance of the joint posterior averaged over the rows with this x_m, and is p(z|x_m) where that is Gaussian.

Given S: all modalities by the joint encoder, one by its flow. What lies between is, for modalities that are independent
given z,

    q(z|x_S)  proportional to  prod_{m in S} q_m(z|x_m) / p(z)^(|S|-1),

which has no density that is known, and is sampled by Hamiltonian Monte Carlo (`several=hmc`, see `hmc`); likelihoods
are importance-sampled from the mixture of the q_m of S instead. That mixture can also be the posterior itself
(`several=mixture`): much cheaper, and as wide as its widest part.

The quotient takes for granted that the q_m come from the prior that it divides by. Where the first stage has left the
joint posteriors far outside, it rewards what lies further out, and a flow's tails need not stop it: the product may
have no finite integral, and longer chains drift. On `digits-text` after 1500 steps, latents of 16 dimensions and a mean
norm of 7.4 (4 under the prior) become 8.4 to 8.9 in 20 transitions and 9.2 to 11.0 in 100.

Cost of `hmc`: each of `hmc_steps` transitions takes `hmc_leapfrogs` passes through all flows of S and back. With
`flow=maf` a sample of one q_m takes D passes, which also start the chains; in many dimensions `flow=coupling` is
cheaper.

What is followed: `multivae`, the library of the first author (Senellart et al. 2023 and 2025, arXiv:2502.03952); the
paper's text was not at hand. Its MAF of two transforms, each with three hidden layers of 128, is the default, as is one
half of the training for each stage. It differs in the posterior given several modalities: it divides by p(z) once
whatever |S| is, which is right for two; its chains take 100 transitions of 10 steps of a fixed 0.01, and start from the
Gaussians without the flows. Here a chain starts from one of 16 samples of each q_m of S, drawn by their weights in the
product, and its step fits itself. It keeps the best weights of a stage by a validation loss, mmbench the last ones. The
paper's second model, whose flows see features of a canonical correlation analysis, is not here.

Complete rows are needed: the joint encoder takes no others, and what the flows learn from is its posterior.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast, final

import torch
from torch import Tensor, nn

from mmbench.config import setting
from mmbench.errors import CannotBear, InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, Stage, require_observed
from mmbench.models.flows import FLOWS, Flow, FlowPosterior
from mmbench.models.hmc import Chains, hamiltonian
from mmbench.models.networks import Coder
from mmbench.models.networks.joint import JointEncoder
from mmbench.models.posteriors import Distribution, Gaussian, Posterior, kl_standard, mixture, standard_normal
from mmbench.seeding import Noise

__all__ = ["JNF", "JnfSettings", "SampledProduct"]

STAGES = ("joint", "unimodal")
JOINT = "joint encoder"
"""The joint encoder's role in noise; no modality's name has a space."""

GUESSES = 16
"""Samples of each q_m that the chains start from and are scaled by."""


@dataclass(frozen=True)
class JnfSettings:
    """Stages, flows, and inference from some of the modalities."""

    beta: float = setting(1.0, low=0.0, help="Weight of the KL in the first stage; 1 gives a bound.")
    share: float = setting(0.5, low=0.01, high=0.99, help="Share of the steps that the first stage takes.")
    flow: str = setting("maf", choices=FLOWS, help="Flow of each modality: autoregressive, coupling, or the identity.")
    transforms: int = setting(2, low=1, help="Transforms that a flow is composed of.")
    hidden: int = setting(128, low=1, help="Width of the networks in a flow.")
    layers: int = setting(3, low=1, help="Hidden layers of each network in a flow.")
    several: str = setting(
        "hmc",
        choices=("hmc", "mixture"),
        help="Posterior of several but not all modalities: their product by Monte Carlo, or their mixture.",
    )
    hmc_steps: int = setting(20, low=1, help="Transitions of each chain; half of them fit its step.")
    hmc_leapfrogs: int = setting(5, low=1, help="Leapfrog steps of each transition.")


@final
@MODELS.register("jnf")
class JNF(MultimodalVAE):
    """A joint VAE and a flow posterior of each modality, for any number of modalities, on complete rows."""

    name: ClassVar[str] = "jnf"
    Settings: ClassVar[type] = JnfSettings
    stages = (Stage("joint", 0.5, ("joint", "decoders")), Stage("unimodal", 0.5, ("encoders", "flows")))
    facts: ClassVar[Facts] = Facts(
        title="JNF",
        references=(
            "Senellart, Chadebec & Allassonniere, Improving Multimodal Joint Variational Autoencoders through "
            "Normalizing Flows and Correlation Analysis, 2023, arXiv:2305.11832",
            "Senellart & Allassonniere, Bridging the Inference Gap in Multimodal Variational Autoencoders, 2025, "
            "arXiv:2502.03952",
        ),
        joint="q(z|s,t)",
        additional="flows q(z|s), q(z|t)",
        partial_test=True,
        partial_train_claims="no",
        partial_train_holds=False,
        partial_train_rule="the joint encoder needs complete rows, and the flows learn from its posterior",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the joint encoder, a modality's flow, or the mixture of several flows",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "arch": {"networks": "paper", "latent_dim": 512, "likelihood": "laplace", "scale": 0.75},
            "train": {"lr": 1e-3, "batch_size": 256, "epochs": 800, "steps": None},
        },
        "coupling": {"model": {"flow": "coupling"}},
        "gaussian": {"model": {"flow": "none", "several": "mixture"}},
    }

    settings: JnfSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: JnfSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self.joint: nn.Module = JointEncoder(modalities, arch, arch.latent_dim)
        s = settings
        self.flows = nn.ModuleDict(
            {
                name: Flow(s.flow, arch.latent_dim, transforms=s.transforms, hidden=s.hidden, layers=s.layers)
                for name in sorted(self.modalities)
            }
        )
        trained = ("encoders",) if s.flow == "none" else ("encoders", "flows")
        self.stages = (
            Stage("joint", s.share, ("joint", "decoders")),
            Stage("unimodal", 1 - s.share, trained),
        )

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        require_observed(self, values)
        if len(values) == len(self.modalities):
            return Gaussian(*self.joint(values))
        experts = {name: self._alone(name, values[name]) for name in sorted(values)}
        if len(experts) == 1 or self.settings.several == "mixture":
            return mixture(list(experts.values()))
        return SampledProduct(experts, self.prior(), self.settings.hmc_steps, self.settings.hmc_leapfrogs)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        """Without a stage, the sum of both stages' objectives."""
        require_observed(self, values)
        if reason := self.cannot_bear(sorted(values)):
            raise CannotBear(f"{reason}: {self.facts.partial_train_rule}.")
        if stage not in ("main", *STAGES):
            raise InvalidSetting(f"model 'jnf' has no stage {stage!r}; it has {', '.join(STAGES)}.")
        terms: dict[str, Tensor] = {}
        parts = {"joint": self._elbo, "unimodal": self._log_posteriors}
        taken = parts.values() if stage == "main" else (parts[stage],)
        bounds = [part(values, noise.child(JOINT), terms) for part in taken]
        return Objective(-torch.stack(bounds).sum(0).mean(), terms)

    def _elbo(self, values: Mapping[str, Tensor], noise: Noise, terms: dict[str, Tensor]) -> Tensor:
        """ELBO of the joint encoder, `[B]`."""
        q = Gaussian(*self.joint(values))
        z = q.rsample(1, noise)
        scores = {name: self.log_likelihood(name, values[name], z)[0] for name in sorted(values)}
        kl = kl_standard(q)
        elbo = torch.stack(list(scores.values())).sum(0) - self.settings.beta * kl
        terms |= {"elbo": elbo.detach().mean(), "kl": kl.detach().mean()}
        terms |= {f"log_likelihood/{name}": score.detach().mean() for name, score in scores.items()}
        return elbo

    def _log_posteriors(self, values: Mapping[str, Tensor], noise: Noise, terms: dict[str, Tensor]) -> Tensor:
        """sum_m log q_m(z|x_m) at a sample of the joint posterior, which is held fixed: `[B]`."""
        with torch.no_grad():
            q = Gaussian(*self.joint(values))
            z = q.rsample(1, noise)
            ours = q.log_prob(z)[0]
        found = {name: self._alone(name, values[name]).log_prob(z)[0] for name in sorted(values)}
        terms |= {f"kl/{name}": (ours - value).detach().mean() for name, value in found.items()}
        return torch.stack(list(found.values())).sum(0)

    def _alone(self, name: str, x: Tensor) -> FlowPosterior:
        """q_m(z | x_m)."""
        return FlowPosterior(self.gaussian(name, x), cast(Flow, self.flows[name]))


@final
@dataclass(frozen=True)
class SampledProduct(Posterior):
    """prod_m q_m(z|x_m) / p(z)^(E-1) of E experts, by its samples alone; they carry no gradient.

    Attributes:
        experts: by name; the samples do not depend on their order.
        prior: standard normal.
        steps, leapfrogs: of each chain (see `hamiltonian`).
    """

    experts: Mapping[str, FlowPosterior]
    prior: Distribution
    steps: int
    leapfrogs: int

    def log_density(self, z: Tensor) -> Tensor:
        """Of z `[K, B, D]`, up to a constant a row: `[K, B]`."""
        return self._product(z, self._densities(z))

    def rsample(self, k: int, noise: Noise) -> Tensor:
        return self.chains(k, noise).z

    def chains(self, k: int, noise: Noise) -> Chains:
        """K chains for each row."""
        with torch.no_grad():
            samples = torch.stack([q.rsample(GUESSES, noise.child(name)) for name, q in sorted(self.experts.items())])
            start = self._resampled(samples.flatten(0, 1), noise.uniform("start", (k, samples.shape[2])))
        return hamiltonian(
            self.log_density,
            start,
            _scale(samples),
            steps=self.steps,
            leapfrogs=self.leapfrogs,
            noise=noise.child("chains"),
        )

    def _densities(self, z: Tensor) -> Tensor:
        """Log density of z `[K, B, D]` under each expert, `[E, K, B]`."""
        return torch.stack([q.log_prob(z) for q in self.experts.values()])

    def _product(self, z: Tensor, densities: Tensor) -> Tensor:
        return densities.sum(0) - (len(densities) - 1) * self.prior.log_prob(z)

    def _resampled(self, z: Tensor, uniform: Tensor) -> Tensor:
        """Samples z `[N, B, D]` of the experts' mixture, drawn `[K, B]` times by their weights in the product."""
        densities = self._densities(z)
        weights = (self._product(z, densities) - densities.logsumexp(0)).softmax(0)
        index = (weights.cumsum(0).unsqueeze(1) < uniform).sum(0).clamp(max=len(z) - 1)
        return z.gather(0, index.unsqueeze(-1).expand(*index.shape, z.shape[-1]))


def _scale(samples: Tensor) -> Tensor:
    """Width `[B, D]` of the product if each expert were the diagonal Gaussian of its samples `[E, N, B, D]`.

    Never wider than any of them.
    """
    precisions = 1 / samples.var(1).clamp(min=1e-8)
    return (precisions.sum(0) - (len(precisions) - 1)).maximum(precisions.amax(0)).rsqrt()
