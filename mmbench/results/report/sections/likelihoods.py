"""Log likelihoods: the table of importance-sampled estimates."""

from mmbench.results.report.contents import Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.sections.common import (
    plain_table,
    section_of,
)

__all__ = ["likelihoods"]


def likelihoods(desk: Desk) -> Section | None:
    """The table of importance-sampled log likelihoods."""
    items = plain_table(
        desk, "log_likelihood", "likelihood", "Log likelihoods",
        "Test log likelihood in nats a row, never rescaled; the estimator and its number of samples stand beside it. "
        "A conditional made as a difference of two estimates is no bound.", digits=1,
    )  # fmt: skip
    return section_of(desk, "likelihood", "Likelihoods", items)
