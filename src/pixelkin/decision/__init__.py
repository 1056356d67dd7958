"""From what is known of pixels and of labelled pixels to classes: the methods of a Segmenter."""

from .calibration import Assessment, Conflict, assess
from .learned import Known, Learned, LearnedMethod, background, fit
from .migration import Looks, migrants, unchanged
from .nearest import Nearest, decide_nearest, take
from .smoothing import REACH, STRIDE, Guide, filtered, thin, together
from .suggestion import CANDIDATES, Suggestion, lattice, pick

__all__ = [
    "CANDIDATES",
    "REACH",
    "STRIDE",
    "Assessment",
    "Conflict",
    "Guide",
    "Known",
    "Learned",
    "LearnedMethod",
    "Looks",
    "Nearest",
    "Suggestion",
    "assess",
    "background",
    "decide_nearest",
    "filtered",
    "fit",
    "lattice",
    "migrants",
    "pick",
    "take",
    "thin",
    "together",
    "unchanged",
]
