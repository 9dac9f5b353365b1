"""The parts of the bridge to multivae that need no multivae: what it says without the package, settings, networks' raw
numbers, tokens, layouts, random numbers, and the prior of clusters.
"""

from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
import pytest
import torch
from torch.nn.functional import softmax, softplus

from mmbench import listing
from mmbench.config import as_dict, parse_settings
from mmbench.errors import InvalidSetting, MMBenchError, UnknownName
from mmbench.modality import ModalitySpec, Tokens
from mmbench.models import MODELS
from mmbench.models.bridge import family, latents, package
from mmbench.models.bridge.drawing import drawing_from
from mmbench.models.bridge.inputs import shown, tokens_of
from mmbench.models.bridge.kinds import KINDS
from mmbench.models.bridge.networks import raw
from mmbench.models.bridge.priors import Clusters
from mmbench.models.bridge.settings import by_modality, epoch_of, mapping_fields, sets_of, settings_class
from mmbench.models.posteriors import DiagonalPrior
from mmbench.seeding import RowNoise
from mmbench.testing.checks import noise, within


# Without the package --------------------------------------------------------------------------------------------------
@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without multivae."""
    monkeypatch.setattr(package, "installed", lambda: None)
    package.load.cache_clear()


@pytest.mark.usefixtures("absent")
def test_without_the_package_a_model_says_how_to_install_it() -> None:
    for name in KINDS:
        with pytest.raises(MMBenchError, match=r"package multivae, which is not installed: pip install 'mmbench\[mult"):
            family(name)


@pytest.mark.usefixtures("absent")
def test_the_listing_names_the_models_and_the_state_of_the_package() -> None:
    last = listing.text("models").split("\n\n")[-1]
    assert "multivae:NAME" in last
    assert all(name in last for name in KINDS)
    assert "multivae not installed (pip install 'mmbench[multivae]'" in last


def test_the_listing_says_which_version_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "installed", lambda: package.READ)
    assert MODELS.offers()["multivae"].endswith(f"multivae {package.READ} is installed")
    monkeypatch.setattr(package, "installed", lambda: "2.0")
    assert MODELS.offers()["multivae"].endswith(
        f"2.0 is installed; what is said of its models was read in {package.READ}"
    )


# Settings -------------------------------------------------------------------------------------------------------------
@dataclass
class Config:
    """A configuration with every kind of field that multivae's have."""

    n_modalities: int
    latent_dim: int = 10
    warmup: int = 10
    beta: float = 1
    learn: bool = True
    loss: Literal["a", "b"] = "b"
    dim: int = None  # type: ignore[assignment]  # as multivae has it
    subsets: list[list] | dict[str, list] | None = None  # type: ignore[type-arg]  # as multivae declares it
    gammas: dict[str, float] | None = None
    modalities_specific_dim: dict = None  # type: ignore[assignment, type-arg]  # as multivae declares it
    adapt: list[str] | None = None
    custom_architectures: list = field(default_factory=list)  # type: ignore[type-arg]  # as multivae declares it


def test_settings_are_the_open_fields_of_a_configuration_with_their_types_and_defaults() -> None:
    made = settings_class("Some", Config)
    assert as_dict(made()) == {
        **{"warmup": 10, "beta": 1.0, "learn": True, "loss": "b", "dim": None, "subsets": None},
        **{"gammas": None, "modalities_specific_dim": None, "adapt": None, "epochs": 100},
    }
    given = {"beta": "2.5", "learn": "no", "dim": "3", "subsets": "a,a+b", "gammas": "a=1,b=2", "loss": "a"}
    parsed = parse_settings(made, given, "model")
    assert (parsed.beta, parsed.learn, parsed.dim, parsed.loss) == (2.5, False, 3, "a")
    assert (parsed.subsets, parsed.gammas) == (("a", "a+b"), ("a=1", "b=2"))
    assert mapping_fields(Config) == {"gammas": float, "modalities_specific_dim": int}
    assert all(part.metadata["help"] for part in fields(made))
    with pytest.raises(UnknownName, match="latent_dim"):
        parse_settings(made, {"latent_dim": 3}, "model")
    with pytest.raises(UnknownName, match="'c'"):
        parse_settings(made, {"loss": "c"}, "model")


def test_a_field_of_another_type_is_an_error() -> None:
    @dataclass
    class Strange:
        odd: set[int] = field(default_factory=set)

    with pytest.raises(InvalidSetting, match="field 'odd' of multivae's Strange"):
        settings_class("Strange", Strange)


def test_numbers_and_sets_of_modalities_are_checked() -> None:
    assert by_modality(None, ["a"], of=int, where="x") is None
    assert sets_of(["b+a", "b"], ["a", "b"], where="x") == [["a", "b"], ["b"]]
    with pytest.raises(UnknownName, match="modality in x 'c'"):
        by_modality(["a=1", "c=2"], ["a", "b"], of=int, where="x")
    with pytest.raises(InvalidSetting, match="x says nothing of 'b'"):
        by_modality(["a=1"], ["a", "b"], of=int, where="x")
    with pytest.raises(InvalidSetting, match=r"x must hold numbers \(int\), got '1.5'"):
        by_modality(["1.5"], ["a", "b"], of=int, where="x")
    with pytest.raises(UnknownName, match="modality in x 'c'"):
        sets_of(["a+c"], ["a", "b"], where="x")


def test_epochs_are_counted_from_one_and_end_with_the_last() -> None:
    assert [epoch_of(p, 10) for p in (0.0, 0.05, 0.1, 0.99)] == [
        (1, 0.0),
        (1, 0.5),
        (2, 0.0),
        (10, pytest.approx(0.9)),
    ]
    assert epoch_of(1.0, 10) == (10, 1.0)


# Networks, rows and layouts -------------------------------------------------------------------------------------------
def test_a_scale_passes_through_the_raw_number_of_each_family() -> None:
    scale = torch.tensor([[1e-4, 0.3, 2.0, 40.0]], dtype=torch.float64)
    torch.testing.assert_close((0.5 * raw(scale, "normal")).exp(), scale)
    torch.testing.assert_close(softplus(raw(scale, "normal_with_softplus")), scale)
    shares = softmax(raw(scale, "laplace_with_softmax"), -1) * 4
    torch.testing.assert_close(shares, 4 * scale / scale.sum())


def test_tokens_go_one_hot_and_come_back() -> None:
    ids = torch.tensor([[1, 2, 0], [3, 0, 0]], dtype=torch.int16)
    like = torch.zeros((), dtype=torch.float64)
    for ignored, counted in ((0, 3), (None, 6)):
        spec = ModalitySpec("text", "tokens", (3,), Tokens(4, ignored=ignored))
        hot = shown(spec, ids, like)
        assert hot.shape == (2, 3, 4)
        assert hot.sum() == counted
        assert torch.equal(tokens_of(spec, hot), ids.long())
    last = ModalitySpec("text", "tokens", (3,), Tokens(4, ignored=3))
    assert torch.equal(tokens_of(last, shown(last, ids, like)), ids.long())


@dataclass(frozen=True)
class Asked:
    modalities_specific_dim: object = None


def test_private_latents_stand_behind_the_shared_ones_in_the_order_of_names() -> None:
    def parts(name: str, asked: object, dim: int) -> tuple[int, dict[str, tuple[int, int]]]:
        found = latents.layout_of(KINDS[name], Asked(asked), ["t", "s"], dim)
        return found.shared.stop, {n: (part.start, part.stop) for n, part in found.private.items()}

    assert parts("MVAE", None, 8) == (None, {})
    assert parts("MoPoE", None, 8) == (None, {})
    assert parts("DMVAE", None, 9) == (5, {"s": (5, 7), "t": (7, 9)})
    assert parts("CMVAE", 3, 8) == (2, {"s": (2, 5), "t": (5, 8)})
    assert parts("MoPoE", ["t=3", "s=1"], 8) == (4, {"s": (4, 5), "t": (5, 8)})
    with pytest.raises(InvalidSetting, match=r"latent_dim=6 is too small for model 'multivae:CMVAE'.*3 dimensions"):
        parts("CMVAE", 3, 6)
    assert latents.lower_sizes(Asked(None), ["t", "s"], 8) == {"s": 8, "t": 8}
    assert latents.lower_sizes(Asked(["4"]), ["t", "s"], 8) == {"s": 4, "t": 4}


# Random numbers -------------------------------------------------------------------------------------------------------
def drawn(key: int, rows: int = 3) -> tuple[float, float]:
    like = torch.zeros((), dtype=torch.float64)
    with drawing_from(RowNoise(key, range(rows), dtype=torch.float64), rows, like=like):
        assert torch.get_default_dtype() == torch.float64
        return torch.rand(()).item(), np.random.rand()


def test_draws_are_a_function_of_the_noise_and_leave_no_trace() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_default_dtype()
    first, again, other, more = drawn(0), drawn(0), drawn(1), drawn(0, rows=4)
    assert first == again
    assert len({first[0], other[0], more[0]}) == len({first[1], other[1], more[1]}) == 3
    with pytest.raises(ZeroDivisionError), drawing_from(noise(), 3, like=torch.zeros((), dtype=torch.float64)):
        _ = torch.rand(()) / (1 // 0)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert torch.get_default_dtype() == before[2]


# Clusters -------------------------------------------------------------------------------------------------------------
def test_clusters_have_the_density_of_their_mixture_and_are_drawn_by_their_weights() -> None:
    centres, weights = torch.tensor([-3.0, 1.0, 4.0], dtype=torch.float64), torch.tensor([0.2, 0.5, 0.3]).double()
    parts = tuple(DiagonalPrior("", "normal", c.reshape(1), torch.full((1,), 0.5).double()) for c in centres)
    prior = Clusters("clusters", weights.log(), parts)
    z = torch.linspace(-6, 7, 40, dtype=torch.float64).reshape(2, 20, 1)
    exact = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(weights), torch.distributions.Normal(centres, 0.5)
    )
    torch.testing.assert_close(prior.log_prob(z), exact.log_prob(z[..., 0]))
    some = prior.sample(40, 500, noise())[..., 0].flatten()
    assert within(some, exact.mean)
    assert within((some - exact.mean).square(), exact.variance)
    assert within((some < -1).double(), 0.2)
    assert not within((some < -1).double(), 1 / 3)
