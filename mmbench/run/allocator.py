"""The C library's allocator, told to keep what it is given back.

A training step takes and frees tens of megabytes of activations. glibc maps blocks above 32 MiB anew for each request
and gives free memory at the end of its heap back to the kernel, so that each step pays for the same pages again: a page
fault and a cleared page for every 4 KiB. With the thresholds raised the memory stays with the process (`mallopt(3)`).

This changes the whole process, so it is the launcher's to call (the command line, the processes of several runs), never
the library's.
"""

import ctypes
import os
import sys

__all__ = ["raise_thresholds"]

# Parameters of mallopt, from glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
KEPT = 2**31 - 1  # bytes that may lie free at the end of the heap: the largest int
ASKED_AT_ONCE = 64 * 2**20


def raise_thresholds() -> bool:
    """Keep freed memory in the process; returns whether the allocator was told so.

    False, and nothing is done, without glibc, and where the user has set the allocator up by the environment
    (`MALLOC_...` or `GLIBC_TUNABLES`).
    """
    if not sys.platform.startswith("linux") or _set_up_by_user():
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  # another C library has no such function, or another mallopt
        mallopt = library.mallopt
    except (OSError, AttributeError):
        return False
    told = ((MMAP_MAX, 0), (TRIM_THRESHOLD, KEPT), (TOP_PAD, ASKED_AT_ONCE))
    return all(mallopt(parameter, value) == 1 for parameter, value in told)


def _set_up_by_user() -> bool:
    return "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(
        name.startswith("MALLOC_") and name.endswith("_") for name in os.environ
    )
