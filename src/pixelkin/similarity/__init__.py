"""Algorithm 2: how alike two pixels are, exactly and for every pixel at once."""

from .blocks import BLOCK, block_at, blocks_of, overlap, spread
from .dense import MutualInformation
from .distances import L1
from .embedding import Embedding, embed
from .features import CONTEXT, band_features, describe, own_features
from .references import RAW, References, collect, grid_number, labelled_on, scene_number
from .survey import survey

__all__ = [
    "BLOCK",
    "CONTEXT",
    "L1",
    "RAW",
    "Embedding",
    "MutualInformation",
    "References",
    "band_features",
    "block_at",
    "blocks_of",
    "collect",
    "describe",
    "embed",
    "grid_number",
    "labelled_on",
    "overlap",
    "own_features",
    "scene_number",
    "spread",
    "survey",
]
