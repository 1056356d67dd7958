"""From a map to numbers that can be published: samples by design, accuracy and areas with intervals."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blocking import Blocked, score_blocked
    from .design import SampleDesign, Stratum, design_sample
    from .estimators import Estimate, Sample, bootstrap, difference, ratio
    from .evaluation import Evaluation, compare, evaluate
    from .interpretation import Agreement, SoFar, agreements, settle, so_far
    from .samplefile import Reference, is_sample, read_reference, write_sample

# The page asks how sample points were answered, and must not wait for the libraries of all the rest.
_HOME = {
    "Blocked": "blocking",
    "score_blocked": "blocking",
    "SampleDesign": "design",
    "Stratum": "design",
    "design_sample": "design",
    "Estimate": "estimators",
    "Sample": "estimators",
    "bootstrap": "estimators",
    "difference": "estimators",
    "ratio": "estimators",
    "Evaluation": "evaluation",
    "compare": "evaluation",
    "evaluate": "evaluation",
    "Agreement": "interpretation",
    "SoFar": "interpretation",
    "agreements": "interpretation",
    "settle": "interpretation",
    "so_far": "interpretation",
    "Reference": "samplefile",
    "is_sample": "samplefile",
    "read_reference": "samplefile",
    "write_sample": "samplefile",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
