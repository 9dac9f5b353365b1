"""MEME: mutual supervision (Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022).

Each modality m has one encoder e_m(z|x_m) and one decoder d_m(x_m|z). In the direction s -> t the encoder of s is the
recognition model, the encoder of t the conditional prior, and the decoder of t the "classifier" of the semi-supervised
VAE that MEME builds on; the direction t -> s swaps the roles of the same four networks.

Paired rows, direction s -> t (eq. 1 and 6), with z ~ e_s(z|s):

    L(s->t) = E[ w(z) A(z) ] + log q(t|s) + log p(t),       w(z) = d_t(t|z) / q(t|s),
    A(z)    = log d_s(s|z) + log e_t(z|t) - log e_s(z|s) - log d_t(t|z),       q(t|s) = E_{e_s}[ d_t(t|z) ].

log p(t) has no parameters and is left out. Estimator (eqs. 7-10): z_0 and K more samples of e_s give log q(t|s) as the
log-mean-exp of l_k = log d_t(t|z_k); the weight is held constant (stop gradient). The K + 1 samples are exchangeable,
so the first term may be the paper's w_0 A_0 (`own=one`), the mean of all w_k A_k (`own=all`), or A_k at one k drawn in
proportion to w_k (`own=drawn`): the same expectation, gradients included. `all` has the least variance. `drawn` lies
between where the weights are nearly one-hot, as on images, and is the cheapest: one sample a row is differentiated, the
rest is scored without autograd. (Where weights are spread and c is large, the drawn gradient of log q costs variance.)

With weight c = 1 on log q(t|s) and the weight held constant, the expected gradient of d_t in this direction is zero: it
learns from the other direction alone. The released code uses c = 10, which trains cross generation directly with
c - 1 times the gradient of log q(t|s). The default here is c = 10 with `own=drawn`, the mean of both directions and the
Monte-Carlo KL; `paper`, `paper-literal` and `released` are presets.

Rows with s alone (eq. 4), with N learnable pseudo-inputs u_i of the missing modality t:

    L(s) = E_{e_s}[ log d_s(s|z) + log (1/N) sum_i e_t(z|u_i) - log e_s(z|s) ].

There is no joint prior p(z): p(s, t) = p(t) * integral of d_s(s|z) e_t(z|t). `prior()` is a stand-in, the mixture of
the encodings of all pseudo-inputs, and says so by its name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from mmbench.config import setting
from mmbench.errors import CannotBear, InvalidSetting
from mmbench.modality import Batch, ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.bounds import NEGLIGIBLE, draw, effective_sample_size, log_mean_exp, refined, take
from mmbench.models.networks import Coder
from mmbench.models.posteriors import (
    Density,
    Diagonal,
    Distribution,
    Gaussian,
    Posterior,
    kl_gaussian,
)
from mmbench.seeding import Noise

__all__ = ["MEME", "MemeSettings", "PseudoInputMixture", "Resampled"]


@dataclass(frozen=True)
class MemeSettings:
    """Flags of the objective; see the module text."""

    k: int = setting(10, low=0, help="K, samples of e_s beside the own one in the estimate of log q(t|s).")
    c: float = setting(10.0, low=0.0, help="Weight of log q(t|s): 1 in the paper's bound, 10 in the released code.")
    kl: str = setting(
        "mc",
        choices=("mc", "analytic"),
        help="log e_t - log e_s at the sample, or -KL(e_s || e_t) (released; biased).",
    )
    logq: str = setting("mean", choices=("mean", "sum"), help="log q(t|s) by log-mean-exp, or log-sum-exp as eq. 8.")
    own: str = setting(
        "drawn", choices=("one", "all", "drawn"), help="Which samples carry the first term; one is the paper's."
    )
    include_own: bool = setting(True, help="Whether the own sample takes part in log q(t|s) (appendix D).")
    detach_weight: bool = setting(True, help="Stop the gradient through the weight (appendix B).")
    direction: str = setting(
        "both", choices=("both", "s->t", "t->s"), help="Train both directions, or one: s is the first modality."
    )
    reduction: str = setting("mean", choices=("mean", "sum"), help="Mean (eq. 2) or sum (released) of the directions.")
    pseudo_inputs: int = setting(128, low=1, help="N, pseudo-inputs of each modality.")
    pseudo_init: str = setting(
        "data", choices=("data", "normal"), help="Start pseudo-inputs at training rows, or at N(0.5, 0.1^2)."
    )


@final
@MODELS.register("meme")
class MEME(MultimodalVAE):
    """Two modalities, each the other's supervision."""

    name: ClassVar[str] = "meme"
    Settings: ClassVar[type] = MemeSettings
    facts: ClassVar[Facts] = Facts(
        title="MEME",
        references=("Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022",),
        joint="none (implicit)",
        additional="pseudo-inputs for rows with a missing modality",
        partial_test=True,
        partial_train_claims="yes",
        partial_train_holds=True,
        partial_train_rule="pseudo-input prior for the missing modality (eq. 4)",
        modalities_max=2,
        density="conditionals",
        density_rule="p(s|t) and p(t|s) by importance sampling; no joint prior, hence no p(s, t) without p(t)",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "common": {},
        "source": {
            "model": {"kl": "analytic", "logq": "mean", "c": 10.0, "own": "one", "reduction": "sum"},
            "arch": {"networks": "released", "latent_dim": 64, "scale": 1.0, "norm": "batch"},
            "train": {"lr": 5e-4, "batch_size": 128, "epochs": 100, "steps": None},
            "loader": {"schedule": "alternate"},
        },
        "released": {"model": {"kl": "analytic", "logq": "mean", "c": 10.0, "own": "one", "reduction": "sum"}},
        "paper": {"model": {"kl": "mc", "logq": "mean", "c": 1.0, "own": "one", "reduction": "mean"}},
        "paper-literal": {"model": {"kl": "mc", "logq": "sum", "c": 1.0, "own": "one", "reduction": "mean"}},
    }

    settings: MemeSettings

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: MemeSettings,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self.negligible = NEGLIGIBLE
        _require_consistent(settings)
        if len(modalities) != 2:
            raise CannotBear(f"model 'meme' takes two modalities, the dataset has {len(modalities)}.")
        self.pseudo = nn.ParameterDict(
            {m.name: nn.Parameter(torch.randn(settings.pseudo_inputs, *m.shape) * 0.1 + 0.5) for m in modalities}
        )

    def initialise(self, batch: Batch) -> None:
        if self.settings.pseudo_init == "data":
            with torch.no_grad():
                for name, rows in batch.values.items():
                    wanted = torch.arange(self.settings.pseudo_inputs, device=rows.device) % len(rows)
                    self.pseudo[name].copy_(rows[wanted])

    def prior(self) -> Distribution:
        return PseudoInputMixture(tuple(self.pseudo_encodings(name) for name in self.modalities))

    def pseudo_encodings(self, name: str) -> Diagonal:
        """e_name(z | u_i) of the N pseudo-inputs of a modality: parameters `[N, D]`."""
        return self.encode(name, self.pseudo[name])

    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        """e_m for one modality. For both, which the paper leaves open: q(z|s,t), e_s resampled by d_t(t|z)."""
        require_observed(self, values)
        names = [name for name in self.modalities if name in values]
        source = self.encode(names[0], values[names[0]])
        if len(names) == 1:
            return source
        return Resampled(source, self, names[1], values[names[1]], candidates=self.settings.k + 1)

    def generative_prior(self, given: Mapping[str, Tensor]) -> Density:
        if len(given) != 1:
            raise CannotBear("MEME has no joint prior p(z), so that only p(s|t) and p(t|s) can be estimated.")
        ((name, x),) = given.items()
        return self.encode(name, x)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        encodings = {name: self.encode(name, values[name]) for name in self.modalities if name in values}
        if len(encodings) == 1:
            (name,) = encodings
            return self._unpaired(name, values[name], encodings[name], noise)
        first, second = self.modalities
        directions = {"both": [(first, second), (second, first)], "s->t": [(first, second)], "t->s": [(second, first)]}
        bounds: list[Tensor] = []
        terms: dict[str, Tensor] = {}
        for s, t in directions[self.settings.direction]:
            bound, found = self.directed(s, t, values, encodings, noise.child(s))
            bounds.append(bound)
            terms |= {f"{name}/{s}|{t}": value for name, value in found.items()}
        total = torch.stack(bounds).sum(0)
        loss = -total.mean() / (len(bounds) if self.settings.reduction == "mean" else 1)
        return Objective(loss, terms)

    def _unpaired(self, name: str, x: Tensor, e_s: Diagonal, noise: Noise) -> Objective:
        """Eq. 4, for rows that hold modality `name` alone."""
        (missing,) = set(self.modalities) - {name}
        z = e_s.rsample(1, noise.child(name))
        log_prior = mixture_log_prob(self.pseudo_encodings(missing), z)
        log_ratio = log_prior - e_s.log_prob(z)
        reconstruction = self.log_likelihood(name, x, z)
        terms = {
            f"log_likelihood/{name}": reconstruction.detach().mean(),
            f"log_ratio/{name}": log_ratio.detach().mean(),
        }
        return Objective(-(reconstruction + log_ratio).mean(), terms)

    def directed(
        self, s: str, t: str, values: Mapping[str, Tensor], encodings: Mapping[str, Diagonal], noise: Noise
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The estimate of L(s->t) without log p(t), one value a row `[B]`, and its terms."""
        e_s = encodings[s]
        eps = noise.normal("z", (self.settings.k + 1, *e_s.location.shape))
        if self.settings.own == "drawn":
            return self._drawn(s, t, values, encodings, eps, noise)
        z = e_s.transport(eps)
        l_t = self._scores(t, values[t], z)
        log_q = self._log_q(l_t)
        weight = (l_t - log_q).exp()
        if self.settings.detach_weight:
            weight = weight.detach()
        carrying = slice(None) if self.settings.own == "all" else slice(0, 1)
        first = self._first_term(s, values, encodings, z[carrying], t) - l_t[carrying]
        bound = (weight[carrying] * first).mean(0) + self.settings.c * log_q
        return bound, _terms(first, log_q, l_t)

    def _drawn(
        self,
        s: str,
        t: str,
        values: Mapping[str, Tensor],
        encodings: Mapping[str, Diagonal],
        eps: Tensor,
        noise: Noise,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Score K + 1 samples without autograd, differentiate the one drawn in proportion to its weight.

        The gradient of log q(t|s) is the softmax-weighted sum of the gradients of l_k, for which the drawn l_k stands.
        With log-sum-exp the weights sum to 1 instead of K + 1, which scales the first term by 1 / (K + 1).
        """
        e_s = encodings[s]
        with torch.no_grad():
            l_t = self.log_likelihood(t, values[t], e_s.transport(eps))
            log_q = self._log_q(l_t)
            index = draw(l_t, noise.uniform("drawn", (1, l_t.shape[1])))
        z = e_s.transport(take(eps, index))
        share = 1.0 if self.settings.logq == "mean" else 1 / len(l_t)
        scored = take(l_t, index)
        first = self._first_term(s, values, encodings, z, t)
        bound = share * (first - scored) + self.settings.c * log_q
        if self.settings.c != share:  # otherwise d_t's two gradients cancel exactly, and it needs no backward pass
            differentiated = self.log_likelihood(t, values[t], z)
            bound = bound + (self.settings.c - share) * (differentiated - differentiated.detach())
        return bound[0], _terms((first - scored).detach(), log_q, l_t)

    def _scores(self, t: str, x: Tensor, z: Tensor) -> Tensor:
        """log d_t(t|z_k) `[K + 1, B]`, differentiable in the samples that carry weight in log q(t|s)."""
        with torch.no_grad():
            scores = self.log_likelihood(t, x, z)
        carrying = scores.softmax(0) > self.negligible

        def differentiate(samples: Tensor, rows: Tensor) -> Tensor:
            return self.log_likelihood(t, x[rows], z[samples, rows].unsqueeze(0))[0]

        return refined(scores, carrying, differentiate)

    def _first_term(
        self, s: str, values: Mapping[str, Tensor], encodings: Mapping[str, Diagonal], z: Tensor, t: str
    ) -> Tensor:
        """log d_s(s|z) + log e_t(z|t) - log e_s(z|s), or with -KL(e_s || e_t) for the last two, `[K, B]`."""
        e_s, e_t = encodings[s], encodings[t]
        reconstruction = self.log_likelihood(s, values[s], z)
        if self.settings.kl == "mc":
            return reconstruction + e_t.log_prob(z) - e_s.log_prob(z)
        assert isinstance(e_s, Gaussian)
        assert isinstance(e_t, Gaussian)
        return reconstruction - kl_gaussian(e_s, e_t)

    def _log_q(self, l_t: Tensor) -> Tensor:
        used = l_t if self.settings.include_own else l_t[1:]
        return log_mean_exp(used) if self.settings.logq == "mean" else used.logsumexp(0)


@final
@dataclass(frozen=True)
class PseudoInputMixture(Distribution):
    """Uniform mixture of the encodings of all pseudo-inputs of all modalities: MEME's stand-in for a prior."""

    components: tuple[Diagonal, ...]
    name: str = "pseudo-inputs"

    def sample(self, k: int, rows: int, noise: Noise) -> Tensor:
        location = torch.cat([q.location for q in self.components])
        scale = torch.cat([q.scale for q in self.components])
        index = (noise.uniform("component", (k, rows)) * len(location)).long().clamp(max=len(location) - 1)
        eps = noise.normal("prior", (k, rows, location.shape[-1]))
        return location[index] + scale[index] * eps

    def log_prob(self, z: Tensor) -> Tensor:
        return log_mean_exp(torch.stack([mixture_log_prob(q, z) for q in self.components]))


@final
class Resampled(Posterior):
    """q(z|s,t), proportional to e_s(z|s) d_t(t|z): candidates of e_s, resampled by the likelihood of t.

    It has no density of its own; metrics that need one are skipped with that reason.
    """

    def __init__(self, source: Diagonal, model: MEME, target: str, x: Tensor, *, candidates: int) -> None:
        self._source, self._model, self._target, self._x = source, model, target, x
        self._candidates = candidates

    def rsample(self, k: int, noise: Noise) -> Tensor:
        rows = len(self._x)
        eps = noise.normal("z", (k * self._candidates, rows, self._source.location.shape[-1]))
        z = self._source.transport(eps)
        scores = self._model.log_likelihood(self._target, self._x, z)
        uniform = noise.uniform("resampled", (k, rows))
        z, scores = z.reshape(k, -1, *z.shape[1:]), scores.reshape(k, -1, rows)
        return torch.cat([take(z[i], draw(scores[i], uniform[i : i + 1])) for i in range(k)])


def mixture_log_prob(components: Diagonal, z: Tensor) -> Tensor:
    """log (1/N) sum_i e(z|u_i) for components with parameters `[N, D]` and z `[K, B, D]`: `[K, B]`."""
    return components.log_prob(z.unsqueeze(-2)).logsumexp(-1) - math.log(len(components.location))


def _terms(first: Tensor, log_q: Tensor, l_t: Tensor) -> dict[str, Tensor]:
    scores = l_t.detach()
    return {
        "first": first.detach().mean(),
        "log_q": log_q.detach().mean(),
        "ess": effective_sample_size(scores).mean(),
        "own_weight": (scores.softmax(0)[0] * len(scores) > 0.5).to(scores.dtype).mean(),
    }


def _require_consistent(settings: MemeSettings) -> None:
    if settings.own != "one" and not settings.include_own:
        raise InvalidSetting("model.own=all and drawn need model.include_own=true: the samples must be exchangeable.")
    if settings.own == "drawn" and not settings.detach_weight:
        raise InvalidSetting("model.own=drawn needs model.detach_weight=true; own=one and all have the full one.")
    if not settings.include_own and settings.k == 0:
        raise InvalidSetting("model.include_own=false needs model.k >= 1, or log q(t|s) has no sample.")
