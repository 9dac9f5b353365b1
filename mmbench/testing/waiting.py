"""What would make the host wait for a CUDA device, found on a CPU: a step must do none of it.

`NoWaiting` watches torch's operations. Those whose result's shape or value the host must read, and tensors made from
Python numbers on the host, raise; `tolist`, `cpu` and `numpy` leave no trace to be seen on a CPU. On a machine with
CUDA, `torch.cuda.set_sync_debug_mode("error")` is the last word.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["NoWaiting", "WouldWait"]

_READING = {
    "aten::_local_scalar_dense": "a value is read (item, bool, float, int)",
    "aten::nonzero": "the number of entries is read (nonzero, a mask as index)",
    "aten::masked_select": "the number of entries is read (masked_select)",
    "aten::_unique2": "the number of entries is read (unique)",
    "aten::unique_dim": "the number of entries is read (unique)",
    "aten::bincount": "the largest entry is read (bincount)",
    "aten::equal": "a value is read (torch.equal)",
    "aten::is_nonzero": "a value is read (is_nonzero)",
    "aten::repeat_interleave.Tensor": "the sum of the repeats is read",
    "aten::lift_fresh": "Python numbers are copied to the device (torch.tensor)",
}
_INDEXING = ("aten::index.Tensor", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")


class WouldWait(AssertionError):
    """The host would wait for the device."""


class NoWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch: no types
    """Within it, an operation that would make the host wait for a CUDA device raises `WouldWait`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch: no types

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name: str = func.name()
        why = _READING.get(name) or _READING.get(name.partition(".")[0])
        if why is None and name.startswith(_INDEXING) and any(_is_mask(index) for index in args[1]):
            why = "the number of entries is read (a mask as index)"
        if why is not None:
            raise WouldWait(f"{name}: {why}.")
        run: Callable[..., Any] = func
        return run(*args, **(kwargs or {}))


def _is_mask(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)
