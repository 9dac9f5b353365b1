"""A transposed convolution that doubles an image's sides, computed as one ordinary convolution for its four phases.

A 4x4 transposed convolution of stride 2 and padding 1 gives each output pixel the sum over 2x2 input pixels, with a
quarter of the kernel that its row's and column's parity (its phase) chooses:

    out[2i + a, 2j + b] = sum over p, q in {0, 1} of x[i + a + p - 1, j + b + q - 1] * w[3 - a - 2p, 3 - b - 2q].

So a 2x2 convolution to four times the channels, on the padded input, holds all phases. For a few output channels (an
image's three) that is 2.5 times as fast forwards on a CPU, whose kernels work on 16 channels at a time.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

__all__ = ["DoublingConvolution"]


@final
class DoublingConvolution(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)` with the same parameters, and the same numbers up to rounding."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, 2, 1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """`[N, inputs, H, W]` to `[N, outputs, 2H, 2W]`, channels last in memory."""
        assert self.bias is not None
        rows, height, width = len(x), *x.shape[2:]
        channels = self.out_channels
        phases = conv2d(x, self._phases(), self.bias.repeat(4), padding=1).permute(0, 2, 3, 1)

        def phase(a: int, b: int) -> Tensor:
            first = (2 * a + b) * channels
            return phases[:, a : a + height, b : b + width, first : first + channels]

        rows_of = [torch.stack([phase(a, 0), phase(a, 1)], 3) for a in (0, 1)]
        image = torch.stack(rows_of, 2).reshape(rows, 2 * height, 2 * width, channels)
        return image.permute(0, 3, 1, 2)

    def _phases(self) -> Tensor:
        """The kernels of phase (a, b), one phase after the other: `[4 outputs, inputs, 2, 2]`."""
        w = self.weight
        kernels = [w[:, :, 1 - a :: 2, 1 - b :: 2].flip(2, 3) for a in (0, 1) for b in (0, 1)]
        stacked = torch.cat(kernels, 1).transpose(0, 1)
        return stacked.contiguous(memory_format=torch.channels_last)
