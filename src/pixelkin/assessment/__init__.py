"""From a map to numbers that can be published: samples by design, accuracy and areas with intervals."""

from .design import SampleDesign, Stratum, design_sample
from .estimators import Estimate, Sample, bootstrap, difference, ratio
from .evaluation import Evaluation, compare, evaluate
from .samplefile import Reference, is_sample, read_reference, write_sample

__all__ = [
    "Estimate",
    "Evaluation",
    "Reference",
    "Sample",
    "SampleDesign",
    "Stratum",
    "bootstrap",
    "compare",
    "design_sample",
    "difference",
    "evaluate",
    "is_sample",
    "ratio",
    "read_reference",
    "write_sample",
]
