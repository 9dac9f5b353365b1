"""Tables of metrics that no other section shows, those of plug-ins among them."""

from mmbench.results.report.contents import Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.sections.common import (
    plain_table,
    section_of,
)

__all__ = ["others"]


KNOWN = (
    "attribute_coherence",
    "caption_correlation",
    "caption_quality",
    "cross_coherence",
    "joint_coherence",
    "classifier_accuracy",
    "embeddings",
    "latent_accuracy",
    "log_likelihood",
    "predictive_information",
    "relatedness",
)


def others(desk: Desk) -> Section | None:
    """Tables for metrics that this page has no figure for."""
    names = {s.metric for run in desk.group.runs for s in run.scores if s.status == "ok"} - set(KNOWN)
    items = [item for name in sorted(names) for item in plain_table(desk, name, f"other-{name}", name, "")]
    return section_of(desk, "others", "Other metrics", items)
