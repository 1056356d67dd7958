"""From a map to numbers that can be published: samples by design, accuracy and areas with intervals."""

from .blocking import Blocked, score_blocked
from .design import SampleDesign, Stratum, design_sample
from .estimators import Estimate, Sample, bootstrap, difference, ratio
from .evaluation import Evaluation, compare, evaluate
from .interpretation import Agreement, SoFar, agreements, settle, so_far
from .samplefile import Reference, is_sample, read_reference, write_sample

__all__ = [
    "Agreement",
    "Blocked",
    "Estimate",
    "Evaluation",
    "Reference",
    "Sample",
    "SampleDesign",
    "SoFar",
    "Stratum",
    "agreements",
    "bootstrap",
    "compare",
    "design_sample",
    "difference",
    "evaluate",
    "is_sample",
    "ratio",
    "read_reference",
    "score_blocked",
    "settle",
    "so_far",
    "write_sample",
]
