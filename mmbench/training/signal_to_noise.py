"""How much of a gradient is signal: its mean over its standard deviation, at fixed parameters and a fixed mini-batch.

Figure 10 of the MEME paper (Joy et al., ICLR 2022) compares two estimators of one gradient in this way, and leaves open
how it is computed. Here n independent estimates g_1..g_n differ in the noise alone (samples of z, dropout), and

    SNR_i = |mean g_i| / std g_i    (n - 1 in the variance),

is averaged over the parameters of a network: each encoder and each decoder, by the name of its modality. With pure
noise this is about sqrt(2 / (pi n)), 0.08 for n = 100: the floor of every curve.

A parameter whose gradient does not vary has no finite ratio and is left out: it is a gradient of zero (a unit that is
off, a network that the objective does not reach) or one without noise. A network without any other parameter has no
value at that step. All estimators see the same noise.

The objective is the run's own, `model.direction` included. Of a MEME run with `model.direction=s->t`, s the first
modality and t the second, phi of the figure is the encoder of s and varphi the decoder of t. With `direction=both` the
networks are the same, but each holds the gradients of both of its roles: the encoder of s is the recognition model of
one direction and the conditional prior of the other.

The measurement leaves no trace in the training: modes stay as they are, and buffers (running statistics), torch's
generators, settings and execution are put back; the gradients and the optimiser are not touched. It takes the plain
path, on which every sample is differentiated (see `models.execution`).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mmbench.modality import Step
from mmbench.models.base import MultimodalVAE
from mmbench.models.execution import PLAIN
from mmbench.seeding import StepNoise, stream
from mmbench.training.determinism import seed_generators
from mmbench.training.objective import step_objective
from mmbench.training.precision import networks_in

__all__ = ["Moments", "networks_measured", "signal_to_noise"]

log = logging.getLogger(__name__)

ROUNDING = 8
"""A standard deviation of at most so many machine epsilons of the mean is rounding: the gradient does not vary."""


def signal_to_noise(
    model: MultimodalVAE,
    data: Step,
    *,
    draws: int,
    key: int,
    progress: float = 1.0,
    stage: str = "main",
    precision: str = "float32",
) -> dict[str, float]:
    """Mean signal-to-noise ratio of each network's gradient, under each estimator that the model names.

    Args:
        data: the mini-batch.
        draws: n, at least 2.
        key: stream key of the noise.
        progress, stage, precision: as in a step of the training.

    Returns:
        `<estimator>/encoder/<modality>` and `<estimator>/decoder/<modality>` -> SNR, where there is one.
    """
    found: dict[str, float] = {}
    networks = networks_measured(model)
    parameters = list(dict.fromkeys(p for members in networks.values() for p in members))
    if not parameters:
        return found
    with _left_as_it_is(model), networks_in(model, precision):
        for estimator, settings in model.gradient_estimators.items():
            model.settings = settings
            moments = Moments(parameters)
            for draw in range(draws):
                drawn = stream(key, draw)
                seed_generators(drawn, model.device)
                noise = StepNoise(drawn, device=model.device, dtype=model.dtype)
                loss = step_objective(model, data, noise=noise, progress=progress, stage=stage).loss
                moments.add(_gradients(loss, parameters))
            ratios = dict(zip(parameters, moments.ratios(), strict=True))
            for network, members in networks.items():
                value = _mean(torch.cat([ratios[parameter] for parameter in members]), f"{estimator}/{network}")
                if value is not None:
                    found[f"{estimator}/{network}"] = value
    return found


def networks_measured(model: MultimodalVAE) -> dict[str, list[nn.Parameter]]:
    """`encoder/<modality>` and `decoder/<modality>` -> the parameters that are being trained, where there are any."""
    found: dict[str, list[nn.Parameter]] = {}
    for kind, networks in (("encoder", model.encoders), ("decoder", model.decoders)):
        for name in model.modalities:
            members = [parameter for parameter in networks[name].parameters() if parameter.requires_grad]
            if members:
                found[f"{kind}/{name}"] = members
    return found


class Moments:
    """Running means and sums of squared deviations of tensors that come together (Welford, Technometrics 1962).

    Args:
        like: one tensor of each shape.
    """

    def __init__(self, like: Sequence[Tensor]) -> None:
        self.count = 0
        self._means = [torch.zeros_like(x, requires_grad=False) for x in like]
        self._squares = [torch.zeros_like(x, requires_grad=False) for x in like]

    def add(self, values: Sequence[Tensor | None]) -> None:
        """Take in one value of each tensor; None is zero."""
        self.count += 1
        for value, mean, squares in zip(values, self._means, self._squares, strict=True):
            delta = -mean if value is None else value - mean
            mean.add_(delta, alpha=1 / self.count)
            squares.addcmul_(delta, delta, value=(self.count - 1) / self.count)

    def ratios(self) -> Iterator[Tensor]:
        """|mean| / std of each entry, flat: NaN where nothing varies, infinite where a value was not finite."""
        for mean, squares in zip(self._means, self._squares, strict=True):
            std, size = (squares / (self.count - 1)).sqrt().flatten(), mean.abs().flatten()
            varies = std > ROUNDING * torch.finfo(size.dtype).eps * size
            ratio = torch.where(varies, size / std, torch.nan)
            yield torch.where(size.isfinite() & std.isfinite(), ratio, torch.inf)


def _gradients(loss: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor | None]:
    if not loss.requires_grad:
        return [None] * len(parameters)
    return torch.autograd.grad(loss, parameters, allow_unused=True)


def _mean(ratios: Tensor, name: str) -> float | None:
    """The mean over the entries that vary; None where there is none, or where a gradient was not finite."""
    value = ratios.double().nanmean().item()
    if value == float("inf"):
        log.warning("the gradient of %s is not finite: its signal-to-noise ratio is left out at this step.", name)
    return value if 0 <= value < float("inf") else None


@contextmanager
def _left_as_it_is(model: MultimodalVAE) -> Iterator[None]:
    """Put back what objectives and their measurement change: settings, execution, buffers and torch's generators."""
    settings, execution = model.settings, model.execution
    buffers: Mapping[str, Tensor] = {name: buffer.clone() for name, buffer in model.named_buffers()}
    device = model.device
    try:
        model.execution = PLAIN
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        model.settings, model.execution = settings, execution
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
