"""The fast paths against the plain one: the same losses, and gradients within the stated bounds.

The plain path (`testing.plain`) is written with `torch.distributions` and differentiates every sample; noise is
injected, so that both are given the same numbers.
"""

import sys

import pytest
import torch
from torch import nn

from mmbench.modality import ModalitySpec
from mmbench.models import MODELS, Architecture, MultimodalVAE, build
from mmbench.models.carrying import Chosen, carrying, chosen_scores, heaviest, rows_are_independent, scored
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
    module = sys.modules[type(model).__module__]
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


def test_the_bound_is_no_idle_one():
    """So that the test above could fail: what is left out is a fair share of what the bound allows."""
    z = torch.randn(9, 200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope = torch.tensor([3.0, -2.0, 1.0], dtype=torch.float64, requires_grad=True)
    tolerance, columns = 0.05, torch.arange(200)
    execution = Execution(tolerance=tolerance)
    scores, chosen = chosen_scores(
        lambda some, rows: 2 * some @ slope, z, execution, independent=True, uniform=lambda: torch.rand(1, 200)
    )
    assert chosen is not None
    off = torch.zeros(3, dtype=torch.float64)
    allowed = torch.zeros(3, dtype=torch.float64)
    for b in columns.tolist():
        (approximate,) = torch.autograd.grad(scores[:, b].logsumexp(0), slope, retain_graph=True)
        weights = (2 * z[:, b] @ slope.detach()).softmax(0)
        exact, bound = (weights @ (2 * z[:, b])), tolerance * (2 * z[:, b]).abs().max(0).values
        assert ((approximate - exact).abs() <= bound).all()
        off += (approximate - exact).abs()
        allowed += bound
    assert (off > allowed / 20).all()


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


# The parts -----------------------------------------------------------------------------------------------------------
def test_what_is_left_out_of_a_row_weighs_at_most_the_tolerance_and_no_more_could_be():
    scores = 8 * torch.randn(12, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = scores.softmax(0)
    for tolerance in (0.0, 1e-6, 1e-3, 0.2):
        kept = carrying(scores, tolerance)
        left = weights.masked_fill(kept, 0).sum(0)
        assert (left <= tolerance).all()
        lightest = weights.masked_fill(~kept, 2).min(0).values
        assert (left + lightest > tolerance).all()
        assert kept.any(0).all()


def test_the_heaviest_are_taken_and_the_rest_is_drawn_in_proportion():
    weights = torch.tensor([0.5, 0.05, 0.3, 0.15], dtype=torch.float64)
    uniform = ((torch.arange(20_000) + 0.5) / 20_000).double().unsqueeze(0)
    chosen = heaviest(weights.log().unsqueeze(1).expand(4, 20_000), 2, uniform)
    samples, factors = chosen.samples.view(2, -1), chosen.factors.view(2, -1)
    assert (samples[0] == 0).all()
    assert (factors[0] == 1).all()
    shares = torch.bincount(samples[1], minlength=4) / 20_000
    assert shares.tolist() == pytest.approx([0, 0.1, 0.6, 0.3], abs=1e-3)
    assert torch.allclose(factors[1] * weights[samples[1]], torch.full((20_000,), 0.5, dtype=torch.float64))


@pytest.mark.parametrize(("columns", "samples"), [(1, 1), (3, 700), (5, 11), (130, 11)])
def test_scoring_in_parts_gives_every_column_its_own_scores(columns, samples):
    z = torch.randn(samples, columns, 2, dtype=torch.float64)
    offset = torch.arange(columns, dtype=torch.float64)
    assert torch.equal(scored(lambda some, rows: some.sum(-1) + offset[rows], z), z.sum(-1) + offset)


def test_spread_weights_take_the_plain_path_and_sharp_ones_do_not():
    z = torch.randn(10, 64, 3, requires_grad=True)
    for sharpness, plain_path in ((0.01, True), (100.0, False)):
        seen = []

        def score(some, rows, sharpness=sharpness, seen=seen):
            seen.append((tuple(some.shape[:2]), torch.is_grad_enabled()))
            return sharpness * some.sum(-1)

        _, chosen = chosen_scores(score, z, Execution(), independent=True, uniform=lambda: torch.rand(1, 64))
        assert (chosen is None) == plain_path
        assert (((10, 64), True) in seen) == plain_path
        assert sum(size[0] * size[1] for size, graph in seen if not graph) <= 640


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.Dropout(0.5), nn.GRU(4, 4, 2, dropout=0.1)])
def test_networks_whose_rows_influence_one_another_are_known(layer):
    network = nn.Sequential(nn.Linear(4, 4), layer)
    assert not rows_are_independent(nn.Linear(4, 4), network.train())
    assert rows_are_independent(network.eval())
    assert rows_are_independent(nn.Linear(4, 4), nn.GroupNorm(2, 4), nn.Dropout(0.0))


def test_a_module_may_say_that_its_rows_influence_one_another():
    layer = nn.Linear(4, 4)
    layer.couples_rows = True
    assert not rows_are_independent(nn.Sequential(layer))


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
