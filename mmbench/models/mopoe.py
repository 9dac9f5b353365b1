"""MoPoE: a mixture of products of experts (Sutter, Daunhawer & Vogt, Generalized Multimodal ELBO, ICLR 2021).

The joint posterior is the uniform mixture, over all non-empty subsets S of the modalities, of the product of the
experts of S. With P the set of the 2^M - 1 subsets,

    q(z|X) = (1/|P|) sum_S q~_S,     q~_S proportional to p(z)^c prod_{m in S} q_m(z|x_m),
    L = E_{q(z|X)}[ sum_m lambda_m log p_m(x_m|z) ] - beta (1/|P|) sum_S KL(q~_S || N(0, I)).

Every component reconstructs all modalities. The KL of the mixture is at most the mean of the KLs (convexity), so that
L <= ELBO of the mixture <= log p(X) for beta = 1 and lambda = 1. The paper counts the empty set too, its code does not.

`prior_expert` says where c = 1. The released code multiplies by the prior in the product of all modalities only
(`full-only`, the default); `all` does so in every subset and `none` in no subset.

`sampling` says how the expectation over the mixture is estimated, without bias in either case: `row` draws a component
for every row and decodes one sample of it; `enumerate` decodes one sample of each, at 2^M - 1 times the decoders' cost.
The released code draws nothing: it cuts the batch into |P| contiguous parts, one a component, the last of which takes
the remainder. That is biased towards the last component, and a batch of fewer than |P| rows knows no other. It is not
offered here.

On rows that hold the modalities O, P becomes the subsets of O, sums run over O, and the full set of `full-only` is O.
At test time the posterior of S is q~_S as in the released code, with the prior for `full-only` where S holds all M
modalities (`inference=product`), or the mixture over the subsets of S (`mixture`).

What `source` does not reproduce: the private latents, and a decoder of colour images without a final sigmoid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.posteriors import (
    Distribution,
    Gaussian,
    Normalised,
    component_samples,
    kl_standard,
    mixture,
    product,
    standard_normal,
)
from mmbench.seeding import Noise

__all__ = ["MOPOE", "MopoeSettings", "subsets_of"]


@dataclass(frozen=True)
class MopoeSettings:
    """The products' prior expert, the estimate of the mixture's expectation, and the posterior at test time."""

    prior_expert: str = setting(
        "full-only", choices=("full-only", "all", "none"), help="Subsets whose product has the prior as an expert."
    )
    sampling: str = setting(
        "row", choices=("row", "enumerate"), help="A component drawn for each row, or one sample of every component."
    )
    inference: str = setting(
        "product", choices=("product", "mixture"), help="Posterior of S: its product, or the mixture over its subsets."
    )
    beta: float = setting(1.0, low=0.0, help="Weight of the KL; 1 gives a bound.")


@final
@MODELS.register("mopoe")
class MOPOE(MultimodalVAE):
    """Mixture of products of experts, for any number of modalities and any observation pattern."""

    name: ClassVar[str] = "mopoe"
    Settings: ClassVar[type] = MopoeSettings
    facts: ClassVar[Facts] = Facts(
        title="MoPoE",
        references=("Sutter, Daunhawer & Vogt, Generalized Multimodal ELBO, ICLR 2021",),
        joint="q(z|s) + q(z|t) + q(z|s) q(z|t)",
        additional="-",
        partial_test=True,
        partial_train_claims="in theory, not verified empirically",
        partial_train_holds=True,
        partial_train_rule="mixture over the subsets of the observed modalities, likelihoods of the observed ones",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the product (inference=mixture: stratified over subsets)",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "model": {"prior_expert": "full-only", "beta": 2.5},
            "arch": {"networks": "paper", "latent_dim": 20, "scale": 0.75, "rescale": "largest"},
            "train": {"lr": 1e-3, "batch_size": 256, "epochs": 200, "steps": None},
            "data": {"pairs": 20},
        },
        "enumerated": {"model": {"sampling": "enumerate", "inference": "mixture"}},
    }

    settings: MopoeSettings

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Normalised:
        require_observed(self, values)
        experts = self._experts(values)
        if self.settings.inference == "product":
            return self._product(experts, full=len(self.modalities))
        return mixture(list(self._products(experts, full=len(self.modalities)).values()))

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        products = self._products(self._experts(values), full=len(values))
        z = component_samples(products, noise, stratified=self.settings.sampling == "enumerate")
        scores = {name: self.log_likelihood(name, values[name], z).mean(0) for name in sorted(values)}
        kl = {subset: kl_standard(q) for subset, q in products.items()}
        bound = torch.stack(list(scores.values())).sum(0) - self.settings.beta * torch.stack(list(kl.values())).mean(0)
        terms = {f"log_likelihood/{name}": score.detach().mean() for name, score in scores.items()}
        terms |= {f"kl/{subset}": value.detach().mean() for subset, value in kl.items()}
        return Objective(-bound.mean(), terms)

    def _experts(self, values: Mapping[str, Tensor]) -> dict[str, Gaussian]:
        return {name: self.gaussian(name, values[name]) for name in sorted(values)}

    def _products(self, experts: Mapping[str, Gaussian], *, full: int) -> dict[str, Gaussian]:
        """q~_S of every subset S of the experts, by the names of its members joined with `+`."""
        return {
            "+".join(subset): self._product({name: experts[name] for name in subset}, full=full)
            for subset in subsets_of(list(experts))
        }

    def _product(self, experts: Mapping[str, Gaussian], *, full: int) -> Gaussian:
        """q~_S of the experts of S; a set of `full` modalities counts as the full one."""
        rule = self.settings.prior_expert
        return product(
            list(experts.values()), prior_expert=rule == "all" or (rule == "full-only" and len(experts) == full)
        )


def subsets_of(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All 2^M - 1 non-empty subsets of M names, the smallest first."""
    return [subset for size in range(1, len(names) + 1) for subset in combinations(names, size)]
