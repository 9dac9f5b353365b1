"""Python's search for garbage in cycles, put off while a hundred thousand records and rows are made, none of which is
part of one: it would look at all of them again and again, for a tenth of the report's time. Figures are cycles; while
they are drawn it goes on.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["nothing_collected"]


@contextmanager
def nothing_collected() -> Iterator[None]:
    """No search for garbage within; afterwards it is as it was."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
