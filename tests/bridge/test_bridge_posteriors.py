"""Our posteriors of multivae's models against what its own `encode` gives."""

import pytest
import torch
from torch import Tensor

from mmbench.errors import CannotBear
from mmbench.models.base import MODELS, MultimodalVAE
from mmbench.models.bridge.inputs import complete
from mmbench.models.posteriors import Diagonal, Mixture, Normalised, Posterior
from mmbench.testing.checks import within
from mmbench.testing.small_models import make_model, observations, rows, step_noise
from mmbench.testing.small_models import some_modalities as modalities_of

pytestmark = pytest.mark.parity

N = 4000
NAMES = ["CMVAE", "CRMVAE", "DMVAE", "JMVAE", "JNF", "MMVAE", "MMVAEPlus", "MVAE", "MVTCAE", "MoPoE", "Nexus", "TELBO"]


def encoded(model: MultimodalVAE, names: tuple[str, ...], **options: object) -> Tensor:
    """Samples `[N, B, D]` of the package's `encode` (or its mean `[B, D]`) in our order of the flat latent."""
    data = complete({name: x for name, x in rows(model, 2).items() if name in names}, model.ordered, model._like)
    if model.kind.name == "MoPoE":  # encodes what it is not given, too
        data.data |= {name: x for name, x in rows(model, 2).items() if name not in names}
    torch.manual_seed(0)
    found = model.theirs.encode(data, list(names), **options)
    if model.kind.name == "Nexus" or found.one_latent_space:
        return found.z
    return torch.cat([found.z, *(found.modalities_z[name] for name in sorted(model.modalities))], -1)


def posterior(model: MultimodalVAE, names: tuple[str, ...]) -> Posterior:
    return model.posterior({name: x for name, x in rows(model, 2).items() if name in names})


def agree(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two sets of samples `[N, B, D]` have the same first and second moments, to five standard errors."""
    return all(within(a - b, torch.zeros(()), sigmas=5) for a, b in ((ours, theirs), (ours**2, theirs**2)))


@pytest.mark.parametrize("settings", [{}, {"common": True}], ids=["defaults", "common"])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_samples_have_the_moments_of_encode(name: str, settings: dict[str, bool]) -> None:
    kind = MODELS[f"multivae:{name}"]
    chosen = kind.presets["common"]["model"] if settings else {}
    model = make_model(kind, modalities=modalities_of(3), **chosen).eval()
    for names in observations(model):
        if name in ("TELBO", "JNF") and len(names) == 2:
            continue  # refused, or encode itself
        q = posterior(model, names)
        theirs = encoded(model, names, N=N)
        components = q.components if isinstance(q, Mixture) else (q,)
        # encode draws one component of a mixture for all that it is asked for
        assert any(agree(c.rsample(N, step_noise()), theirs) for c in components), names


@pytest.mark.parametrize("name", ["CRMVAE", "DMVAE", "JMVAE", "MVAE", "MVTCAE", "TELBO"])
@torch.no_grad()
def test_means_are_those_of_encode(name: str) -> None:
    model = make_model(MODELS[f"multivae:{name}"]).eval()
    for names in observations(model):
        if name == "TELBO" and len(names) == 2:
            continue
        q = posterior(model, names)
        assert isinstance(q, Diagonal)
        torch.testing.assert_close(q.mean, encoded(model, names, return_mean=True))


@torch.no_grad()
def test_private_latents_of_mopoe_stand_beside_the_product() -> None:
    model = make_model(MODELS["multivae:MoPoE"], modalities_specific_dim="1").eval()
    assert {name: part.start for name, part in model.layout.private.items()} == {"a": 3, "b": 4, "c": 5}
    for names in observations(model):
        assert agree(posterior(model, names).rsample(N, step_noise()), encoded(model, names, N=N)), names


@torch.no_grad()
def test_the_moments_tell_another_posterior() -> None:
    """The comparison can fail: of another set, and with another scale."""
    model = make_model(MODELS["multivae:MVAE"]).eval()
    theirs = encoded(model, ("a",), N=N)
    q = posterior(model, ("a",))
    assert not agree(posterior(model, ("a", "b")).rsample(N, step_noise()), theirs)
    assert not agree(q.mean + 1.1 * (q.rsample(N, step_noise()) - q.mean), theirs)


@torch.no_grad()
def test_a_flow_has_a_density_that_integrates_to_one() -> None:
    model = make_model(MODELS["multivae:JNF"], modalities=modalities_of(2)).eval()
    q = posterior(model, ("a",))
    assert isinstance(q, Normalised)
    z = 2 * torch.randn(20_000, 2, 6, dtype=torch.float64)
    log_proposal = torch.distributions.Normal(0, 2).log_prob(z).sum(-1)
    mass = (q.log_prob(z) - log_proposal).exp()
    assert within(mass, 1.0)
    assert mass.std() < 20


def test_a_set_outside_of_the_subsets_of_mopoe_has_no_posterior() -> None:
    model = make_model(MODELS["multivae:MoPoE"], subsets="a,a+b+c")
    assert model.cannot_bear(["b"]) == "model 'multivae:MoPoE' has no set of model.subsets that rows with only b hold"
    assert model.cannot_bear(["a", "b"]) is None
    with pytest.raises(CannotBear, match=r"no posterior given b: not one of model\.subsets"):
        posterior(model, ("b",))
