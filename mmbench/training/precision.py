"""Precision of the networks, and of nothing else.

The networks of a model may compute in bfloat16 or with TF32 products; what they return is float32 again. So every log
likelihood, KL, log weight and sum over samples is float32 whatever the model, one from outside the package included.
Weights, gradients and the optimiser's moments are float32 too. Test terms and scores are computed in float32.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from mmbench.errors import InvalidSetting

__all__ = ["float32_products", "networks_in"]

LOW = (torch.bfloat16, torch.float16)


@contextmanager
def networks_in(model: nn.Module, precision: str) -> Iterator[None]:
    """While the block runs, the model's networks compute in `precision` and return float32.

    Networks are the model's direct children, and the members of those that are a `ModuleDict` or `ModuleList`. A
    network of float64 stays as it is. Only `bf16` changes anything here; `tf32` is a flag (see `float32_products`).
    """
    if precision != "bf16":
        yield
        return
    held: list[tuple[nn.Module, Callable[..., Any] | None]] = []
    try:
        for network in _networks(model):
            # In the instance's own namespace: modules, parameters and the keys of a state dict stay as they are.
            held.append((network, vars(network).get("forward")))
            vars(network)["forward"] = _lowered(network.forward, next(model.parameters()).device.type)
        yield
    finally:
        for network, before in held:
            if before is None:
                del vars(network)["forward"]
            else:
                vars(network)["forward"] = before


@contextmanager
def float32_products(precision: str, device: torch.device) -> Iterator[None]:
    """Whether CUDA multiplies float32 numbers as such or as TF32 while the block runs: TF32 for `tf32` alone.

    torch lets convolutions use TF32 unless told otherwise, so that `float32` is said here too. No effect on a CPU.
    """
    if device.type != "cuda":
        yield
        return
    with _tf32(precision == "tf32"):
        yield


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*new API")  # torch 2.9 advises against the older name
        flags, name = _flags()
        before = [getattr(flag, name) for flag in flags]
        value: Any = allowed if name == "allow_tf32" else ("tf32" if allowed else "ieee")
        _set(flags, name, [value] * len(flags))
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*new API")
            _set(flags, name, before)


def _set(flags: list[Any], name: str, values: list[Any]) -> None:
    for flag, value in zip(flags, values, strict=True):
        setattr(flag, name, value)


def _flags() -> tuple[list[Any], str]:
    """torch's switches for products and convolutions, and their name.

    The older name, of every torch from 2.4 on, sets all of them alike. The newer one sets convolutions apart from
    recurrent layers, after which torch refuses to read the older: it is for processes that use it already.
    """
    cuda: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    try:
        _ = cuda.allow_tf32, cudnn.allow_tf32
    except RuntimeError:
        return [cuda, cudnn.conv, cudnn.rnn], "fp32_precision"
    return [cuda, cudnn], "allow_tf32"


def _networks(model: nn.Module) -> Iterator[nn.Module]:
    seen: set[nn.Module] = set()
    for child in model.children():
        for network in child.children() if isinstance(child, nn.ModuleDict | nn.ModuleList) else (child,):
            if network not in seen and not isinstance(network, nn.ParameterDict | nn.ParameterList):
                seen.add(network)
                yield network


def _lowered(forward: Callable[..., Any], device: str) -> Callable[..., Any]:
    @wraps(forward)
    def lowered(*args: Any, **kwargs: Any) -> Any:
        # Without the cache of cast weights: what was cast without autograd must not serve a pass with it.
        with torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False):
            found = forward(*args, **kwargs)
        return _raised(found)

    return lowered


def _raised(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in LOW else value
    if isinstance(value, Mapping):
        return {key: _raised(item) for key, item in value.items()}
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        return type(value)(_raised(item) for item in value)
    raise InvalidSetting(
        f"train.precision=bf16 takes networks that return tensors, or tuples, lists or maps of them, "
        f"not {type(value).__name__}; use float32 or tf32."
    )
