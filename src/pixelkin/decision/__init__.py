"""From what is known of pixels and of labelled pixels to classes: how labels decide."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

from ..errors import InputError
from ..features import FeatureStack
from ..similarity import Measure
from .calibration import Assessment, SuspectLabel, assess
from .coverage import WARN, Coverage, coverage
from .fitting import Known, LearnerMethod, background, fit
from .learner import Learner, Priors
from .likeness import Similar
from .nearest import Nearest
from .protocol import Decision, Image, State
from .scorer import Scorer
from .suggestion import CANDIDATES, Suggestion, lattice, pick
from .training_set import TrainingSet, require_classes

Method = Literal["auto", "nearest", "vote", "logistic", "similar"]


def make_decision(
    stack: FeatureStack,
    method: Method | None,
    measure: Measure | None,
    *,
    label_transfer: bool,
    priors: Priors,
    threshold: float | None = None,
) -> Decision[Any, Any]:
    """A decision by name; arguments as those of a `Segmenter`, and the threshold of 'similar', None for the image's own.

    Raises:
        InputError: Names that are not known, or that do not go together.
    """
    method = method or ("auto" if measure is None else "nearest")
    if method not in get_args(Method):
        raise InputError(f"method is {method!r}, expected 'auto', 'nearest', 'vote', 'logistic' or 'similar'.")
    if priors not in ("image", "equal"):
        raise InputError(f"priors is {priors!r}, expected 'image' or 'equal'.")
    if method == "similar":
        inner = Learner(stack, "auto", label_transfer=False, priors="equal") if measure is None else Nearest(stack.model, measure)
        return cast(Decision[Any, Any], Similar(inner, threshold))
    if method == "nearest":
        return cast(Decision[Any, Any], Nearest(stack.model, measure))
    if measure is not None:
        raise InputError(f"method {method!r} compares learned features, expected no measure beside it. Leave out measure={measure!r}.")
    return cast(Decision[Any, Any], Learner(stack, method, label_transfer=label_transfer, priors=priors))


__all__ = [
    "CANDIDATES",
    "WARN",
    "Assessment",
    "Coverage",
    "Decision",
    "Image",
    "Known",
    "Learner",
    "LearnerMethod",
    "Method",
    "Nearest",
    "Priors",
    "Scorer",
    "Similar",
    "State",
    "Suggestion",
    "SuspectLabel",
    "TrainingSet",
    "assess",
    "background",
    "coverage",
    "fit",
    "lattice",
    "make_decision",
    "pick",
    "require_classes",
]
