"""The fast paths against the plain one: the same losses, and gradients within the stated bounds.

The plain path (`testing.plain`) is written with `torch.distributions` and differentiates every sample; noise is
injected, so that both are given the same numbers.
"""

import sys

import pytest
import torch
from torch import nn

from mmbench.modality import ModalitySpec
from mmbench.models import MODELS, Architecture, MultimodalVAE, build, stratified
from mmbench.models.carrying import Chosen
from mmbench.models.execution import PLAIN, Execution
from mmbench.seeding import StepNoise
from mmbench.testing import plain
from mmbench.testing.checks import gradients, noise, within
from mmbench.testing.for_models import make_model, rows

MEME = [
    {"own": "one"},
    {"own": "one", "c": 1.0},
    {"own": "one", "kl": "analytic", "reduction": "sum"},
    {"own": "one", "logq": "sum"},
    {"own": "one", "detach_weight": False},
    {"own": "one", "include_own": False},
    {"own": "all"},
    {"own": "all", "logq": "sum", "kl": "analytic"},
    {"own": "drawn"},
    {"own": "drawn", "c": 1.0},
    {"own": "drawn", "logq": "sum"},
]
MMVAE = [
    {"objective": "iwae", "looser": True},
    {"objective": "iwae", "looser": False},
    {"objective": "elbo"},
    {"objective": "dreg"},
    {"objective": "dreg", "looser": False},
    {"objective": "dreg-released", "family": "laplace", "learn_prior": True},
]
CASES = [("meme", case) for case in MEME] + [("mmvae", case) for case in MMVAE] + [("vae", {"objective": "iwae"})]
SHARP = 0.1
"""Scale of the likelihood at which few samples carry weight."""


def model_of(name: str, settings: dict[str, object], *, k: int = 8) -> MultimodalVAE:
    model = make_model(MODELS[name], k=k, **settings)
    object.__setattr__(model.arch, "scale", SHARP)
    return model


def values_of(model: MultimodalVAE, n: int = 20, *, names: int = 2) -> dict[str, torch.Tensor]:
    return {name: rows(model, n)[name] for name in list(model.modalities)[:names]}


def found(model: MultimodalVAE, values, objective=None, key: int = 0):
    """Loss, and each parameter's gradient."""
    model.zero_grad()
    loss = (objective or model.objective)(values, noise=noise(key)).loss
    loss.backward()
    return loss.detach(), gradients(model)


def plainly(model: MultimodalVAE):
    return lambda values, noise: plain.objective(model, values, noise=noise)


def require_equal(one, other, *, within_largest: float) -> None:
    assert one[0] == pytest.approx(float(other[0]), rel=1e-12)
    for name, expected in other[1].items():
        error = (one[1][name] - expected).abs().max()
        assert error <= within_largest * expected.abs().max() + 1e-300, f"{name}: {error}"


# Against the plain path ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
@pytest.mark.parametrize("execution", [PLAIN, Execution(tolerance=0.0), Execution(static=True)], ids=str)
def test_at_tolerance_zero_losses_and_gradients_are_the_plain_paths(name, settings, execution):
    model = model_of(name, settings)
    values = values_of(model)
    expected = found(model, values, plainly(model))
    model.execution = execution
    require_equal(found(model, values), expected, within_largest=1e-10)


@pytest.mark.parametrize("settings", [*({"own": own} for own in ("one", "all", "drawn")), {"combination": "mixture"}])
def test_three_modalities_too(settings):
    model = model_of("meme", settings)
    values = values_of(model, names=3)
    assert len(values) == 3
    expected = found(model, values, plainly(model))
    model.execution = Execution(tolerance=0.0)
    require_equal(found(model, values), expected, within_largest=1e-10)


def test_rows_of_one_modality_have_the_plain_paths_objective():
    model = model_of("meme", {})
    for name in model.modalities:
        values = {name: rows(model, 6)[name]}
        require_equal(found(model, values), found(model, values, plainly(model)), within_largest=1e-10)


@pytest.mark.parametrize("likelihood", ["laplace", "normal", "bernoulli"])
def test_each_likelihood_in_closed_form_is_torchs(likelihood):
    specs = (ModalitySpec("a", "image", (1, 4, 4)), ModalitySpec("b", "image", (1, 3, 3)))
    arch = Architecture(networks="small", latent_dim=3, likelihood=likelihood, scale=0.3)
    torch.manual_seed(0)
    kind = MODELS["meme"]
    model = kind(specs, kind.Settings(k=4, own="all"), arch, {s.name: build(s, arch) for s in specs}).double()
    values = {spec.name: torch.rand(5, *spec.shape, dtype=torch.float64) for spec in specs}
    model.execution = Execution(tolerance=0.0)
    require_equal(found(model, values), found(model, values, plainly(model)), within_largest=1e-10)


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
@pytest.mark.parametrize("tolerance", [1e-5, 1e-3])
def test_gradients_are_off_by_no_more_than_the_tolerance_allows(name, settings, tolerance, monkeypatch):
    """The bound, entry by entry: in each row epsilon times the largest derivative by a score times the largest g_k."""
    model = model_of(name, settings)
    values = values_of(model, 4)
    with monkeypatch.context() as patch:
        taken = spied_on(patch, model)
        loss, exact = found(model, values)
    allowed = allowed_error(model, *taken, tolerance)
    model.execution = Execution(tolerance=tolerance)
    approximate = found(model, values)
    assert approximate[0] == pytest.approx(float(loss), rel=20 * tolerance)
    for key, expected in exact.items():
        assert ((approximate[1][key] - expected).abs() <= allowed[key] + 1e-9 * expected.abs().max()).all(), key


def spied_on(patch, model: MultimodalVAE):
    """From now on the model takes its plain path, and what it scores `[K, n]` and regularises (MEME) is kept."""
    module = stratified if model.name == "mmvae" else sys.modules[type(model).__module__]
    scores, regularised = [], []

    def chosen(score, z, execution, **given):
        scores.append(score(z, torch.arange(z.shape[1])))
        return scores[-1], None

    patch.setattr(module, "chosen_scores", chosen)
    if model.name == "meme":
        kept = type(model)._regularised

        def spy(self, direction, z):
            regularised.append(kept(self, direction, z))
            return regularised[-1]

        patch.setattr(type(model), "_regularised", spy)
    backward = torch.Tensor.backward
    patch.setattr(torch.Tensor, "backward", lambda self: backward(self, retain_graph=True))
    return scores, regularised


def allowed_error(model: MultimodalVAE, scores, regularised, tolerance: float) -> dict[str, torch.Tensor]:
    """epsilon times the mean over rows of the largest |dF/dl_k| / w_k |g_k|, in each entry of each parameter.

    For a log-mean-exp the factor is 1. MEME's is c + K + 1 (w_0 is at most K + 1), and where the weight is
    differentiated c + (K + 1) (1 + max |A|). Where all samples carry the first term, it has gradients of its own.
    """
    allowed = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for number, l_t in enumerate(scores):
        factor, parts = 1.0, [l_t]
        if model.name == "meme":
            factor = model.settings.c + len(l_t)
            if not model.settings.detach_weight:
                factor += len(l_t) * float((regularised[number] - l_t[:1]).detach().abs().max())
            parts += [regularised[number]] if model.settings.own == "all" else []
        shared = len(scores) if model.name == "meme" and model.settings.reduction == "mean" else 1
        for part in parts:
            for name, largest in largest_gradients(model, part).items():
                allowed[name] += (factor if part is l_t else 1.0) * tolerance * largest / shared
    return allowed


def largest_gradients(model: MultimodalVAE, scores: torch.Tensor) -> dict[str, torch.Tensor]:
    """Mean over the columns of scores `[K, n]` of max_k |dl_k / d theta|, for each entry of each parameter."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(p) for name, p in named.items()}
    for column in scores.unbind(1):
        largest = {name: torch.zeros_like(p) for name, p in named.items()}
        for score in column:
            found = torch.autograd.grad(score, list(named.values()), retain_graph=True, allow_unused=True)
            for name, gradient in zip(named, found, strict=True):
                if gradient is not None:
                    largest[name] = torch.maximum(largest[name], gradient.abs())
        for name, value in largest.items():
            total[name] += value / scores.shape[1]
    return total


def test_without_the_own_sample_in_log_q_no_sample_is_left_out():
    """There the own sample's weight has no bound: at any tolerance the gradients are the plain path's."""
    model = model_of("meme", {"own": "one", "include_own": False})
    values = values_of(model)
    expected = found(model, values, plainly(model))
    model.execution = Execution(tolerance=0.4)
    require_equal(found(model, values), expected, within_largest=1e-10)


@pytest.mark.parametrize(
    ("name", "settings"), [("meme", {"own": "one"}), ("meme", {"own": "all"}), ("mmvae", MMVAE[0])]
)
def test_a_large_tolerance_is_noticed(name, settings):
    model = model_of(name, settings)
    values = values_of(model)
    exact = found(model, values, plainly(model))[1]
    model.execution = Execution(tolerance=0.4)
    rough = found(model, values)[1]
    total = sum(float((rough[key] - expected).norm() ** 2) for key, expected in exact.items()) ** 0.5
    assert total > 1e-4 * sum(float(g.norm() ** 2) for g in exact.values()) ** 0.5


# A fixed number of samples -------------------------------------------------------------------------------------------
UNBIASED = [
    ("meme", {"own": "one"}),
    ("meme", {"own": "all"}),
    ("mmvae", {"looser": True}),
    ("mmvae", {"looser": False}),
]


class Redrawn(StepNoise):
    """The samples of key 0 and, for the choice of what is differentiated, another draw for each key."""

    def __init__(self, draw: int, key: int = 0) -> None:
        super().__init__(key, dtype=torch.float64)
        self.draw, self.key = draw, key

    def normal(self, name, shape):
        if name == "differentiated":
            return StepNoise(1_000_003 * self.draw + self.key % 1_000_003, dtype=torch.float64).normal(name, shape)
        return super().normal(name, shape)

    def child(self, name: str) -> "Redrawn":
        return Redrawn(self.draw, super().child(name)._key)


def mean_gradient(model: MultimodalVAE, values, number: int, draws: int):
    model.execution = Execution(differentiated=number)
    drawn = []
    for key in range(draws):
        model.zero_grad()
        model.objective(values, noise=Redrawn(key)).loss.backward()
        drawn.append(torch.cat([g.flatten() for g in gradients(model).values()]))
    return torch.stack(drawn)


@pytest.mark.statistical
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("name", "settings"), UNBIASED, ids=str)
def test_differentiating_a_fixed_number_is_unbiased(name, settings, number):
    """Over the draws alone, the samples fixed: the mean gradient is the plain path's."""
    model = make_model(MODELS[name], k=4, **settings)
    values = values_of(model, 6)
    model.execution = PLAIN
    model.zero_grad()
    model.objective(values, noise=Redrawn(0)).loss.backward()
    exact = torch.cat([g.flatten() for g in gradients(model).values()])
    assert within(mean_gradient(model, values, number, 400), exact, sigmas=6.0)


@pytest.mark.statistical
def test_a_biased_choice_is_seen(monkeypatch):
    """Without the factor that lets the drawn sample stand for the others, the mean lies outside of its interval."""
    monkeypatch.setattr(Chosen, "weighed", lambda self, value: value)
    model = make_model(MODELS["mmvae"], k=4)
    values = values_of(model, 6)
    model.execution = PLAIN
    model.zero_grad()
    model.objective(values, noise=Redrawn(0)).loss.backward()
    exact = torch.cat([g.flatten() for g in gradients(model).values()])
    assert not within(mean_gradient(model, values, 2, 400), exact, sigmas=6.0)


@pytest.mark.parametrize(("name", "settings"), UNBIASED[:1] + UNBIASED[2:], ids=str)
def test_the_loss_itself_does_not_depend_on_what_is_differentiated(name, settings):
    model = model_of(name, settings)
    values = values_of(model)
    expected = found(model, values, plainly(model))[0]
    for static in (False, True):
        model.execution = Execution(differentiated=1, static=static)
        assert found(model, values)[0] == pytest.approx(float(expected), rel=1e-12)


# Rows that influence one another --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "settings"), [("meme", {"own": own}) for own in ("one", "all", "drawn")] + [("mmvae", MMVAE[0])]
)
def test_with_batch_normalisation_in_a_decoder_every_sample_is_under_autograd(name, settings):
    model = model_of(name, settings)
    first, second = list(model.modalities)[:2]
    for key in (first, second):
        decoder = model.decoders[key]
        model.decoders[key] = nn.Sequential(nn.BatchNorm1d(model.arch.latent_dim).double(), decoder)
    values = values_of(model)
    sizes = []
    model.decoders[second].register_forward_hook(lambda *_: sizes.append(torch.is_grad_enabled()))
    found(model, values)
    assert all(sizes)


def test_convolutional_decoders_in_float32_agree_too():
    """The released networks: picked rows are decoded in another grouping, which float32 may round differently."""
    specs = (ModalitySpec("grey", "image", (1, 28, 28)), ModalitySpec("colour", "image", (3, 32, 32)))
    arch = Architecture(networks="released", latent_dim=8)
    torch.manual_seed(0)
    kind = MODELS["mmvae"]
    model = kind(specs, kind.Settings(k=3), arch, {spec.name: build(spec, arch) for spec in specs})
    values = {spec.name: torch.rand(5, *spec.shape) for spec in specs}
    results = []
    for execution in (PLAIN, Execution()):
        model.execution = execution
        model.zero_grad()
        model.objective(values, noise=StepNoise(0)).loss.backward()
        results.append(torch.cat([g.flatten() for g in gradients(model).values()]))
    assert (results[0] - results[1]).norm() <= 1e-4 * results[0].norm()
