"""Algorithm 2: how alike two pixels are, exactly and for every pixel at once."""

from .blocks import BLOCK, block_at, blocks_of, overlap
from .dense import MutualInformation
from .distances import L1
from .embedding import Embedding, embed
from .references import RAW, References, collect

__all__ = ["BLOCK", "L1", "RAW", "Embedding", "MutualInformation", "References", "block_at", "blocks_of", "collect", "embed", "overlap"]
