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

More than two modalities (appendix E, eq. 11): (1/M) sum_s R_i(x_s, R_e(x_n, n != s)), with the implicit regularisation
R_i above and an explicit combination R_e of the other modalities. Rows that hold the modalities O, two or more, have

    L(O) = (1/|O|) sum_{s in O} L(s->t)    with t the other observed ones, t = x_{O - s}, and in L(s->t)
    d_t(t|z) = prod_{n in O - s} d_n(x_n|z),
    e_t(z|t) = the normalised product of e_n(z|x_n), n in O - s, without a prior expert (`combination=product`),
               or their uniform mixture (`combination=mixture`).

Rows with s alone have the mixture of e_n(z|u_i) over all n != s and all i in place of that over i. The paper leaves R_e
open and has no experiment with it. Ours are: the product of decoders as the classifier, the sum over what is observed
(the loss of a row with several modalities is that of a model of these modalities alone), and the pooled pseudo-inputs.
The KL of a mixture has no closed form, so `kl=analytic` needs the product.

There is no joint prior p(z), only p(x_A, x_B) = p(x_B) * integral of prod_{m in A} d_m(x_m|z) e_B(z|x_B) with the
combination e_B. `prior()` is a stand-in, the mixture of the encodings of all pseudo-inputs, and says so by its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.errors import CannotBear, InvalidSetting
from mmbench.modality import Batch, ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, require_observed
from mmbench.models.bounds import draw, effective_sample_size, log_mean_exp, take
from mmbench.models.carrying import Chosen, Score, chosen_scores, rows_are_independent, scored
from mmbench.models.networks import Coder
from mmbench.models.posteriors import (
    Density,
    Distribution,
    Gaussian,
    Normalised,
    Posterior,
    kl_gaussian,
    mixture,
    product,
)
from mmbench.models.pseudo_inputs import PseudoInputMixture, joined, mixture_log_prob, normal_pseudo_inputs
from mmbench.models.resampled import Resampled
from mmbench.seeding import Noise

__all__ = ["MEME", "MemeSettings", "explicit_combination"]


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
        "both",
        choices=("both", "s->t", "t->s"),
        help="Train all directions, or, of two modalities, one: s is the first.",
    )
    combination: str = setting(
        "product",
        choices=("product", "mixture"),
        help="Conditional prior of several modalities: product or uniform mixture of their encodings.",
    )
    reduction: str = setting("mean", choices=("mean", "sum"), help="Mean (eq. 2) or sum (released) of the directions.")
    pseudo_inputs: int = setting(128, low=1, help="N, pseudo-inputs of each modality.")
    pseudo_init: str = setting(
        "data", choices=("data", "normal"), help="Start pseudo-inputs at training rows, or at N(0.5, 0.1^2)."
    )


@final
@MODELS.register("meme")
class MEME(MultimodalVAE):
    """Two modalities or more, each supervised by the others."""

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
        partial_train_rule="one observed: pseudo-inputs of the others as prior (eq. 4); several: each from the others",
        modalities_max=None,
        density="conditionals",
        density_rule="p(x_A|x_B) by importance sampling, encodings of B as prior; no joint prior, hence no p(x_A, x_B)",
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
        _require_consistent(settings, len(modalities))
        shapes = {name: self.continuous_shape(name) for name in self.modalities}
        self.pseudo = normal_pseudo_inputs(shapes, settings.pseudo_inputs)

    def initialise(self, batch: Batch) -> None:
        if self.settings.pseudo_init == "data":
            with torch.no_grad():
                for name, rows in batch.values.items():
                    wanted = torch.arange(self.settings.pseudo_inputs, device=rows.device) % len(rows)
                    self.pseudo[name].copy_(self.continuous(name, rows[wanted]))

    @property
    def gradient_estimators(self) -> Mapping[str, Any]:
        """The two of Figure 10: the weight held constant (`stop-gradient`), and differentiated too (eq. 7, `full`).

        `own=drawn` has no weight to differentiate. Then both are those of the paper's `own=one`, which has the same
        expected bound, and the run's own estimator stands beside them as `drawn`.
        """
        drawn = self.settings.own == "drawn"
        weighed = replace(self.settings, own="one") if drawn else self.settings
        found = {name: replace(weighed, detach_weight=name == "stop-gradient") for name in ("stop-gradient", "full")}
        return {"drawn": self.settings, **found} if drawn else found

    # Distributions over z --------------------------------------------------------------------------------------------
    def prior(self) -> Distribution:
        return PseudoInputMixture(tuple(self.pseudo_encodings(name) for name in self.modalities))

    def pseudo_encodings(self, name: str) -> Gaussian:
        """e_name(z | u_i) of the N pseudo-inputs of a modality: parameters `[N, D]`."""
        return self.gaussian(name, self.pseudo[name])

    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        """e_m for one modality; for several, which the paper leaves open, our choice.

        Both of two modalities: q(z|s,t), e_s resampled by d_t(t|z). Several of more: their explicit combination, which
        is the model's own p(z|x_S).
        """
        require_observed(self, values)
        names = [name for name in self.modalities if name in values]
        if len(names) < 2 or len(self.modalities) > 2:
            return self._combined(values)
        first, second = names
        source = self.gaussian(first, values[first])
        return Resampled(
            source, lambda z: self.log_likelihood(second, values[second], z), candidates=self.settings.k + 1
        )

    def generative_prior(self, given: Mapping[str, Tensor]) -> Density:
        if not given:
            raise CannotBear(
                "MEME has no joint prior p(z), so that only p(x_A|x_B) of disjoint, non-empty A and B can be estimated."
            )
        require_observed(self, given)
        return self._combined(given)

    def _combined(self, values: Mapping[str, Tensor]) -> Normalised:
        encodings = [self.gaussian(name, values[name]) for name in sorted(values)]
        return explicit_combination(encodings, self.settings.combination)

    # The objective ---------------------------------------------------------------------------------------------------
    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        encodings = {name: self.gaussian(name, values[name]) for name in self.modalities if name in values}
        if len(encodings) == 1:
            (name,) = encodings
            return self._unpaired(name, values[name], encodings[name], noise)
        bounds: list[Tensor] = []
        terms: dict[str, Tensor] = {}
        for s in self._sources(tuple(encodings)):
            bound, found = self.directed(s, values, encodings, noise.child(s))
            bounds.append(bound)
            others = "+".join(sorted(set(values) - {s}))
            terms |= {f"{name}/{s}|{others}": value for name, value in found.items()}
        total = torch.stack(bounds).sum(0)
        loss = -total.mean() / (len(bounds) if self.settings.reduction == "mean" else 1)
        return Objective(loss, terms)

    def _sources(self, observed: tuple[str, ...]) -> tuple[str, ...]:
        """The modalities s of the directions s -> others that are trained."""
        return {"both": observed, "s->t": observed[:1], "t->s": observed[1:]}[self.settings.direction]

    def _unpaired(self, name: str, x: Tensor, e_s: Gaussian, noise: Noise) -> Objective:
        """Eq. 4, for rows that hold modality `name` alone."""
        missing = joined([self.pseudo_encodings(n) for n in sorted(set(self.modalities) - {name})])
        z = e_s.rsample(1, noise.child(name))
        log_ratio = mixture_log_prob(missing, z) - e_s.log_prob(z)
        reconstruction = self.log_likelihood(name, x, z)
        terms = {
            f"log_likelihood/{name}": reconstruction.detach().mean(),
            f"log_ratio/{name}": log_ratio.detach().mean(),
        }
        return Objective(-(reconstruction + log_ratio).mean(), terms)

    def directed(
        self, s: str, values: Mapping[str, Tensor], encodings: Mapping[str, Gaussian], noise: Noise
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The estimate of L(s->t), t all other values, without log p(t): one value a row `[B]`, and its terms."""
        e_s = encodings[s]
        t = {name: values[name] for name in sorted(values) if name != s}
        e_t = explicit_combination([encodings[name] for name in t], self.settings.combination)
        direction = _Direction(s, values[s], e_s, t, e_t)
        z = e_s.transport(noise.normal("z", (self.settings.k + 1, *e_s.location.shape)))
        estimate = {"one": self._one, "all": self._all, "drawn": self._drawn}[self.settings.own]
        return estimate(direction, z, noise)

    def _one(self, direction: "_Direction", z: Tensor, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """The own sample z_0 carries the first term, as in the paper."""
        l_t, _ = self._chosen_supervision(direction, z, noise)
        log_q, weight = self._log_q_and_weight(l_t)
        first = self._regularised(direction, z[:1]) - l_t[:1]
        return weight[0] * first[0] + self.settings.c * log_q, _terms(first, log_q, l_t)

    def _all(self, direction: "_Direction", z: Tensor, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """Every sample carries the first term; what has no weight is left out of it, in value and gradient."""
        l_t, chosen = self._chosen_supervision(direction, z, noise)
        log_q, weight = self._log_q_and_weight(l_t)
        if chosen is None:
            first = (weight * self._regularised(direction, z)).mean(0)
        else:
            some = self._regularised(direction.rows(chosen.columns), chosen.of(z).unsqueeze(0))[0]
            weighed = chosen.of(weight) * some * (1.0 if chosen.factors is None else chosen.factors)
            first = torch.zeros_like(log_q).index_add(0, chosen.columns, weighed) / len(l_t)
        mean = first - (weight * l_t).mean(0)
        return mean + self.settings.c * log_q, _terms(mean, log_q, l_t)

    def _drawn(self, direction: "_Direction", z: Tensor, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """Score K + 1 samples without autograd, differentiate the one drawn in proportion to its weight.

        The gradient of log q(t|s) is the softmax-weighted sum of the gradients of l_k, for which the drawn l_k stands.
        With log-sum-exp the weights sum to 1 instead of K + 1, which scales the first term by 1 / (K + 1).
        """
        graph = not rows_are_independent(*(self.decoders[name] for name in direction.t)) or self.execution.tolerance < 0
        score = self._score(direction.t)
        l_t = self._supervision(direction.t, z) if graph else scored(score, z, whole=self.execution.static)
        index = draw(l_t, noise.uniform("drawn", (1, z.shape[1])))
        drawn, log_q = take(z, index), self._log_q(l_t.detach())
        share = 1.0 if self.settings.logq == "mean" else 1 / len(l_t)
        scored_there = take(l_t, index)
        first = self._regularised(direction, drawn) - scored_there.detach()
        bound = share * first + self.settings.c * log_q
        if self.settings.c != share:  # otherwise d_t's two gradients cancel exactly, and it needs no backward pass
            differentiated = scored_there if graph else self._supervision(direction.t, drawn)
            bound = bound + (self.settings.c - share) * (differentiated - differentiated.detach())
        return bound[0], _terms(first, log_q, l_t)

    def _supervision(self, t: Mapping[str, Tensor], z: Tensor) -> Tensor:
        """log d_t(t|z), the sum over the modalities of t, `[K, B]`."""
        return torch.stack([self.log_likelihood(name, x, z) for name, x in t.items()]).sum(0)

    def _score(self, t: Mapping[str, Tensor]) -> Score:
        """log d_t(t|z) for some rows of the batch."""
        return lambda z, rows: self._supervision({name: x[rows] for name, x in t.items()}, z)

    def _chosen_supervision(self, direction: "_Direction", z: Tensor, noise: Noise) -> tuple[Tensor, Chosen | None]:
        """log d_t(t|z_k) `[K + 1, B]`, differentiable in the samples that carry weight in log q(t|s).

        Without the own sample in log q(t|s) the weights in question are not those of all K + 1 samples, and its own one
        has no bound: then all are differentiated.
        """
        decoders = (self.decoders[name] for name in (direction.s, *direction.t))
        return chosen_scores(
            self._score(direction.t),
            z,
            self.execution,
            independent=self.settings.include_own and rows_are_independent(*decoders),
            uniform=lambda: noise.uniform("differentiated", (1, z.shape[1])),
        )

    def _regularised(self, direction: "_Direction", z: Tensor) -> Tensor:
        """log d_s(s|z) + log e_t(z|t) - log e_s(z|s), or with -KL(e_s || e_t) for the last two, `[K, B]`."""
        reconstruction = self.log_likelihood(direction.s, direction.x, z)
        e_s, e_t = direction.e_s, direction.e_t
        if self.settings.kl == "mc":
            return reconstruction + e_t.log_prob(z) - e_s.log_prob(z)
        assert isinstance(e_t, Gaussian)
        return reconstruction - kl_gaussian(e_s, e_t)

    def _log_q(self, l_t: Tensor) -> Tensor:
        used = l_t if self.settings.include_own else l_t[1:]
        return log_mean_exp(used) if self.settings.logq == "mean" else used.logsumexp(0)

    def _log_q_and_weight(self, l_t: Tensor) -> tuple[Tensor, Tensor]:
        """log q(t|s) `[B]` and the weights w_k `[K + 1, B]`."""
        log_q = self._log_q(l_t)
        weight = (l_t - log_q).exp()
        if self.settings.detach_weight:
            weight = weight.detach()
        return log_q, weight


@dataclass(frozen=True)
class _Direction:
    """What the direction s -> t has of the batch: x = s with its encoding e_s, the values of t, and their e_t."""

    s: str
    x: Tensor
    e_s: Gaussian
    t: Mapping[str, Tensor]
    e_t: Normalised

    def rows(self, index: Tensor) -> "_Direction":
        """The direction for some rows of the batch, `[n]`."""
        t = {name: x[index] for name, x in self.t.items()}
        return _Direction(self.s, self.x[index], self.e_s.rows(index), t, self.e_t.rows(index))


def explicit_combination(experts: Sequence[Gaussian], kind: str) -> Normalised:
    """R_e of appendix E: the normalised product (no prior expert) or the uniform mixture; one expert is itself."""
    if len(experts) == 1:
        return experts[0]
    return mixture(experts) if kind == "mixture" else product(experts, prior_expert=False)


def _terms(first: Tensor, log_q: Tensor, l_t: Tensor) -> dict[str, Tensor]:
    scores = l_t.detach()
    return {
        "first": first.detach().mean(),
        "log_q": log_q.detach().mean(),
        "ess": effective_sample_size(scores).mean(),
        "own_weight": (scores.softmax(0)[0] * len(scores) > 0.5).to(scores.dtype).mean(),
    }


def _require_consistent(settings: MemeSettings, count: int) -> None:
    if count < 2:
        raise CannotBear(
            "model 'meme' learns by mutual supervision and needs two modalities or more; there is only one."
        )
    if count > 2 and settings.direction != "both":
        raise InvalidSetting(
            f"model.direction={settings.direction} names one of the two directions between two modalities; "
            f"there are {count} modalities here: use both, which trains every direction."
        )
    if count > 2 and settings.kl == "analytic" and settings.combination == "mixture":
        raise InvalidSetting(
            "model.kl=analytic needs model.combination=product with more than two modalities: "
            "the KL of a mixture has no closed form; or use model.kl=mc."
        )
    if settings.own != "one" and not settings.include_own:
        raise InvalidSetting("model.own=all and drawn need model.include_own=true: the samples must be exchangeable.")
    if settings.own == "drawn" and not settings.detach_weight:
        raise InvalidSetting("model.own=drawn needs model.detach_weight=true; own=one and all have the full one.")
    if not settings.include_own and settings.k == 0:
        raise InvalidSetting("model.include_own=false needs model.k >= 1, or log q(t|s) has no sample.")
