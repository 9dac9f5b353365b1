"""Training leaves torch's process-wide state as it was, and depends on none of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["generators", "own_generators", "seed_generators"]


@contextmanager
def own_generators(device: torch.device) -> Iterator[None]:
    """Restore torch's global generators afterwards; on the CPU use deterministic algorithms, which cost nothing."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            if device.type == "cpu":
                torch.use_deterministic_algorithms(True)
                memory.fill_uninitialized_memory = False
            yield
        finally:
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
            memory.fill_uninitialized_memory = fill


def seed_generators(key: int, device: torch.device) -> None:
    """Seed the global generators for one step, for layers that draw by themselves (dropout)."""
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.manual_seed(key)


def generators(device: torch.device) -> list[torch.Generator]:
    """torch's global generators that a step on `device` may draw from."""
    on_device = [torch.cuda.default_generators[_index(device)]] if device.type == "cuda" else []
    return [torch.default_generator, *on_device]


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index
