"""DMVAE: a shared latent that every modality can give alone, and private ones (Lee & Pavlovic, Private-Shared
Disentangled Multimodal VAE for Learning of Latent Representations, CVPR Workshops 2021; released code seqam-lab/DMVAE).

The latent is [z | w_1 .. w_M] with the prior N(0, I), z shared and w_m private to modality m, which its decoder reads
beside z. Each encoder gives an expert of its own, q_m(z|x_m), and q_m(w_m|x_m). The sources of z are the M experts and
their product with the prior,

    q_s(z) for s in O + {P}:    q_m(z|x_m) for m in O,    q_P(z) = N(0, I) prod_{m in O} q_m(z|x_m), normalised,

and every modality is reconstructed from every source, always with its own private code:

    R_s = sum_{m in O} lambda_m E[ log p_m(x_m|z, w_m) ],    z ~ q_s(z),  w_m ~ q_m(w_m|x_m),
    L = sum_s { R_s - c beta KL(q_s(z) || N(0, I)) - beta_w sum_{m in O} KL(q_m(w_m|x_m) || N(0, I)) },

where O are the modalities that a row holds, all M for complete rows. The forms:

* `paper`: c = |O|. The M (M+1) pairs of a source and a target each pay for both of their latents, so that every pair
  is an ELBO of its target alone: for beta = beta_w = lambda = 1, L is at most (|O|+1) sum_m log p(x_m).
* `multivae`: c = 1, as in the package of that name. Each source has the ELBO of all that is observed, and L is at most
  (|O|+1) log p(x_O).
* `released`: c = |O|, and R_P = 0: the released code computes the reconstructions from the product and then puts zero
  in their place, but keeps their KLs, which draw the product to the prior. A bound on nothing.

L is a bound on log p(x_O) in no form. Where |O| = 1, c is 1, and both sources of z stay: the expert, and the expert
times the prior.

Given S: several modalities have the product with the prior. One alone has its expert (`alone=expert`), which is what
the single terms train and what the released code generates from; multivae multiplies it by the prior (`alone=product`),
which counts the prior twice where an expert is close to a whole posterior. The single terms want experts that are, and
the product wants experts that leave the prior out: no expert is both. Private parts of missing modalities come from
N(0, I), as in both.

The paper's text was not at hand; what is followed is the form that its released code trains, reconstructions from the
product put back. That code splits each KL into mutual information, total correlation and a rest, all of weight 1, so
that their sum is a one-sample estimate of the KL; here KLs are in closed form. It decodes all sources with one sample
of w_m; here, as in multivae, each has its own. It trains on complete rows; the rule for others is multivae's too. There
every private KL has a weight of its own; here beta_w (`private_beta`) is one number.

Preset `source`: the released code's sizes are 10 for z, 1 for w_MNIST and 4 for w_SVHN, and its weights lambda 50 and
1; here private parts have equal sizes, 4 each of 18 for two modalities, and lambda is that of `arch.rescale` (3.9 and
1). Its networks (one hidden layer of 256; dropout) are not here either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.models.base import MODELS, Facts, Objective, require_observed
from mmbench.models.posteriors import Distribution, Gaussian, kl_standard, product, standard_normal
from mmbench.models.private import PrivateLatents, size_of
from mmbench.seeding import Noise

__all__ = ["DMVAE", "DmvaeSettings"]

PRODUCT = "product of experts"
"""The source of z that is no modality."""


@dataclass(frozen=True)
class DmvaeSettings:
    """Form of the objective, weights of its KLs, sizes, and what one modality alone says of z."""

    form: str = setting(
        "paper",
        choices=("paper", "multivae", "released"),
        help="Shared KLs counted for every target, or once; or for every target, with no reconstructions from the "
        "product (the released code).",
    )
    beta: float = setting(1.0, low=0.0, help="Weight of the KLs of the shared latent.")
    private_beta: float = setting(1.0, low=0.0, help="Weight of the KLs of the private latents.")
    private: int | None = setting(
        None, low=0, help="Dimensions of each private part; none: half of the latent in equal parts."
    )
    alone: str = setting(
        "expert",
        choices=("expert", "product"),
        help="z given one modality: its expert (released code), or that times the prior (multivae).",
    )


@final
@MODELS.register("dmvae")
class DMVAE(PrivateLatents):
    """Shared and private latents, every modality reconstructed from every source, for any observation pattern."""

    name: ClassVar[str] = "dmvae"
    Settings: ClassVar[type] = DmvaeSettings
    facts: ClassVar[Facts] = Facts(
        title="DMVAE",
        references=(
            "Lee & Pavlovic, Private-Shared Disentangled Multimodal VAE for Learning of Latent Representations, "
            "CVPR Workshops 2021",
        ),
        joint="q(z|s) q(z|t) p(z) q(w_s|s) q(w_t|t)",
        additional="-",
        partial_test=True,
        partial_train_claims="not addressed; the released code trains on complete rows, the package multivae on any",
        partial_train_holds=True,
        partial_train_rule="sources of z, product, targets and private codes restricted to the observed modalities",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the posterior; private latents of the rest from the prior",
        private_latents=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "model": {"private": 4},
            "arch": {"networks": "paper", "latent_dim": 18, "likelihood": "bernoulli", "rescale": "largest"},
            "train": {"lr": 1e-3, "batch_size": 100, "epochs": 7, "steps": None},
        },
        "released": {"model": {"form": "released"}},
        "multivae": {"model": {"form": "multivae", "alone": "product"}},
    }

    settings: DmvaeSettings

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian:
        """q(z|x_S) beside the private posteriors of S, and N(0, I) for the private parts of the rest."""
        require_observed(self, values)
        experts, private = self._encoded(values)
        own = len(experts) == 1 and self.settings.alone == "expert"
        shared = product(list(experts.values()), prior_expert=not own)
        like = shared.location
        for name, part in self._layout.private.items():
            if name not in private:
                nothing = like.new_zeros(len(like), size_of(part))
                private[name] = Gaussian(nothing, torch.ones_like(nothing))
        parts = [shared, *(private[name] for name in self._layout.private)]
        return Gaussian(torch.cat([q.location for q in parts], -1), torch.cat([q.scale for q in parts], -1))

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        experts, private = self._encoded(values)
        sources = {**experts, PRODUCT: product(list(experts.values()), prior_expert=True)}
        decoded = [name for name in sources if name != PRODUCT or self.settings.form != "released"]
        z = torch.cat([sources[name].rsample(1, noise.child(name)) for name in decoded])
        own = {name: q.rsample(len(z), noise.child("private").child(name)) for name, q in private.items()}
        latents = self._beside(z, own)
        scores = {name: self.log_likelihood(name, values[name], latents) for name in experts}
        shared_kl = {name: kl_standard(q) for name, q in sources.items()}
        private_kl = {name: kl_standard(q) for name, q in private.items()}
        reconstruction = torch.stack(list(scores.values())).sum((0, 1))
        targets = 1 if self.settings.form == "multivae" else len(experts)
        shared = targets * torch.stack(list(shared_kl.values())).sum(0)
        apart = len(sources) * torch.stack(list(private_kl.values())).sum(0)
        value = reconstruction - self.settings.beta * shared - self.settings.private_beta * apart
        terms = {
            f"log_likelihood/{name}|{source}": row.detach().mean()
            for name, score in scores.items()
            for source, row in zip(decoded, score, strict=True)
        }
        terms |= {f"kl/{name}": kl.detach().mean() for name, kl in shared_kl.items()}
        terms |= {f"kl/private/{name}": kl.detach().mean() for name, kl in private_kl.items()}
        return Objective(-value.mean(), terms)

    def _encoded(self, values: Mapping[str, Tensor]) -> tuple[dict[str, Gaussian], dict[str, Gaussian]]:
        """q_m(z|x_m) and q_m(w_m|x_m) of every observed modality, in the order of their names."""
        border = self._layout.shared.stop
        both = {name: self.gaussian(name, values[name]) for name in sorted(values)}
        experts = {name: Gaussian(q.location[:, :border], q.scale[:, :border]) for name, q in both.items()}
        private = {name: Gaussian(q.location[:, border:], q.scale[:, border:]) for name, q in both.items()}
        return experts, private

    def _beside(self, z: Tensor, own: Mapping[str, Tensor]) -> Tensor:
        """[z | w_1 .. w_M] `[K, B, D]`; zeros, which no decoder reads, for the private parts of what is missing."""
        parts = [z]
        for name, part in self._layout.private.items():
            parts.append(own[name] if name in own else z.new_zeros(*z.shape[:2], size_of(part)))
        return torch.cat(parts, -1)
