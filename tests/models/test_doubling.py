"""The transposed convolution by phases against torch's own."""

import pytest
import torch
from torch.nn.functional import conv_transpose2d

from mmbench.models.networks.doubling import DoublingConvolution


@pytest.mark.parametrize("shape", [(2, 5, 4, 4), (1, 5, 1, 1), (3, 5, 3, 7), (0, 5, 4, 4)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_torchs(shape, layout):
    torch.manual_seed(0)
    layer = DoublingConvolution(5, 3).double().to(memory_format=layout)
    x = torch.randn(shape, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    weights = torch.randn(shape[0], 3, 2 * shape[2], 2 * shape[3], dtype=torch.float64)
    found = []
    for output in (layer(x), conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=1)):
        gradients = torch.autograd.grad((weights * output.square()).sum(), [x, layer.weight, layer.bias])
        found.append([output.detach(), *gradients])
    for ours, torchs in zip(*found, strict=True):
        assert torch.allclose(ours, torchs, rtol=1e-12, atol=1e-12)


def test_it_has_the_parameters_of_the_transposed_convolution():
    """Weights of one serve the other, and both start from the same draws."""
    torch.manual_seed(0)
    ours = DoublingConvolution(4, 2).state_dict()
    torch.manual_seed(0)
    torchs = torch.nn.ConvTranspose2d(4, 2, 4, 2, 1).state_dict()
    assert list(ours) == list(torchs)
    assert all(torch.equal(ours[key], torchs[key]) for key in ours)
