"""The allocator keeps what is given back to it: page faults are counted, not timed."""

import os
import subprocess
import sys

import pytest

from mmbench.run import allocator

FAULTS = """
import resource, sys
import torch
if sys.argv[1] == "raised":
    from mmbench.run.allocator import raise_thresholds
    assert raise_thresholds()
def work():
    for _ in range(10):
        torch.empty(10_000_000).fill_(1.0)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_") and k != "GLIBC_TUNABLES"}


def glibc() -> bool:
    return sys.platform.startswith("linux") and "CS_GNU_LIBC_VERSION" in os.confstr_names


def faults(state: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, state], env=clean(), check=True, capture_output=True, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not glibc(), reason="the C library is not glibc")
def test_freed_memory_is_used_again_without_a_page_fault():
    """Ten tensors of 40 MB one after the other: 100,000 pages of 4 KiB when each is mapped anew."""
    assert 20 * faults("raised") < faults("as it is")


@pytest.mark.parametrize(
    ("name", "value"), [("MALLOC_TRIM_THRESHOLD_", "1"), ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")]
)
def test_what_the_user_set_is_left_alone(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert not allocator.raise_thresholds()


def test_nothing_is_done_on_another_system(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.raise_thresholds()


def test_nothing_is_done_with_another_c_library(monkeypatch):
    for name in [name for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert not allocator.raise_thresholds()
