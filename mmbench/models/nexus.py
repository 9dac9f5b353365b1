"""Nexus: a VAE for each modality, and a shared VAE of their codes above them (Vasco, Yin, Melo & Paiva, Leveraging
hierarchy in multimodal generative models for effective cross-modality inference, Neural Networks 146, 2022; released
code miguelsvasco/nexus_pytorch).

Each modality has a code z_m of its own, from which alone it is decoded. Above them stands z_s: each code sends a
message f_m(z_m), z_s is inferred from the mean c of the messages, and g_m(z_s) predicts the codes. Training maximises

    bottom:  sum_m { E_{q_m(z_m|x_m)}[ lambda_m log p_m(x_m|z_m) ] - beta KL(q_m(z_m|x_m) || N(0, I)) }
    top:     E_{q(z_s|c)}[ gamma sum_m log N(sg(z_m); g_m(z_s), s^2 I) ] - beta_top KL(q(z_s|c) || N(0, I)),
             c = mean_{m in K} f_m(sg(z_m)),

together, in one stage. sg stops the gradient: codes are both input and target of the top, which never moves the
encoders of the bottom. Perceptual dropout teaches the top to infer from part of the modalities: with probability `rho`
a row's mean runs over a random proper subset K of its messages, first a size, each as likely, then a set of that size.
The targets remain those of all. On rows that hold the modalities O, sums run over O and K is a subset of O.

With all weights 1 each level is an ELBO, the bottom one of M separate models, the top one on the density of the codes
drawn; their sum is no bound on log p(X). As a generative model of X the parts are

    p(z_s) = N(0, I),   p(z_m|z_s) = N(g_m(z_s), s^2 I),   p(X|z) = prod_m p_m(x_m|z_m),

and its log likelihoods are estimated by importance sampling; nothing was trained as a bound on them.

Given the modalities S, z_s is inferred from their codes, and missing modalities are decoded from g_m(z_s), without the
noise of p(z_m|z_s) (`missing=mean`, as in the released code): with s = 1 that noise is as wide as the codes' prior.
`missing=sample` draws it, as the generative model has it. What `prior()` draws follows the same setting.

The flat latent is [z_s | z_1 .. z_M], `arch.latent_dim` in all. Each z_m gets 1/(M+1) of it and z_s what is left: not
half of it for z_s as in models whose decoders read the shared part too, since z_m must hold all of x_m here.

What is followed is the released code. Its reconstructions of codes are sums of squared errors, which for s = 1 is
gamma = 2, the default. With gamma = 1 little is left to z_s: p(z_m|z_s) is then as wide without any help from z_s as
the bottom's prior asks the codes to be. Where the released code differs: reconstructions of images are squared errors
too, that is `arch.scale=0.7071` (preset `source`). Weights lambda and gamma are set by hand, 50 times as large for its
two small modalities; here lambda comes from `arch.rescale`, and gamma is the same for all codes, which have equal
sizes. Its code of sounds is the mean code of a VAE that is trained before and frozen, and s of that code is the batch's
own error. Its top networks have batch normalisation, which would couple rows. Its KL weights grow over the first 20 of
100 epochs (`anneal=0.2`). `multivae` drops no messages on data sets with missing modalities; here `rho` acts on every
row with more than one modality.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, Layout, MultimodalVAE, Objective, require_observed
from mmbench.models.likelihoods import Likelihood
from mmbench.models.networks import Coder, build
from mmbench.models.patterns import proper_subsets_by_size
from mmbench.models.posteriors import Posterior, kl_standard
from mmbench.models.private import layout_of, size_of
from mmbench.models.top_level import FilledByMeans, FilledPosterior, TopLevel, TopLevelPrior
from mmbench.seeding import Noise

__all__ = ["NEXUS", "NexusSettings"]


@dataclass(frozen=True)
class NexusSettings:
    """Weights of both levels, perceptual dropout, and the sizes of the top."""

    rho: float = setting(
        0.2, low=0.0, high=1.0, help="Probability that a row's z_s is inferred from a random proper subset in training."
    )
    beta: float = setting(1.0, low=0.0, help="Weight of the KLs of the modalities' codes.")
    beta_top: float = setting(1.0, low=0.0, help="Weight of the KL of z_s.")
    gamma: float = setting(2.0, low=0.0, help="Weight of the codes' log densities given z_s; 1 gives the top's ELBO.")
    top_scale: float = setting(1.0, above=0.0, help="s, standard deviation of a code given z_s.")
    anneal: float = setting(0.0, low=0.0, help="Length of the growth of all betas from 0, in trainings (0: none).")
    missing: str = setting(
        "mean", choices=("mean", "sample"), help="Codes of what is missing: g_m(z_s), or drawn around it."
    )
    message: int = setting(256, low=1, help="Size of a message and of the top's hidden layers.")
    private: int | None = setting(None, low=1, help="Dimensions of each z_m; none: 1/(M+1) of the latent.")


@final
@MODELS.register("nexus")
class NEXUS(MultimodalVAE):
    """Separate VAEs below a shared one of their codes, for any number of modalities and any observation pattern."""

    name: ClassVar[str] = "nexus"
    Settings: ClassVar[type] = NexusSettings
    facts: ClassVar[Facts] = Facts(
        title="Nexus",
        references=(
            "Vasco, Yin, Melo & Paiva, Leveraging hierarchy in multimodal generative models for effective "
            "cross-modality inference, Neural Networks 146, 2022",
        ),
        joint="q(z|mean of messages of s, t)",
        additional="message encoders, top encoder and decoders",
        partial_test=True,
        partial_train_claims="not addressed; the released code trains on complete rows",
        partial_train_holds=True,
        partial_train_rule="codes, messages and targets of the observed modalities, at both levels",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling of the two-level model, codes with their noise; no training bound on it",
        private_latents=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {  # sizes there differ by modality: 64, 16, 128 and 5 below 32
            "model": {"rho": 0.2, "anneal": 0.2, "message": 512},
            "arch": {"networks": "paper", "likelihood": "normal", "scale": 0.5**0.5, "rescale": "none"},
            "train": {"lr": 1e-3, "batch_size": 64, "epochs": 100, "steps": None},
        },
        "sampled": {"model": {"missing": "sample"}},
    }

    settings: NexusSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: NexusSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self._layout = _layout(self.modalities, settings, arch)
        self.top = TopLevel(
            self._layout, width=settings.message, scale=settings.top_scale, posterior_scale=arch.posterior_scale
        )

    @classmethod
    def coders(cls, modalities: Sequence[ModalitySpec], settings: Any, arch: Architecture) -> dict[str, Coder]:
        """Encoders to and decoders from z_m alone."""
        private = _layout([spec.name for spec in modalities], settings, arch).private
        return {spec.name: build(spec, replace(arch, latent_dim=size_of(private[spec.name]))) for spec in modalities}

    @property
    def layout(self) -> Layout:
        return self._layout

    @property
    def follows_progress(self) -> bool:
        return self.settings.anneal > 0

    def prior(self) -> TopLevelPrior:
        if self.settings.missing == "mean":
            return TopLevelPrior(self.top, at_means=True, name="top level, codes at their means given z_s")
        return TopLevelPrior(self.top, at_means=False, name="top level")

    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        """Own codes of what is observed; those of the rest at g_m(z_s), or drawn around it."""
        drawn = self.proposal(values)
        return (
            drawn if self.settings.missing == "sample" or len(values) == len(self.modalities) else FilledByMeans(drawn)
        )

    def proposal(self, values: Mapping[str, Tensor]) -> FilledPosterior:
        """The posterior with the noise of p(z_m|z_s), a density."""
        require_observed(self, values)
        return FilledPosterior(self.top, {name: self.gaussian(name, values[name]) for name in sorted(values)})

    def likelihood(self, name: str, z: Tensor) -> Likelihood:
        """p(x_name | z_name)."""
        return super().likelihood(name, z[..., self._layout.private[name]])

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        q = self.proposal(values)
        codes = {name: own.rsample(1, noise.child(name)) for name, own in q.observed.items()}
        scores = {name: self._score(name, values[name], code) for name, code in codes.items()}
        below = {name: kl_standard(own) for name, own in q.observed.items()}
        predicted, above = self._top({name: code.detach() for name, code in codes.items()}, noise.child("top"))
        warm = 1.0 if self.settings.anneal == 0 else min(1.0, progress / self.settings.anneal)
        bottom = torch.stack(list(scores.values())).sum(0)
        bottom = bottom - self.settings.beta * warm * torch.stack(list(below.values())).sum(0)
        top = self.settings.gamma * torch.stack(list(predicted.values())).sum(0) - self.settings.beta_top * warm * above
        terms = {f"log_likelihood/{name}": value.detach().mean() for name, value in scores.items()}
        terms |= {f"kl/{name}": value.detach().mean() for name, value in below.items()}
        terms |= {f"log_code/{name}": value.detach().mean() for name, value in predicted.items()}
        terms |= {"kl": above.detach().mean(), "bottom": bottom.detach().mean(), "top": top.detach().mean()}
        return Objective(-(bottom + top).mean(), terms)

    def _score(self, name: str, x: Tensor, code: Tensor) -> Tensor:
        """lambda log p(x | z_name) of codes `[1, B, d]`, `[B]`."""
        return self.weights[name] * super().likelihood(name, code).log_prob(x)[0]

    def _top(self, codes: Mapping[str, Tensor], noise: Noise) -> tuple[dict[str, Tensor], Tensor]:
        """log p(z_m | z_s) of each of the codes `[1, B, d]`, and KL(q(z_s | c) || p), all `[B]`."""
        first = next(iter(codes.values()))
        q = self.top.posterior(codes, self._kept(len(codes), first.shape[1], noise))
        shared = q.transport(noise.normal("z", q.location.shape))
        return {name: self.top.code(name, shared).log_prob(z)[0] for name, z in codes.items()}, kl_standard(q)[0]

    def _kept(self, count: int, rows: int, noise: Noise) -> Tensor | None:
        """The messages that z_s is inferred from: booleans `[count, 1, rows]`; None for all."""
        if self.settings.rho == 0 or count == 1:
            return None
        some = proper_subsets_by_size(count, noise.uniform("size", (1, rows))[0], noise.uniform("order", (count, rows)))
        dropped = noise.uniform("dropped", (1, rows)) < self.settings.rho
        return (some | ~dropped).unsqueeze(1)


def _layout(names: Sequence[str] | Mapping[str, ModalitySpec], settings: NexusSettings, arch: Architecture) -> Layout:
    private = settings.private or max(1, arch.latent_dim // (len(names) + 1))
    return layout_of(names, arch.latent_dim, model="nexus", private=private)
