"""MFM: a deterministic joint code, private codes, and surrogates for what is missing (Tsai et al., Learning Factorized
Multimodal Representations, ICLR 2019; released code pliang279/factorized).

Codes are points: z_m = E_m(x_m) is private to modality m, z_y = E_y(x_1 .. x_M) is shared. They become the factors
f_y = G_y(z_y) and f_m = G_m(z_m), from which the decoders reconstruct, x^_m = F_m(f_y, f_m). The loss of complete rows:

    sum_m lambda_m MSE(x_m, x^_m)  +  w_p [ MMD^2(z_y, N(0, I)) + sum_m MMD^2(z_m, N(0, I)) ]
    +  w_s [ MSE(s_y, z_y) + sum_{m not in S} MSE(s_m, z_m) ],        (s_y, s_1 .. s_M) = surrogate(x_S, S).

MSE is the mean over a row's values, as in the released code (so that lambda, from `arch.rescale`, has little to
balance), and of tokens the cross-entropy, averaged over those that count; MMD^2 compares a batch of codes with as many
fresh Gaussian draws (see `mmd`). The labels' term is left out: no model here sees labels.

The released code differs. Its E_y is a Memory Fusion Network over sequences; here it is one joint network over the
trunks of `arch.networks`. It has a pair of surrogates, for z_y and for z_m, for each single missing modality m, and
none where several are missing; here one network reads any non-empty proper subset S and is told which, and each row
trains it on one S drawn at random, where the released code sums over its patterns. Its latent sizes and weights come
from a random search; here z has one size: z_y gets half of `arch.latent_dim`, the private codes equal parts of the
rest. There the codes are targets without a stop gradient (preset `source`). That draws them towards what can be
predicted, and as a decoder reads small codes as well as large ones, they shrink to nothing, against which a weak MMD
does little; so `detach_codes` puts a stop gradient by default. G is two layers with a ReLU after each, as there, but
without dropout.

Given part of the modalities, z_m of the observed ones is their own code, and the surrogate gives z_y and all other z_m.

`regulariser=kl` (preset `kl`, after the released MFM_KL): Gaussian encoders, and KL(q || N(0, I)), summed over all
dimensions but not over the batch, in the place of MMD^2. Its weight must be small, as the MSE is a mean over values:
for one modality with a Normal likelihood of scale 1, w_p = 2 / D_m is the ELBO. The released code decodes the means, so
that its scales learn from the KL alone; here a sample is decoded. Surrogates predict the means, so that the posterior
given part of the modalities is a point.

There is no log likelihood: a point has no density, and MMD is no bound. `prior()` is N(0, I), to which the codes are
drawn; decoding its samples is how the model generates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from mmbench.config import setting
from mmbench.errors import CannotBear, InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, Layout, MultimodalVAE, Objective, require_observed
from mmbench.models.carrying import rows_are_independent
from mmbench.models.likelihoods import Likelihood
from mmbench.models.networks import Coder, build
from mmbench.models.networks.base import Encoder
from mmbench.models.networks.joint import JointEncoder
from mmbench.models.patterns import proper_subsets, rows_by_pattern
from mmbench.models.posteriors import (
    Density,
    Distribution,
    Gaussian,
    Point,
    kl_standard,
    standard_normal,
)
from mmbench.models.private import layout_of, size_of
from mmbench.seeding import Noise

__all__ = ["MFM", "LocationOnly", "MfmSettings", "mmd"]

KERNELS = ("official", "mean")


@dataclass(frozen=True)
class MfmSettings:
    """Regulariser, weights and factors; the source draws its weights at random from 0.01, 0.1, 0.5 and 1."""

    regulariser: str = setting(
        "mmd", choices=("mmd", "kl"), help="Points and MMD, or Gaussian encoders and the KL to N(0, I)."
    )
    kernel: str = setting("official", choices=KERNELS, help="Scale of the MMD's kernel: dim^2 (released code) or dim.")
    prior_weight: float = setting(0.1, low=0.0, help="w_p, weight of MMD^2 or KL.")
    surrogate_weight: float = setting(1.0, low=0.0, help="w_s, weight of the surrogates' error.")
    detach_codes: bool = setting(
        True, help="Stop the gradient of the surrogates' error into the codes; false in the released code."
    )
    factor: int = setting(64, low=1, help="Size of each factor, and of the hidden layer that makes it.")


@final
@MODELS.register("mfm")
class MFM(MultimodalVAE):
    """Deterministic factorised codes for any number of modalities; complete rows to learn from, any at test time."""

    name: ClassVar[str] = "mfm"
    Settings: ClassVar[type] = MfmSettings
    facts: ClassVar[Facts] = Facts(
        title="MFM",
        references=("Tsai et al., Learning Factorized Multimodal Representations, ICLR 2019",),
        joint="points z_y(s,t), z_s(s), z_t(t)",
        additional="surrogate encoders for missing modalities",
        partial_test=True,
        partial_train_claims="no",
        partial_train_holds=False,
        partial_train_rule="none: the joint encoder and the surrogates' targets need complete rows",
        modalities_max=None,
        density="none",
        density_rule="codes are points, and MMD is no bound on a likelihood",
        private_latents=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {"model": {"detach_codes": False}, "arch": {"likelihood": "normal"}},  # weights by random search
        "kl": {"model": {"regulariser": "kl", "prior_weight": 0.001}},
    }
    couples_rows: ClassVar[str] = "the MMD compares all codes of a batch with as many draws of a Gaussian"

    settings: MfmSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: MfmSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self._layout = layout_of(self.modalities, arch.latent_dim, model=self.name)
        shared = size_of(self._layout.shared)
        joint = JointEncoder(modalities, arch, shared)
        self.joint = joint if settings.regulariser == "kl" else LocationOnly(joint)
        # with one modality nothing is ever missing
        several = len(modalities) > 1
        self.surrogate = LocationOnly(JointEncoder(modalities, arch, arch.latent_dim, told=True)) if several else None
        self.shared_factor = _factor(shared, settings.factor)
        self.private_factors = nn.ModuleDict(
            {name: _factor(size_of(part), settings.factor) for name, part in self._layout.private.items()}
        )

    @classmethod
    def coders(cls, modalities: Sequence[ModalitySpec], settings: Any, arch: Architecture) -> dict[str, Coder]:
        """Encoders of the private codes' sizes (points for MMD), decoders of two factors."""
        private = layout_of([spec.name for spec in modalities], arch.latent_dim, model=cls.name).private
        found = {}
        for spec in modalities:
            encoder = build(spec, replace(arch, latent_dim=size_of(private[spec.name]))).encoder
            if not isinstance(encoder, Encoder):
                raise CannotBear(f"networks {arch.networks!r} have no location head alone, which model 'mfm' needs.")
            decoder = build(spec, replace(arch, latent_dim=2 * settings.factor)).decoder
            found[spec.name] = Coder(encoder if settings.regulariser == "kl" else LocationOnly(encoder), decoder)
        return found

    @property
    def layout(self) -> Layout:
        return self._layout

    def prior(self) -> Distribution:
        return standard_normal(next(self.parameters()), self.arch.latent_dim)

    def generative_prior(self, given: Mapping[str, Tensor]) -> Density:
        raise CannotBear("model 'mfm' has no likelihood: its codes are points, and MMD is no bound on one.")

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian | Point:
        """The codes [z_y | z_1 .. z_M]; given part of the modalities, surrogates stand for what needs the others."""
        require_observed(self, values)
        if self.surrogate is None or len(values) == len(self.modalities):
            return self._complete(values)
        filled = self.surrogate(values)
        parts = [filled[:, self._layout.shared]]
        for name, part in self._layout.private.items():
            parts.append(self._code(self.encoders[name], values[name]).mean if name in values else filled[:, part])
        return Point(torch.cat(parts, -1))

    def likelihood(self, name: str, z: Tensor) -> Likelihood:
        """p(x_name | f_y, f_name): a stand-in with the reconstruction as its mean (the source has none)."""
        shared = self.shared_factor(z[..., self._layout.shared])
        private = self.private_factors[name](z[..., self._layout.private[name]])
        return super().likelihood(name, torch.cat([shared, private], -1))

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        if refusal := self.cannot_bear(tuple(values)):
            raise CannotBear(f"{refusal}.")
        q = self._complete(values)
        z = q.rsample(1, noise.child("code"))
        errors = {
            name: self.weights[name] * self.likelihood(name, z).error(values[name]).mean()
            for name in self._layout.private
        }
        reconstruction = torch.stack(list(errors.values())).sum()
        from_prior = kl_standard(q).mean() if isinstance(q, Gaussian) else self._mmd(q.location, noise.child("draw"))
        surrogates = self._surrogate_error(values, q.mean, noise.child("surrogate"))
        loss = reconstruction + self.settings.prior_weight * from_prior + self.settings.surrogate_weight * surrogates
        terms = {f"mse/{name}": value.detach() for name, value in errors.items()}
        terms |= {self.settings.regulariser: from_prior.detach(), "surrogates": surrogates.detach()}
        return Objective(loss, terms)

    def _complete(self, values: Mapping[str, Tensor]) -> Gaussian | Point:
        codes = [self._code(self.joint, values)]
        codes += [self._code(self.encoders[name], values[name]) for name in self._layout.private]
        location = torch.cat([q.location for q in codes], -1)
        scales = [q.scale for q in codes if isinstance(q, Gaussian)]
        return Gaussian(location, torch.cat(scales, -1)) if scales else Point(location)

    def _code(self, network: nn.Module, x: Tensor | Mapping[str, Tensor]) -> Gaussian | Point:
        return Gaussian(*network(x)) if self.settings.regulariser == "kl" else Point(network(x))

    def _mmd(self, codes: Tensor, noise: Noise) -> Tensor:
        """Sum of the MMD^2 of z_y and of every z_m, each to its own Gaussian draws."""
        draws = noise.normal("z", (1, *codes.shape))[0]
        parts = [self._layout.shared, *self._layout.private.values()]
        return torch.stack([mmd(draws[:, part], codes[:, part], kernel=self.settings.kernel) for part in parts]).sum()

    def _surrogate_error(self, values: Mapping[str, Tensor], codes: Tensor, noise: Noise) -> Tensor:
        """Mean over rows of the squared error of what a random proper subset lacks, each code's dimensions averaged."""
        if self.surrogate is None:
            return codes.new_zeros(())
        target = codes.detach() if self.settings.detach_codes else codes
        names = tuple(self._layout.private)
        held = proper_subsets(len(names), noise.uniform("subset", (1, len(codes)))[0])
        if self.execution.static and rows_are_independent(self.surrogate):
            return self._surrogate_error_at_once(values, held, target)
        total = codes.new_zeros(())
        for some, rows in rows_by_pattern(held, names):
            error = (self.surrogate({name: values[name][rows] for name in some}) - target[rows]).square()
            wanted = [self._layout.shared, *(part for name, part in self._layout.private.items() if name not in some)]
            total = total + torch.stack([error[:, part].mean(-1).sum() for part in wanted]).sum()
        return total / len(codes)

    def _surrogate_error_at_once(self, values: Mapping[str, Tensor], held: Tensor, target: Tensor) -> Tensor:
        """The same for rows of all patterns in one pass, whose shapes do not depend on what was drawn."""
        assert self.surrogate is not None
        error: Tensor = (self.surrogate(values, self._by_name(held)) - target).square()
        total: Tensor = error[:, self._layout.shared].mean(-1)
        for hidden, part in zip(~held, self._layout.private.values(), strict=True):
            own = error[:, part].mean(-1)
            total = total + own.where(hidden, torch.zeros_like(own))
        return total.mean()

    def _by_name(self, held: Tensor) -> Tensor:
        """From the order of the private codes to that of the names."""
        names = list(self._layout.private)
        return torch.stack([held[names.index(name)] for name in sorted(names)])


@final
class LocationOnly(nn.Module):
    """An encoder's trunk and location head: a code `[B, d]`, without a scale head that nothing would train."""

    def __init__(self, encoder: Encoder | JointEncoder) -> None:
        super().__init__()
        self.trunk, self.location = encoder.trunk, encoder.location

    def forward(self, x: Tensor | Mapping[str, Tensor], held: Tensor | None = None) -> Tensor:
        """`held` as in `JointTrunk`."""
        code: Tensor = self.location(self.trunk(x) if held is None else self.trunk(x, held))
        return code


def mmd(draws: Tensor, codes: Tensor, *, kernel: str = "official") -> Tensor:
    """Squared maximum mean discrepancy of two samples `[N, d]` and `[B, d]`, a scalar >= 0.

    A V-statistic: the means of the kernel run over all pairs, those of a point with itself included. For two samples of
    B points of the same distribution it is therefore not 0 in expectation but 2 (1 - E k) / B.

    Args:
        kernel: exp(-||a - b||^2 / d^2) (`official`: the released code takes the mean over d and divides by d again),
            or exp(-||a - b||^2 / d) (`mean`).
    """
    if kernel not in KERNELS:
        raise InvalidSetting(f"the kernel of mmd is one of {', '.join(KERNELS)}, got {kernel!r}.")
    scale = codes.shape[-1] ** (2 if kernel == "official" else 1)

    def similarity(a: Tensor, b: Tensor) -> Tensor:
        return (-(a.unsqueeze(1) - b).square().sum(-1) / scale).exp().mean()

    return similarity(draws, draws) + similarity(codes, codes) - 2 * similarity(draws, codes)


def _factor(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs), nn.ReLU())
