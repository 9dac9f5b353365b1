"""Names of the report's files, made from names that users chose."""

from mmbench.config import content_hash
from mmbench.results.records import RunRecord

__all__ = ["safe", "spec_path"]


def safe(text: str) -> str:
    """Text that may be part of a file name; a digest keeps apart what would become the same.

    >>> safe("mnist-svhn")
    'mnist-svhn'
    """
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in text).strip(".-")
    return kept if kept == text else f"{kept or 'x'}-{content_hash(text)[:6]}"


def spec_path(run: RunRecord) -> str:
    """Where the run's whole spec lies in the report's folder; `mmbench run --spec` takes it."""
    return f"specs/{safe(run.id)}.json"
