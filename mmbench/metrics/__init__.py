"""Metrics: one pass over the test split computes all of them; one file a metric, found by the registry."""

from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Reader, Skipped, View
from mmbench.metrics.classifiers import Classifier, Classifiers, ExactJudge, Judge
from mmbench.metrics.evaluate import Evaluation, evaluate

__all__ = [
    "METRICS",
    "Classifier",
    "Classifiers",
    "Context",
    "Evaluation",
    "ExactJudge",
    "Judge",
    "Metric",
    "Outcome",
    "Reader",
    "Skipped",
    "View",
    "evaluate",
]
