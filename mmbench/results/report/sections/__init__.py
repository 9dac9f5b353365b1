"""The sections of a page, one file each: from a group's runs to figures, tables and sentences.

`PARTS` lists those of a group in the order of the page; a new section is a file and a line here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mmbench.results.report.contents import Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.sections.attributes import attributes
from mmbench.results.report.sections.caption_quality import caption_quality
from mmbench.results.report.sections.coherence import coherence
from mmbench.results.report.sections.comparisons import comparisons
from mmbench.results.report.sections.correlation import correlation
from mmbench.results.report.sections.cost import cost
from mmbench.results.report.sections.directions import directions
from mmbench.results.report.sections.embeddings import embeddings
from mmbench.results.report.sections.generations import generations
from mmbench.results.report.sections.information import information
from mmbench.results.report.sections.latent import latent_accuracy
from mmbench.results.report.sections.likelihoods import likelihoods
from mmbench.results.report.sections.others import others
from mmbench.results.report.sections.overview import overview
from mmbench.results.report.sections.paired_only import paired_only
from mmbench.results.report.sections.relatedness import relatedness
from mmbench.results.report.sections.signal_to_noise import signal_to_noise
from mmbench.results.report.sections.statistics import statistics
from mmbench.results.report.sections.studies import studies
from mmbench.results.report.sections.trade_off import coherence_against_likelihood
from mmbench.results.report.sections.training import training
from mmbench.results.report.sections.verdicts import verdicts

__all__ = ["PARTS", "Part"]


@dataclass(frozen=True)
class Part:
    """A section of a group: what `--only` calls it, and how it is made; None where it has nothing to say.

    Attributes:
        drawn: whether it is nothing but figures, so that it is not made where only tables are wanted.
    """

    name: str
    make: Callable[[Desk], Section | None]
    drawn: bool = False


PARTS = (
    Part("overview", overview),
    Part("comparisons", comparisons),
    Part("verdicts", verdicts),
    Part("coherence", coherence),
    Part("attributes", attributes),
    Part("correlation", correlation),
    Part("latent", latent_accuracy),
    Part("relatedness", relatedness),
    Part("embeddings", embeddings),
    Part("generations", generations, drawn=True),
    Part("caption-quality", caption_quality),
    Part("likelihoods", likelihoods),
    Part("trade-off", coherence_against_likelihood, drawn=True),
    Part("directions", directions),
    Part("information", information),
    Part("studies", studies, drawn=True),
    Part("paired-only", paired_only, drawn=True),
    Part("cost", cost),
    Part("others", others),
    Part("statistics", statistics),
    Part("training", training, drawn=True),
    Part("snr", signal_to_noise, drawn=True),
)
