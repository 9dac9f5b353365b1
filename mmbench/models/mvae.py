"""MVAE: a product of experts with sub-sampled training (Wu & Goodman, Multimodal Generative Models for Scalable
Weakly-Supervised Learning, NeurIPS 2018).

The posterior of any subset S is the normalised product of the prior and the experts of S (eq. 2), the prior expert
included for single modalities too. Training maximises a sum of ELBOs (section 2.2), each of which reconstructs the
modalities of its own subset and no other:

    L = ELBO([M]) + sum_m ELBO({m}) + sum over k random subsets of 2..M-1 modalities (drawn anew for each row),
    ELBO(S) = E_q[ sum_{m in S} lambda_m log p_m(x_m|z) ] - beta KL(q(z|x_S) || N(0, I)).

On rows that hold the modalities O, [M] becomes O; for a single modality the two kinds of term coincide and count once.
Each ELBO is a bound on log p(x_S) for beta = 1 and lambda = 1; their sum is not a bound on log p(X).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.posteriors import Distribution, Gaussian, kl_standard, product, standard_normal
from mmbench.seeding import Noise

__all__ = ["MVAE", "MvaeSettings"]


@dataclass(frozen=True)
class MvaeSettings:
    """Weights and sub-sampling of the ELBO terms."""

    beta: float = setting(1.0, low=0.0, help="Weight of the KL; 1 gives bounds.")
    anneal: float = setting(0.0, low=0.0, help="Length of beta's growth from 0, in trainings (0: none).")
    subsets: int = setting(1, low=0, help="k, random subsets of 2..M-1 modalities a row; none exist for M = 2.")


@final
@MODELS.register("mvae")
class MVAE(MultimodalVAE):
    """Product of experts with sub-sampling, for any number of modalities and any observation pattern."""

    name: ClassVar[str] = "mvae"
    Settings: ClassVar[type] = MvaeSettings
    facts: ClassVar[Facts] = Facts(
        title="MVAE",
        references=(
            "Wu & Goodman, Multimodal Generative Models for Scalable Weakly-Supervised Learning, NeurIPS 2018",
        ),
        joint="q(z|s) q(z|t) p(z)",
        additional="sub-sampling",
        partial_test=True,
        partial_train_claims="in theory, not verified empirically",
        partial_train_holds=True,
        partial_train_rule="the ELBOs of the observed subset and of its members",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the product",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "model": {"beta": 1.0, "anneal": 4.0},
            "arch": {"networks": "paper", "latent_dim": 20, "likelihood": "bernoulli", "rescale": "largest"},
            "train": {"lr": 1e-3, "batch_size": 128, "epochs": 50, "steps": None},
        },
    }

    settings: MvaeSettings

    @property
    def follows_progress(self) -> bool:
        return self.settings.anneal > 0

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian:
        require_observed(self, values)
        return product([self.gaussian(name, x) for name, x in values.items()], prior_expert=True)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        experts = {name: self.gaussian(name, values[name]) for name in self.modalities if name in values}
        subsets = fixed_subsets(tuple(experts))
        posteriors = [product([experts[name] for name in subset], prior_expert=True) for subset in subsets]
        z = torch.cat(
            [q.rsample(1, noise.child("+".join(sorted(s)))) for q, s in zip(posteriors, subsets, strict=True)]
        )
        kl = torch.stack([kl_standard(q) for q in posteriors])
        elbos = self._reconstructions(values, subsets, z) - self._beta(progress) * kl
        terms = {f"elbo/{'+'.join(s)}": e.detach().mean() for s, e in zip(subsets, elbos, strict=True)}
        terms |= {f"kl/{'+'.join(s)}": d.detach().mean() for s, d in zip(subsets, kl, strict=True)}
        bound = elbos.sum(0)
        for j in range(self.settings.subsets if len(experts) > 2 else 0):
            drawn = self._random_elbo(values, experts, noise.child(f"subset {j}"), progress)
            bound = bound + drawn
            terms[f"elbo/random {j}"] = drawn.detach().mean()
        return Objective(-bound.mean(), terms)

    def _beta(self, progress: float) -> float:
        warm = 1.0 if self.settings.anneal == 0 else min(1.0, progress / self.settings.anneal)
        return self.settings.beta * warm

    def _reconstructions(self, values: Mapping[str, Tensor], subsets: Sequence[tuple[str, ...]], z: Tensor) -> Tensor:
        """Sum of the weighted log likelihoods of each subset's own modalities, `[len(subsets), B]`.

        One decoder call serves all subsets that hold a modality.
        """
        scores: list[list[Tensor]] = [[] for _ in subsets]
        for name, x in values.items():
            holding = [i for i, subset in enumerate(subsets) if name in subset]
            found = self.log_likelihood(name, x, torch.stack([z[i] for i in holding]))
            for i, score in zip(holding, found, strict=True):
                scores[i].append(score)
        return torch.stack([torch.stack(some).sum(0) for some in scores])

    def _random_elbo(
        self, values: Mapping[str, Tensor], experts: Mapping[str, Gaussian], noise: Noise, progress: float
    ) -> Tensor:
        """ELBO of a subset of 2..M-1 modalities drawn uniformly and anew for every row, `[B]`."""
        names = sorted(experts)
        between = [s for size in range(2, len(names)) for s in combinations(names, size)]
        rows = len(values[names[0]])
        index = (noise.uniform("subset", (1, rows))[0] * len(between)).long().clamp(max=len(between) - 1)
        drawn = torch.stack([index == i for i in range(len(between))])
        chosen = torch.stack(
            [torch.stack([d for d, s in zip(drawn, between, strict=True) if n in s]).any(0) for n in names]
        )
        q = product([experts[name] for name in names], prior_expert=True, chosen=chosen)
        z = q.rsample(1, noise)
        elbo = -self._beta(progress) * kl_standard(q)
        for m, name in enumerate(names):
            if self.execution.static:  # the number of rows that hold a modality is not known to the host
                score = self.log_likelihood(name, values[name], z)[0]
                elbo = elbo + score.where(chosen[m], torch.zeros_like(score))
                continue
            held = chosen[m].nonzero()[:, 0]
            elbo = elbo.index_add(0, held, self.log_likelihood(name, values[name][held], z[:, held])[0])
        return elbo


def fixed_subsets(observed: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All observed modalities and each alone, each set once."""
    return [observed, *((name,) for name in observed)] if len(observed) > 1 else [observed]
