"""VSAE: one latent slice a modality, and proposals for the slices of what is missing (Gong et al., Variational
Selective Autoencoder: Learning from Partially-Observed Heterogeneous Data, AISTATS 2021; the MEME paper prints VSVAE).

Neither the official code nor the full text was at hand: the parts are those that the literature reports, their details
are mmbench's reading, and no number of the source is claimed to be reproduced.

    z = (z_1 .. z_M),  p(z) = N(0, I),  p(x_O, b | z) = p(b|z) prod_{m in O} p_m(x_m|z),  b in {0, 1}^M the pattern,
    q(z|x_O, b) = prod_{m in O} q_m(z_m|x_m) prod_{m not in O} r_m(z_m|x_O, b).

q_m is the encoder of modality m, r the collective proposal: one network that reads all observed modalities and the
pattern. Decoders and the pattern decoder p(b|z), a Bernoulli for every modality, see all of z and nothing else. A row
that holds the modalities O gives

    L = E_q[ sum_{m in O} lambda_m log p_m(x_m|z) + log p(b|z) ] - KL(q(z|x_O, b) || N(0, I)),

the KL being the sum of the slices' KLs. For lambda = 1 this is a bound on log p(x_O, b), but on complete rows it never
trains r. So with probability `drop` a row shows the proposal only a random non-empty proper subset O' of O, while what
it hides stays a target:

    L' = E_{q(z|x_O', b')}[ sum_{m in O} lambda_m log p_m(x_m|z) + log p(b'|z) ] - KL(q(z|x_O', b') || N(0, I)).

The pattern to be explained is b', that of O': what the proposal read, as it will be at test time; with b as its target
p(b|z) would learn nothing from complete rows. So L' is the bound on log p(x_O', b') plus the reconstruction of what was
hidden from the proposal. It is no bound on log p(x_O, b), whose pattern is another; it is one on log p(x_O, b'), since
any q will do in a bound, and a looser one than a proposal that reads x_O would give. `drop=0` (preset `elbo`) is the
bound on log p(x_O, b) for every row.

Left out: the third term that is reported of the published objective, the likelihood of pseudo-observations that the
model itself generates in the place of unobserved modalities. How they are generated, and what is differentiated, could
not be established. Decoders that read the pattern beside z are left out for the same reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from mmbench.config import setting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.carrying import rows_are_independent
from mmbench.models.networks import Coder, build
from mmbench.models.networks.joint import JointEncoder
from mmbench.models.patterns import proper_subsets, rows_by_pattern
from mmbench.models.posteriors import Distribution, Gaussian, kl_standard, standard_normal
from mmbench.models.slices import divided
from mmbench.seeding import Noise

__all__ = ["VSAE", "VsaeSettings"]

PATTERN_WIDTH = 64


@dataclass(frozen=True)
class VsaeSettings:
    """Random dropping, and the weight of the pattern."""

    drop: float = setting(
        0.5,
        low=0.0,
        high=1.0,
        help="Probability that a row's input keeps a random proper subset of what it holds; 0 gives bounds.",
    )
    pattern_weight: float = setting(1.0, low=0.0, help="Weight of log p(b|z); 1 gives bounds.")


@final
@MODELS.register("vsae")
class VSAE(MultimodalVAE):
    """Concatenated slices with a collective proposal, for any number of modalities and any observation pattern.

    `arch.latent_dim` is the size D of the whole latent, so that models compare at equal latent sizes: every slice gets
    D // M dimensions, and the first in name order what is left. All of z counts as shared: a missing slice is filled
    in by the collective proposal, which is part of the model, so that z has the same meaning given any modality.
    """

    name: ClassVar[str] = "vsae"
    Settings: ClassVar[type] = VsaeSettings
    facts: ClassVar[Facts] = Facts(
        title="VSAE",
        references=(
            "Gong et al., Variational Selective Autoencoder: Learning from Partially-Observed Heterogeneous Data, "
            "AISTATS 2021",
        ),
        joint="concat(z_s, z_t)",
        additional="collective proposal, pattern decoder (mask generative network)",
        partial_test=True,
        partial_train_claims="yes",
        partial_train_holds=True,
        partial_train_rule="each row's own observed set; the collective proposal gives the slices of what is missing",
        modalities_max=None,
        density="every subset",
        density_rule="importance sampling from the proposal; the pattern decoder has no part in it",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {},  # the settings of the source are not known to us
        "elbo": {"model": {"drop": 0.0}},
    }

    settings: VsaeSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: VsaeSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self.slices = divided(self.modalities, arch.latent_dim)
        self.names = tuple(self.slices)
        # with one modality nothing is ever missing
        self.collective = JointEncoder(modalities, arch, arch.latent_dim, told=True) if len(modalities) > 1 else None
        self.pattern_decoder = nn.Sequential(
            nn.Linear(arch.latent_dim, PATTERN_WIDTH), nn.ReLU(), nn.Linear(PATTERN_WIDTH, len(self.names))
        )

    @classmethod
    def coders(cls, modalities: Sequence[ModalitySpec], settings: Any, arch: Architecture) -> dict[str, Coder]:
        """Encoders of the slices' sizes, decoders of all of z."""
        slices = divided([spec.name for spec in modalities], arch.latent_dim)
        sizes = {name: part.stop - part.start for name, part in slices.items()}
        return {
            spec.name: Coder(
                build(spec, replace(arch, latent_dim=sizes[spec.name])).encoder,
                build(spec, arch).decoder,
            )
            for spec in modalities
        }

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian:
        """q(z|x_S, b): own encoders for what is observed, the collective proposal for the other slices."""
        require_observed(self, values)
        parts = {name: self.encoders[name](x) for name, x in values.items()}
        if self.collective is not None and len(values) < len(self.names):
            location, scale = self.collective(values)
            for name in self.names:
                parts.setdefault(name, (location[:, self.slices[name]], scale[:, self.slices[name]]))
        return Gaussian(*(torch.cat([parts[name][i] for name in self.names], -1) for i in range(2)))

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        observed = [name for name in self.names if name in values]
        kept = self.kept(observed, len(values[observed[0]]), noise.child("input"))
        q = self._proposal(values, kept)
        z = q.rsample(1, noise.child("latent"))
        reconstructions = {name: self.log_likelihood(name, values[name], z)[0] for name in observed}
        pattern = bernoulli_log_prob(self.pattern_decoder(z)[0], kept.T.to(z.dtype))
        kl = kl_standard(q)
        bound = torch.stack(list(reconstructions.values())).sum(0) + self.settings.pattern_weight * pattern - kl
        terms = {f"log_likelihood/{name}": value.detach().mean() for name, value in reconstructions.items()}
        terms |= {"log_pattern": pattern.detach().mean(), "kl": kl.detach().mean()}
        return Objective(-bound.mean(), terms)

    def kept(self, observed: Sequence[str], rows: int, noise: Noise) -> Tensor:
        """What the proposal reads of every row: booleans `[M, rows]` in the order of the modalities' names."""
        uniform = noise.uniform("dropped", (1, rows))[0]
        held = torch.stack([torch.full_like(uniform, name in observed, dtype=torch.bool) for name in self.names])
        if self.settings.drop == 0 or len(observed) == 1:
            return held
        drawn = iter(proper_subsets(len(observed), noise.uniform("subset", (1, rows))[0]))
        subset = torch.stack([next(drawn) if name in observed else held[m] for m, name in enumerate(self.names)])
        return held & (subset | (uniform >= self.settings.drop))

    def _proposal(self, values: Mapping[str, Tensor], kept: Tensor) -> Gaussian:
        """q(z|x_O', b') with a pattern for every row; each pattern's rows go through the networks together."""
        if self.settings.drop == 0 or len(values) == 1:
            return self.posterior(values)
        networks = [self.encoders[name] for name in values]
        if self.execution.static and self.collective is not None and rows_are_independent(self.collective, *networks):
            return self._proposal_at_once(values, kept)
        groups = list(rows_by_pattern(kept, self.names))
        posteriors = [self.posterior({name: values[name][rows] for name in some}) for some, rows in groups]
        together = Gaussian(
            torch.cat([q.location for q in posteriors]),
            torch.cat([q.scale for q in posteriors]),
        )
        return together.rows(torch.cat([rows for _, rows in groups]).argsort())

    def _proposal_at_once(self, values: Mapping[str, Tensor], kept: Tensor) -> Gaussian:
        """The same for rows of all patterns in one pass, whose shapes do not depend on what was drawn."""
        assert self.collective is not None
        filled = self.collective(values, kept)
        parts = []
        for name, rows in zip(self.names, kept, strict=True):
            given = tuple(value[:, self.slices[name]] for value in filled)
            if name in values:
                own = self.encoders[name](values[name])
                given = tuple(x.where(rows.unsqueeze(-1), y) for x, y in zip(own, given, strict=True))
            parts.append(given)
        return Gaussian(*(torch.cat([part[i] for part in parts], -1) for i in range(2)))


def bernoulli_log_prob(logits: Tensor, outcome: Tensor) -> Tensor:
    """log p(b) of independent Bernoullis with logits `[B, M]` and outcomes in {0, 1}: `[B]`."""
    return (outcome * logits - softplus(logits)).sum(-1)
