"""VAE: one variational autoencoder for each modality, nothing shared (Kingma & Welling, Auto-Encoding Variational
Bayes, ICLR 2014). With one modality it is the plain VAE.

    L = sum_m ELBO(q_m; {m}),    ELBO(q; {m}) = E_q[ lambda_m log p_m(x_m|z) ] - beta KL(q(z|x_m) || N(0, I)),

with the KL in closed form and one sample of q. `objective=iwae` replaces each ELBO by the importance-weighted bound of
Burda et al. (Importance Weighted Autoencoders, ICLR 2016, eq. 8), which is tighter with every further sample:

    IWAE_K = E_{z_1..z_K ~ q}[ LME_k( lambda_m log p_m(x_m|z_k) + log p(z_k) - log q(z_k|x_m) ) ].

For beta = 1 and lambda = 1 each term is a bound on log p_m(x_m), exact where q is the posterior; L is then a bound on
the likelihood of a model in which the modalities are independent, and no bound on the log p(X) of a shared latent.

It is here as a reference. What other models reach in the likelihood and in the latent of a single modality is held
against it. Its latents are not aligned, so that a sample of one modality's posterior, decoded by another's decoder, has
the coherence of chance: the floor of that score. Independent VAEs have no joint posterior: several modalities at once
are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.errors import CannotBear, InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.bounds import effective_sample_size, log_mean_exp
from mmbench.models.carrying import chosen_scores, rows_are_independent
from mmbench.models.networks import Coder
from mmbench.models.posteriors import Distribution, Gaussian, kl_standard, standard_normal
from mmbench.seeding import Noise

__all__ = ["VAE", "VaeSettings"]


@dataclass(frozen=True)
class VaeSettings:
    """Bound, samples and the weight of the KL."""

    objective: str = setting(
        "elbo", choices=("elbo", "iwae"), help="ELBO with closed-form KL, or the importance-weighted bound."
    )
    k: int = setting(5, low=1, help="K, samples of the importance-weighted bound (elbo uses one).")
    beta: float = setting(1.0, low=0.0, help="Weight of the KL in the ELBO; 1 gives bounds.")


@final
@MODELS.register("vae")
class VAE(MultimodalVAE):
    """Independent VAEs, for any number of modalities and any observation pattern."""

    name: ClassVar[str] = "vae"
    Settings: ClassVar[type] = VaeSettings
    facts: ClassVar[Facts] = Facts(
        title="VAE",
        references=(
            "Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014",
            "Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016",
        ),
        joint="none",
        additional="-",
        partial_test=False,
        partial_train_claims="not applicable: a model of one modality",
        partial_train_holds=True,
        partial_train_rule="nothing is shared: each modality learns from the rows that hold it",
        modalities_max=None,
        density="single modalities",
        density_rule="importance sampling from the modality's own posterior; no joint posterior, as nothing is shared",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {"arch": {"likelihood": "bernoulli"}, "train": {"batch_size": 100}},
        "iwae": {"model": {"objective": "iwae"}},
    }

    settings: VaeSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: VaeSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        if settings.objective == "iwae" and settings.beta != 1:
            raise InvalidSetting("model.objective=iwae has no KL to weight: use model.beta=1, or model.objective=elbo.")

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian:
        require_observed(self, values)
        if len(values) > 1:
            raise CannotBear(
                f"model 'vae' has no joint posterior given {', '.join(sorted(values))}: its modalities are independent "
                "and share no latent; ask for one modality at a time."
            )
        ((name, x),) = values.items()
        return self.gaussian(name, x)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        bounds: list[Tensor] = []
        terms: dict[str, Tensor] = {}
        for name in self.modalities:
            if name in values:
                bound = self._elbo if self.settings.objective == "elbo" else self._iwae
                value, found = bound(name, values[name], noise.child(name))
                bounds.append(value)
                terms |= {f"{term}/{name}": number.detach().mean() for term, number in found.items()}
        return Objective(-torch.stack(bounds).sum(0).mean(), terms)

    def _elbo(self, name: str, x: Tensor, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """The ELBO of each row `[B]`, and its terms."""
        q = self.gaussian(name, x)
        reconstruction = self.log_likelihood(name, x, q.rsample(1, noise))[0]
        kl = kl_standard(q)
        elbo = reconstruction - self.settings.beta * kl
        return elbo, {"elbo": elbo, "log_likelihood": reconstruction, "kl": kl}

    def _iwae(self, name: str, x: Tensor, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """The importance-weighted bound of each row `[B]`, and its terms."""
        q = self.gaussian(name, x)
        z = q.rsample(self.settings.k, noise)

        def score(some: Tensor, rows: Tensor) -> Tensor:
            return self.log_likelihood(name, x[rows], some) + self.prior().log_prob(some) - q.rows(rows).log_prob(some)

        log_weights, _ = chosen_scores(
            score,
            z,
            self.execution,
            independent=rows_are_independent(self.decoders[name]),
            uniform=lambda: noise.uniform("differentiated", (1, len(x))),
        )
        bound = log_mean_exp(log_weights)
        return bound, {"iwae": bound, "ess": effective_sample_size(log_weights.detach())}
