"""Algorithm 2: how alike two pixels are, exactly and for every pixel at once."""

from . import literal
from .dense import MutualInformation, Projection
from .l1 import L1
from .measure import Measure, Similarity, project, similarity_of, take

__all__ = ["L1", "Measure", "MutualInformation", "Projection", "Similarity", "literal", "project", "similarity_of", "take"]
