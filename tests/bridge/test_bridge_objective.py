"""The objective of multivae's models as ours: a batch mean, on complete and partial rows, a function of the noise."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, MultimodalVAE
from mmbench.models.bridge.inputs import dataset
from mmbench.testing.checks import repeated
from mmbench.testing.small_models import loss_of, make_model, rows, step_noise
from mmbench.testing.small_models import some_modalities as modalities_of

pytestmark = pytest.mark.parity


def common(kind: type[MultimodalVAE], **options: object) -> MultimodalVAE:
    return make_model(kind, **{**kind.presets["common"]["model"], **options})


def draws(model: MultimodalVAE, values: dict[str, Tensor], count: int, stage: str) -> Tensor:
    """Losses `[count]` under independent noise."""
    return torch.stack([loss_of(model, values, step_noise(key), stage) for key in range(count)])


def test_the_loss_is_a_mean_over_the_batch(kind: type[MultimodalVAE]) -> None:
    """A row's own expected loss is that of the row many times over; a sum would be 16 times as large."""
    model = common(kind, modalities=modalities_of(2))
    for stage in model.stages:
        few, more = ((8, 64), (128, 8))  # rows, losses
        one, many = (draws(model, repeated(rows(model), n), count, stage.name) for n, count in (few, more))
        error = (one.var() / len(one) + many.var() / len(many)).sqrt()
        assert (one.mean() - many.mean()).abs() < 5 * error + 1e-9


def test_incomplete_data_is_taken_or_refused_as_the_facts_say(kind: type[MultimodalVAE]) -> None:
    """Told by the package itself, which is given an IncompleteDataset."""
    model = common(kind)
    held = {"b": rows(model)["b"]}
    data = dataset(held, model.ordered, model._like)
    assert data.masks["b"].all()
    assert not data.masks["a"].any()
    if kind.facts.partial_train_holds:
        assert model.theirs(data, epoch=1).loss.isfinite()
        return
    with pytest.raises(AttributeError, match="incomplete"):
        model.theirs(data, epoch=1)
    assert "joint encoder" in (model.cannot_bear(["b"]) or "")
    with pytest.raises(CannotBear, match="hold only b, as the package refuses an IncompleteDataset"):
        model.objective(held, noise=step_noise())


@pytest.mark.parametrize("names", [("b",), ("a", "c")])
def test_what_fills_in_for_missing_values_has_no_influence(
    partial_kind: type[MultimodalVAE], names: tuple[str]
) -> None:
    model = common(partial_kind)
    found = []
    for filler in (0.0, 7.0):
        data = dataset({n: x for n, x in rows(model).items() if n in names}, model.ordered, model._like)
        for name, mask in data.masks.items():
            data.data[name] = data.data[name] + filler * (~mask).double().reshape(
                -1, *[1] * (data.data[name].dim() - 1)
            )
        model.zero_grad(set_to_none=True)
        torch.manual_seed(0)
        np.random.seed(0)
        loss = model.theirs(data, epoch=1).loss
        loss.backward()
        grads = [p.grad for _, p in sorted(model.named_parameters()) if p.grad is not None]
        found.append([loss.detach(), *grads])
    for plain, filled in zip(*found, strict=True):
        torch.testing.assert_close(plain, filled, rtol=1e-9, atol=1e-12)


def test_global_generators_are_left_as_they_were(kind: type[MultimodalVAE]) -> None:
    model = common(kind)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    loss_of(model, rows(model), step_noise(), model.stages[0].name)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


OURS = {
    "MVAE": ("mvae", {"subsets": 0}, {"k": 0}),  # random sets: theirs draws them for a batch, ours for a row
    "MMVAE": ("mmvae", {"k": 2}, {"K": 2}),
    "MoPoE": ("mopoe", {}, {}),
    "JMVAE": ("jmvae", {}, {}),
    "MVTCAE": ("mvtcae", {}, {}),
    "CRMVAE": ("crmvae", {}, {}),
    "DMVAE": ("dmvae", {"form": "multivae"}, {}),
    "MMVAEPlus": ("mmvaeplus", {"k": 2}, {"K": 2}),
}
COUNTS = {"DMVAE": (3, 4), "MMVAEPlus": (3, 4)}  # whose private latents divide the small models' latent; 4 has a text


@pytest.mark.parametrize(("name", "count"), [(name, n) for name in sorted(OURS) for n in COUNTS.get(name, (2, 3))])
def test_common_is_the_objective_of_our_own_model(name: str, count: int) -> None:
    """Of equal weights, in expectation over the noise; a loss that is a twentieth larger is told apart."""
    ours_name, own, other = OURS[name]
    specs = modalities_of(count)
    ours = make_model(MODELS[ours_name], modalities=specs, **own)
    theirs = common(MODELS[f"multivae:{name}"], modalities=specs, **other)
    _copy(ours.encoders, theirs.encoders)
    _copy(ours.decoders, theirs.decoders)
    if name == "JMVAE":
        _copy(ours.joint, theirs.theirs.joint_encoder.network)
    values = repeated(rows(ours), 3 * 7 * 10)  # a multiple of the three or seven parts that MoPoE cuts a batch into
    a, b = (draws(model, values, 12, "main") for model in (ours, theirs))
    error = (a.var() / len(a) + b.var() / len(b)).sqrt()
    assert (a.mean() - b.mean()).abs() < 5 * error + 1e-6
    assert (1.05 * a.mean() - b.mean()).abs() > 5 * error


def _copy(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(source.state_dict())


def test_a_warm_up_follows_the_share_of_the_training_that_is_done() -> None:
    model = make_model(MODELS["multivae:MVAE"], warmup=10, epochs=20)
    found = [
        model.objective(rows(model), noise=step_noise(), progress=progress).terms["beta"].item()
        for progress in (0.0, 0.25, 0.475, 0.5, 1.0)
    ]
    assert found == pytest.approx([0.0, 0.5, 1.0, 1.0, 1.0])  # they end a warm-up of 10 epochs with the tenth's start


@pytest.mark.parametrize("name", ["JNF", "TELBO"])
def test_stages_are_the_warm_up_and_the_rest(name: str) -> None:
    kind = MODELS[f"multivae:{name}"]
    model = make_model(kind, warmup=30, epochs=40)
    assert [(stage.name, stage.share) for stage in model.stages] == [("joint", 0.75), ("single", 0.25)]
    with pytest.raises(InvalidSetting, match=r"model\.warmup=40 of model\.epochs=40 leaves a part"):
        make_model(kind, warmup=40, epochs=40)
    for stage in ("single", "joint", "single"):  # the package freezes its joint encoder for good; here it does not
        model.objective(rows(model), noise=step_noise(), stage=stage)
        assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_bernoulli_likelihood_of_images_is_refused() -> None:
    kind = MODELS["multivae:MVAE"]
    specs = modalities_of(1)
    arch = Architecture(latent_dim=4, likelihood="bernoulli")
    with pytest.raises(CannotBear, match=r"Bernoulli likelihood of 'a'.*use arch\.likelihood=laplace or normal"):
        kind(specs, kind.Settings(), arch, kind.coders(specs, kind.Settings(), arch))
