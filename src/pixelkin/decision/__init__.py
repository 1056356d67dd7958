"""From what is known of pixels and of labelled pixels to classes: how labels decide."""

from __future__ import annotations

from typing import Any, Literal, cast

from ..errors import InputError
from ..features import FeatureStack
from ..similarity import Measure
from .calibration import Assessment, SuspectLabel, assess
from .coverage import WARN, Coverage, coverage
from .fitting import Known, LearnerMethod, background, fit
from .learner import Learner, Priors
from .nearest import Nearest
from .protocol import Decision, Image, State
from .scorer import Scorer
from .suggestion import CANDIDATES, Suggestion, lattice, pick
from .training_set import TrainingSet, require_classes

Method = Literal["auto", "nearest", "vote", "logistic"]


def make_decision(
    stack: FeatureStack, method: Method | None, measure: Measure | None, *, label_transfer: bool, priors: Priors
) -> Decision[Any, Any]:
    """A decision by name; arguments as those of a `Segmenter`.

    Raises:
        InputError: Names that are not known, or that do not go together.
    """
    method = method or ("auto" if measure is None else "nearest")
    if method not in ("auto", "nearest", "vote", "logistic"):
        raise InputError(f"method is {method!r}, expected 'auto', 'nearest', 'vote' or 'logistic'.")
    if priors not in ("image", "equal"):
        raise InputError(f"priors is {priors!r}, expected 'image' or 'equal'.")
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
