"""MFM: its discrepancy against a double loop and a closed form, an objective of 0, and when surrogates speak."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmbench.config import parse_settings
from mmbench.errors import CannotBear, InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.mfm import MFM, MfmSettings, mmd
from mmbench.models.networks import Coder
from mmbench.models.posteriors import Gaussian, Point, kl_standard
from mmbench.models.private import layout_of
from mmbench.seeding import Noise
from mmbench.testing.checks import gradients, noise, repeated, within

NAMES = ("s", "t", "u")
SPECS = tuple(ModalitySpec(name, "vector", (4,)) for name in NAMES)
BOTH = pytest.mark.parametrize("m", [2, 3])


def make(m: int = 3, *, dim: int = 7, networks: str = "small", **settings: object) -> MFM:
    arch = Architecture(networks=networks, latent_dim=dim, likelihood="normal")
    own = parse_settings(MfmSettings, settings, "model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MFM(SPECS[:m], own, arch, MFM.coders(SPECS[:m], own, arch)).double()


def sample(rows: int, m: int = 3, seed: int = 0) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(seed)
    return {name: torch.randn(rows, 4, generator=source, dtype=torch.float64) for name in NAMES[:m]}


def points(rows: int, dim: int, seed: int) -> Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The discrepancy ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kernel", ["official", "mean"])
def test_mmd_agrees_with_a_double_loop_over_all_pairs_the_diagonal_included(kernel):
    a, b = points(5, 3, 0), points(4, 3, 1) + 0.5
    scale = 9 if kernel == "official" else 3

    def mean_kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean([[np.exp(-np.sum((p - q) ** 2) / scale) for q in y] for p in x]))

    x, y = a.numpy(), b.numpy()
    expected = mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)
    assert abs(mmd(a, b, kernel=kernel).item() - expected) < 1e-14


@pytest.mark.parametrize("kernel", ["official", "mean"])
def test_mmd_is_exactly_zero_between_a_sample_and_itself_and_positive_otherwise(kernel):
    for dim in (1, 3, 20):
        a = points(16, dim, dim)
        assert mmd(a, a, kernel=kernel).item() == 0
        for seed in range(20):
            assert mmd(a, points(11, dim, 100 + seed), kernel=kernel).item() > 0
    assert mmd(points(1, 2, 0), points(1, 2, 1), kernel=kernel).item() > 0, "a batch of one"


@pytest.mark.statistical
@pytest.mark.parametrize("kernel", ["official", "mean"])
def test_expectation_for_codes_that_are_gaussian_already(kernel):
    """E k(g, g') = (1 + 4/s)^(-d/2) for N(0, I) and exp(-||a - b||^2 / s), since a - b ~ N(0, 2I); k(g, g) = 1. So

        E MMD^2 = 2 [1/B + (1 - 1/B) E k] - 2 E k = 2 (1 - E k) / B.

    The kernel whose scale is dim instead of dim^2 has another expectation.
    """
    dim, rows = 4, 6
    scale = {"official": dim**2, "mean": dim}
    exact = {name: 2 * (1 - (1 + 4 / s) ** (-dim / 2)) / rows for name, s in scale.items()}
    found = torch.stack([mmd(points(rows, dim, i), points(rows, dim, 9000 + i), kernel=kernel) for i in range(1500)])
    assert within(found, exact[kernel])
    assert not within(found, exact["mean" if kernel == "official" else "official"])
    assert not within(found, 0.0), "a V-statistic is not unbiased"


def test_mmd_grows_as_codes_move_away_and_pulls_them_back():
    draws = points(200, 2, 0)
    found = [mmd(draws, points(200, 2, 1) + shift).item() for shift in (0.0, 1.0, 3.0)]
    assert found == sorted(found)
    codes = (points(200, 2, 1) + 2).requires_grad_()
    mmd(draws, codes).backward()
    assert (codes.grad.mean(0) > 0).all()
    with pytest.raises(InvalidSetting, match="one of official, mean, got 'rbf'"):
        mmd(draws, draws, kernel="rbf")


# An exact model -------------------------------------------------------------------------------------------------------
class Columns(nn.Module):
    """Some columns of x, or of the modality `of` where several are given."""

    def __init__(self, part: slice, of: str | None = None) -> None:
        super().__init__()
        self.part, self.of = part, of

    def forward(self, x: Tensor | dict[str, Tensor]) -> Tensor:
        return (x if isinstance(x, Tensor) else x[str(self.of)])[:, self.part]


class Given(Noise):
    """The same draw whenever its shape is asked for; zeros (and so one half) otherwise."""

    def __init__(self, draw: Tensor) -> None:
        self.draw = draw

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        held = tuple(shape) == (1, *self.draw.shape)
        return self.draw[None] if held else torch.zeros(*shape, dtype=torch.float64)

    def child(self, name: str) -> "Given":
        return self


def invertible(m: int, **settings: object) -> tuple[MFM, dict[str, Tensor], Tensor]:
    """A model whose decoders invert its encoders, with values whose codes are the draw that is returned.

    x_m = (z_y, z_m), E_m reads the last columns of x_m, E_y the first ones of s, and factors are the codes themselves.
    """
    dim = 2 + 2 * m
    layout = layout_of(NAMES[:m], dim, model="mfm")
    shared, draw = layout.shared.stop, points(9, dim, 3)
    values = {name: torch.cat([draw[:, layout.shared], draw[:, part]], -1) for name, part in layout.private.items()}
    specs = [ModalitySpec(name, "vector", x.shape[1:]) for name, x in values.items()]
    coders = {name: Coder(Columns(slice(shared, None)), nn.Identity()) for name in values}
    arch = Architecture(latent_dim=dim, likelihood="normal")
    model = MFM(specs, parse_settings(MfmSettings, settings, "model"), arch, coders).double()
    model.joint, model.shared_factor = Columns(slice(0, shared), of="s"), nn.Identity()
    model.private_factors = nn.ModuleDict({name: nn.Identity() for name in values})
    return model, values, draw


@BOTH
def test_objective_is_zero_when_decoders_invert_encoders_and_codes_are_the_draw(m):
    """The surrogates, which cannot know a private code, are left out by their weight."""
    model, values, draw = invertible(m, surrogate_weight=0.0)
    assert torch.equal(model.posterior(values).mean, draw)
    assert model.objective(values, noise=Given(draw)).loss.item() == 0
    assert model.objective(values, noise=Given(draw + 0.5)).loss.item() > 0.001, "codes that are not the draw"
    moved = {name: x.flip(0) for name, x in values.items()}
    assert model.objective(moved, noise=Given(draw)).loss.item() < 1e-15, "a discrepancy of samples, not of rows"


@BOTH
def test_every_term_stands_in_the_loss_with_its_weight(m):
    """Decoders that add 0.3 to x_s give 0.3^2 for s; codes all at 0 give sum MMD^2(0, draw); surrogates see below."""
    model, values, draw = invertible(m, prior_weight=0.7, surrogate_weight=0.0)
    model.decoders["s"] = nn.Linear(values["s"].shape[1], values["s"].shape[1]).double()
    with torch.no_grad():
        model.decoders["s"].weight.copy_(torch.eye(values["s"].shape[1]))
        model.decoders["s"].bias.fill_(0.3)
    assert abs(model.objective(values, noise=Given(draw)).loss.item() - 0.3**2) < 1e-12
    model.weights["s"] = 2.5
    assert abs(model.objective(values, noise=Given(draw)).loss.item() - 2.5 * 0.3**2) < 1e-12
    zeros = {name: torch.zeros_like(x) for name, x in values.items()}
    parts = [model.layout.shared, *model.layout.private.values()]
    discrepancy = sum(mmd(draw[:, part], torch.zeros_like(draw[:, part])) for part in parts)
    expected = 2.5 * 0.3**2 + 0.7 * discrepancy
    assert torch.allclose(model.objective(zeros, noise=Given(draw)).loss, expected, atol=1e-12)


# Surrogates -----------------------------------------------------------------------------------------------------------
class Recorder(nn.Module):
    """A surrogate that remembers what it was shown, and answers with a constant."""

    def __init__(self, dim: int, answer: float) -> None:
        super().__init__()
        self.answer, self.dim, self.seen = answer, dim, []

    def forward(self, values: dict[str, Tensor]) -> Tensor:
        self.seen.append({name: x.detach() for name, x in values.items()})
        like = next(iter(values.values()))
        return like.new_full((len(like), self.dim), self.answer)


@BOTH
def test_surrogates_stand_for_the_shared_code_and_missing_private_ones_only(m):
    model, values = make(m), sample(5, m)
    whole = model.posterior(values).mean
    model.surrogate = recorder = Recorder(7, 100.0)
    assert torch.equal(model.posterior(values).mean, whole)
    assert not recorder.seen, "with everything observed no surrogate is asked"
    for name in NAMES[:m]:
        others = {n: x for n, x in values.items() if n != name}
        found = model.posterior(others)
        assert isinstance(found, Point)
        replaced = (found.mean == 100.0).all(0)
        expected = torch.zeros(7, dtype=torch.bool)
        expected[model.layout.shared] = expected[model.layout.private[name]] = True
        assert torch.equal(replaced, expected)
        assert torch.allclose(found.mean[:, ~expected], whole[:, ~expected], atol=1e-12)
        assert set(recorder.seen[-1]) == set(others)


@BOTH
def test_surrogates_learn_from_every_row_by_a_proper_part_of_it(m):
    model, values = make(m), sample(60, m)
    model.surrogate = recorder = Recorder(7, 0.0)
    model.objective(values, noise=noise())
    patterns = [tuple(sorted(shown)) for shown in recorder.seen]
    assert len(patterns) == len(set(patterns)) == 2**m - 2
    assert sum(len(next(iter(shown.values()))) for shown in recorder.seen) == 60
    for shown in recorder.seen:
        first = next(iter(shown))
        rows = [int((values[first] == x).all(-1).nonzero()) for x in shown[first]]
        assert all(torch.equal(values[name][rows], x) for name, x in shown.items())


def test_surrogate_error_is_the_mean_square_over_each_lacking_code_averaged_over_rows():
    """A constant answer 0.2: per row the mean of (z - 0.2)^2 over z_y, and over the private code that is hidden."""
    model, values = make(2, prior_weight=0.0), sample(50, 2)
    model.surrogate = recorder = Recorder(7, 0.2)
    codes = model.posterior(values).mean
    found = model.objective(values, noise=noise()).terms["surrogates"]
    error, layout, total = (codes - 0.2).square(), model.layout, 0.0
    for shown in recorder.seen:
        (name,) = shown
        hidden = "t" if name == "s" else "s"
        for x in shown[name]:
            row = int((values[name] == x).all(-1).nonzero())
            total += error[row, layout.shared].mean() + error[row, layout.private[hidden]].mean()
    assert torch.allclose(found, total / 50, atol=1e-12)


@pytest.mark.parametrize("detach", [False, True])
def test_codes_are_targets_with_a_gradient_unless_detached(detach):
    model, values = make(detach_codes=detach, prior_weight=0.0), sample(20)
    model.weights = dict.fromkeys(NAMES, 0.0)
    model.objective(values, noise=noise()).loss.backward()
    moved = gradients(model)
    assert moved["surrogate.location.weight"].abs().max() > 0
    reached = [moved[name].abs().max() > 0 for name in ("encoders.s.location.weight", "joint.location.weight")]
    assert reached == [not detach] * 2


def test_surrogates_become_able_to_fill_in_what_a_modality_tells():
    """s = t: after training, the shared code given s alone is near the one given both."""
    model = make(2, dim=4, networks="linear")
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(40):
        x = sample(32, 1, seed=step)["s"]
        optimiser.zero_grad()
        model.objective({"s": x, "t": x}, noise=noise(step)).loss.backward()
        optimiser.step()
    x = sample(200, 1, seed=999)["s"]
    both, alone = (model.posterior(v).mean[:, model.layout.shared] for v in ({"s": x, "t": x}, {"s": x}))
    other = both.roll(1, 0)
    assert (alone - both).square().mean() < 0.2 * (other - both).square().mean()


# The KL variant -------------------------------------------------------------------------------------------------------
@pytest.mark.statistical
def test_kl_variant_decodes_a_sample_and_not_the_mean():
    """Linear decoding x^ = W z of z ~ N(mu, diag s^2): E ||x - x^||^2 / D = (||x - W mu||^2 + sum_j |W_j|^2 s_j^2) / D.

    The released code decodes the mean, which leaves the second part out.
    """
    model, values = make(2, dim=4, regulariser="kl", surrogate_weight=0.0), repeated(sample(1, 2), 1000)
    model.shared_factor = nn.Identity()
    model.private_factors = nn.ModuleDict({name: nn.Identity() for name in NAMES[:2]})
    weight = {name: points(4, 3, i) for i, name in enumerate(NAMES[:2])}
    for name in NAMES[:2]:
        model.decoders[name] = nn.Linear(3, 4, bias=False).double()
        with torch.no_grad():
            model.decoders[name].weight.copy_(weight[name])
    q = model.posterior(values)
    assert isinstance(q, Gaussian)
    of_means, of_samples = torch.zeros(()).double(), torch.zeros(()).double()
    for name, part in model.layout.private.items():
        index = [*range(2), part.start]
        mean, scale = q.mean[0, index].detach(), q.scale[0, index].detach()
        of_means = of_means + (values[name][0] - weight[name] @ mean).square().mean()
        of_samples = of_samples + (weight[name].square().sum(0) * scale.square()).sum() / 4
    kl = 0.1 * kl_standard(q)[0].detach()
    losses = torch.stack([model.objective(values, noise=noise(k)).loss.detach() for k in range(20)])
    assert within(losses, of_means + of_samples + kl)
    assert not within(losses, of_means + kl)


def test_kl_variant_is_gaussian_where_complete_and_a_point_of_means_otherwise():
    model, values = make(regulariser="kl"), sample(4)
    whole, part = model.posterior(values), model.posterior({"s": values["s"]})
    assert isinstance(whole, Gaussian)
    assert isinstance(part, Point)
    own = model.layout.private["s"]
    assert torch.allclose(part.mean[:, own], whole.mean[:, own], atol=1e-12)
    z = whole.rsample(2, noise())
    assert not torch.equal(z[0], z[1])


# What it refuses, and its shape ---------------------------------------------------------------------------------------
def test_there_is_no_likelihood_and_no_learning_from_incomplete_rows():
    model, values = make(), sample(3)
    for given in ({}, {"s": values["s"]}):
        with pytest.raises(CannotBear, match="has no likelihood: its codes are points"):
            model.generative_prior(given)
    assert MFM.facts.density == "none"
    assert model.cannot_bear(NAMES) is None
    with pytest.raises(CannotBear, match="cannot learn from rows that hold only s"):
        model.objective({"s": values["s"]}, noise=noise())


@pytest.mark.parametrize("regulariser", ["mmd", "kl"])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_batch_of_one_and_a_single_modality_work(regulariser, m):
    model = make(m, regulariser=regulariser)
    found = model.objective(sample(1, m), noise=noise())
    assert found.loss.isfinite()
    found.loss.backward()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())


def test_no_parameter_of_a_scale_where_codes_are_points():
    assert not [name for name, _ in make().named_parameters() if ".scale." in name]
    assert [name for name, _ in make(regulariser="kl").named_parameters() if "encoders.s.scale." in name]


def test_half_of_the_latent_is_shared_and_every_modality_has_a_part_of_the_rest():
    layout = layout_of(["u", "s", "t"], 16, model="mfm")
    assert layout.shared == slice(0, 8)
    assert layout.private == {"s": slice(8, 11), "t": slice(11, 14), "u": slice(14, 16)}
    assert layout_of(["s", "t", "u"], 4, model="mfm").shared == slice(0, 1)
    with pytest.raises(InvalidSetting, match=r"arch\.latent_dim=3 is too small .* 3 modalities.*use at least 4"):
        layout_of(["s", "t", "u"], 3, model="mfm")


def test_a_modality_is_decoded_from_the_shared_and_its_own_code_alone():
    model = make()
    z = points(6, 7, 0)[None].requires_grad_()
    model.likelihood("t", z).mean.square().sum().backward()
    read = z.grad.abs().amax((0, 1)) > 0
    expected = torch.zeros(7, dtype=torch.bool)
    expected[model.layout.shared] = expected[model.layout.private["t"]] = True
    assert torch.equal(read, expected)


def test_the_kernels_differ_and_each_is_the_one_that_is_asked_for():
    values, found = sample(10), {}
    for kernel in ("official", "mean"):
        found[kernel] = make(kernel=kernel).objective(values, noise=noise()).terms["mmd"].item()
    codes = make().posterior(values).mean
    draw = noise().child("draw").normal("z", (1, 10, 7))[0]
    parts = [make().layout.shared, *make().layout.private.values()]
    for kernel, value in found.items():
        assert math.isclose(
            value, sum(mmd(draw[:, p], codes[:, p], kernel=kernel).item() for p in parts), abs_tol=1e-12
        )
    assert abs(found["official"] - found["mean"]) > 1e-3
