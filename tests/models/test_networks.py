"""Networks: shapes, positive scales, independent rows, and linear layers that equal their convolution."""

import pytest
import torch
from torch import nn

from mmbench.errors import CannotBear, UnknownName
from mmbench.modality import ModalitySpec
from mmbench.models import NETWORKS, Architecture, build
from mmbench.models.networks.base import linear_as_convolution

GREY, COLOUR = ModalitySpec("grey", "image", (1, 28, 28)), ModalitySpec("colour", "image", (3, 32, 32))
TINY, VECTOR = ModalitySpec("tiny", "image", (1, 8, 8)), ModalitySpec("vector", "vector", (5,))
FITTING = [("small", s) for s in (GREY, COLOUR, TINY, VECTOR)] + [
    (n, s) for n in ("paper", "released") for s in (GREY, COLOUR)
]


@pytest.mark.parametrize(("name", "spec"), FITTING, ids=lambda v: v if isinstance(v, str) else v.name)
@pytest.mark.parametrize("scale", ["softplus", "softmax"])
def test_shapes_and_positive_scales(name, spec, scale):
    arch = Architecture(networks=name, latent_dim=6, posterior_scale=scale)
    coder = build(spec, arch)
    location, spread = coder.encoder(torch.rand(4, *spec.shape))
    assert location.shape == spread.shape == (4, 6)
    assert (spread > 0).all()
    if scale == "softmax":
        assert torch.allclose(spread.sum(-1), torch.full((4,), 6.0), atol=0.01)
    assert coder.decoder(torch.randn(7, 6)).numel() == 7 * spec.size


@pytest.mark.parametrize(("name", "spec"), FITTING, ids=lambda v: v if isinstance(v, str) else v.name)
def test_rows_do_not_influence_one_another(name, spec):
    coder = build(spec, Architecture(networks=name, latent_dim=6, norm="none"))
    x, z = torch.rand(3, *spec.shape), torch.randn(3, 6)
    assert torch.allclose(coder.encoder(x)[0][1:], coder.encoder(x[1:])[0], atol=1e-5)
    assert torch.allclose(coder.decoder(z)[1:], coder.decoder(z[1:]), atol=1e-5)


def test_batch_normalisation_is_only_where_it_is_asked_for():
    kinds = {norm: build(COLOUR, Architecture(networks="released", norm=norm)) for norm in ("none", "batch", "group")}

    def has(coder, layer):
        return any(isinstance(m, layer) for net in (coder.encoder, coder.decoder) for m in net.modules())

    assert has(kinds["batch"], nn.BatchNorm2d)
    assert has(kinds["group"], nn.GroupNorm)
    assert not has(kinds["none"], (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm))
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in kinds["batch"].decoder.modules())


def test_batch_normalisation_takes_a_batch_of_one_by_its_running_statistics():
    encoder = build(COLOUR, Architecture(networks="released", norm="batch")).encoder.train()
    encoder(torch.rand(8, *COLOUR.shape))
    location, _ = encoder(torch.rand(1, *COLOUR.shape))
    assert location.isfinite().all()


def test_number_of_parameters_is_that_of_the_tables():
    """Table 8a with L = 20: 784*400+400 + 2(400*20+20) and 20*400+400 + 400*784+784."""
    arch = Architecture(networks="paper", latent_dim=20)
    count = {n: sum(p.numel() for p in getattr(build(GREY, arch), n).parameters()) for n in ("encoder", "decoder")}
    assert count == {"encoder": 784 * 400 + 400 + 2 * (400 * 20 + 20), "decoder": 20 * 400 + 400 + 400 * 784 + 784}
    convolutions = 3 * 32 * 16 + 32 + 32 * 64 * 16 + 64 + 64 * 128 * 16 + 128
    encoder = sum(p.numel() for p in build(COLOUR, arch).encoder.parameters())
    assert encoder == convolutions + 2 * (128 * 16 * 20 + 20)


def test_a_transposed_convolution_on_one_pixel_is_a_linear_layer_with_its_initialisation():
    torch.manual_seed(0)
    convolution = nn.ConvTranspose2d(6, 8, 4)
    linear = nn.Linear(6, 8 * 16)
    with torch.no_grad():
        linear.weight.copy_(convolution.weight.reshape(6, -1).T)
        linear.bias.copy_(convolution.bias.repeat_interleave(16))
    z = torch.randn(3, 6)
    assert torch.allclose(convolution(z[:, :, None, None]).flatten(1), linear(z), atol=1e-5)
    ours = linear_as_convolution(6, 8 * 16, fan_in=8 * 16)
    assert ours.weight.abs().max() <= 128**-0.5
    assert ours.weight.std().item() == pytest.approx(convolution.weight.std().item(), rel=0.1)


def test_wrong_shapes_and_names_are_refused_with_the_way_out():
    for name in ("paper", "released"):
        with pytest.raises(CannotBear, match=r"1x28x28 and 3x32x32.*arch.networks=small"):
            build(TINY, Architecture(networks=name))
    with pytest.raises(UnknownName, match="did you mean 'small'"):
        build(TINY, Architecture(networks="smal"))
    assert set(NETWORKS) >= {"small", "paper", "released"}
