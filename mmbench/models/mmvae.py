"""MMVAE: a mixture of experts (Shi et al., Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative
Models, NeurIPS 2019).

q(z|X) = (1/M) sum_m q_m(z|x_m). Samples are stratified: K from every expert, z_{r,k} ~ q_r, with the log weight

    lw(z) = log p(z) + sum_m lambda_m log p_m(x_m|z) - log q(z|X),       q the density of the mixture.

    tight  iwae:  E[ LME over (r, k) of lw ]          looser iwae:  E[ (1/M) sum_r LME_k lw(z_{r,k}) ]
    elbo:         looser with K = 1                   naive:        (1/M) sum_r { E_{q_r} sum_m log p_m - KL(q_r||p) }

In expectation naive <= elbo <= looser <= tight <= log p(X) (for lambda = 1); looser <= tight holds sample by sample.

`dreg` detaches the posteriors' parameters inside log q and multiplies the gradient that reaches z by the normalised
weight once more (Tucker et al. 2019). With several experts this is *biased* for K > 1, and for every K in the tight
form: the identity behind it needs the sampled density and the weight's denominator to be the same, and here z_r ~ q_r
while the weight has the mixture (looser with K = 1 is unbiased, as its single weight is constant). The released code
registers its hook on a copy of z, where it never fires; `dreg-released` is what it trains in effect: the posteriors
detached, the weight applied once. The default is `iwae` with autodiff.

Training on rows with some modalities missing is not in the source; here the mixture and the sum are restricted to the
observed ones.
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
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.bounds import doubly_reparametrised
from mmbench.models.carrying import rows_are_independent
from mmbench.models.networks import Coder
from mmbench.models.posteriors import (
    Diagonal,
    DiagonalPrior,
    Distribution,
    Gaussian,
    Normalised,
    kl_gaussian,
    mixture,
)
from mmbench.models.stratified import stratified_objective, stratified_scores
from mmbench.seeding import Noise

__all__ = ["MMVAE", "MmvaeSettings"]


@dataclass(frozen=True)
class MmvaeSettings:
    """Bound, samples and family."""

    objective: str = setting(
        "iwae", choices=("elbo", "iwae", "dreg", "dreg-released", "naive"), help="The bound and its gradient."
    )
    looser: bool = setting(True, help="Mean over experts of each one's bound; false: one tight bound over all samples.")
    k: int = setting(5, low=1, help="K, samples of each expert (elbo uses one).")
    family: str = setting("normal", choices=("normal", "laplace"), help="Family of posteriors and prior.")
    learn_prior: bool = setting(False, help="Learn the prior's scale (D * softmax), as the released code does.")


@final
@MODELS.register("mmvae")
class MMVAE(MultimodalVAE):
    """Mixture of experts with stratified importance-weighted bounds, for any number of modalities."""

    name: ClassVar[str] = "mmvae"
    Settings: ClassVar[type] = MmvaeSettings
    facts: ClassVar[Facts] = Facts(
        title="MMVAE",
        references=(
            "Shi et al., Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models, "
            "NeurIPS 2019",
        ),
        joint="q(z|s) + q(z|t)",
        additional="-",
        partial_test=True,
        partial_train_claims="no",
        partial_train_holds=True,
        partial_train_rule="mixture and likelihoods restricted to the observed modalities (not in the source)",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling, stratified over experts",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "model": {"objective": "dreg-released", "looser": True, "k": 30, "family": "laplace", "learn_prior": True},
            "arch": {
                "networks": "paper",
                "latent_dim": 20,
                "scale": 0.75,
                "rescale": "largest",
                "posterior_scale": "softmax",
            },
            "train": {"lr": 1e-3, "batch_size": 128, "epochs": 30, "steps": None, "amsgrad": True},
            "data": {"pairs": 30},
        },
    }

    settings: MmvaeSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: MmvaeSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        if settings.objective == "naive" and settings.family != "normal":
            raise InvalidSetting("model.objective=naive has a closed-form KL for model.family=normal only.")
        self.prior_raw_scale = nn.Parameter(torch.zeros(arch.latent_dim), requires_grad=settings.learn_prior)

    def prior(self) -> Distribution:
        scale = self._prior_scale()
        name = "learned" if self.settings.learn_prior else "standard"
        return DiagonalPrior(f"{name} {self.settings.family}", self.settings.family, torch.zeros_like(scale), scale)

    def posterior(self, values: Mapping[str, Tensor]) -> Normalised:
        require_observed(self, values)
        return mixture([self.encode(name, x, self.settings.family) for name, x in values.items()])

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        experts = {n: self.encode(n, values[n], self.settings.family) for n in self.modalities if n in values}
        k = 1 if self.settings.objective == "elbo" else self.settings.k
        z = torch.stack([q.rsample(k, noise.child(name)) for name, q in experts.items()])
        if self.settings.objective == "naive":
            return self._naive(values, experts, z)
        detached = self.settings.objective.startswith("dreg")
        gate = doubly_reparametrised(z) if self.settings.objective == "dreg" else None
        used = {name: q.detached() for name, q in experts.items()} if detached else experts
        log_weights = self._log_weights(values, used, z, noise)
        return stratified_objective(log_weights, over_experts=not self.settings.looser, detached=detached, gate=gate)

    def _log_weights(
        self, values: Mapping[str, Tensor], experts: Mapping[str, Diagonal], z: Tensor, noise: Noise
    ) -> Tensor:
        """lw `[E, K, B]` at z `[E, K, B, D]`, differentiable in the samples that carry weight in the bound."""

        def score(some: Tensor, index: Tensor) -> Tensor:
            return self._scores(
                {n: x[index] for n, x in values.items()}, {n: q.rows(index) for n, q in experts.items()}, some
            )

        return stratified_scores(
            score,
            z,
            self.execution,
            over_experts=not self.settings.looser,
            independent=rows_are_independent(*(self.decoders[name] for name in values)),
            noise=noise,
        )

    def _likelihoods(self, values: Mapping[str, Tensor], z: Tensor) -> dict[str, Tensor]:
        """Weighted log likelihood of each observed modality at z `[E, K, B, D]`: `[E, K, B]`, one call a decoder."""
        flat = z.flatten(0, 1)
        return {name: self.log_likelihood(name, x, flat).reshape(z.shape[:3]) for name, x in values.items()}

    def _scores(self, values: Mapping[str, Tensor], experts: Mapping[str, Diagonal], z: Tensor) -> Tensor:
        """lw `[K, B]` at z `[K, B, D]`, whichever expert it was drawn from."""
        log_ratio = self.prior().log_prob(z) - mixture(list(experts.values())).log_prob(z)
        return log_ratio + torch.stack([self.log_likelihood(name, x, z) for name, x in values.items()]).sum(0)

    def _naive(self, values: Mapping[str, Tensor], experts: Mapping[str, Diagonal], z: Tensor) -> Objective:
        scale = self._prior_scale()
        prior = Gaussian(torch.zeros_like(scale), scale)
        kl = torch.stack([kl_gaussian(q, prior) for q in experts.values() if isinstance(q, Gaussian)]).mean(0)
        reconstruction = torch.stack(list(self._likelihoods(values, z).values())).sum(0).mean((0, 1))
        terms = {"log_likelihood": reconstruction.detach().mean(), "kl": kl.detach().mean()}
        return Objective(-(reconstruction - kl).mean(), terms)

    def _prior_scale(self) -> Tensor:
        return self.prior_raw_scale.softmax(0) * len(self.prior_raw_scale)
