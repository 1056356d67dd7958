"""What is known of a pixel: numbers from sources side by side, and the labelled pixels in these terms."""

from .backbone import BackboneFeatures
from .bands import RAW, BandFeatures
from .blocks import BLOCK, block_at, blocks_of, overlap, spread
from .embeddings import EmbeddingFeatures, embedding_bands
from .encoder import Embedding, EncoderFeatures, embed
from .references import References, collect, grid_number, labelled_on, scene_number
from .sample import sample
from .source import Columns, FeatureSource, Fields, Group, grown
from .stack import SOURCES, FeatureStack, stack_of, vector_sources

__all__ = [
    "BLOCK",
    "RAW",
    "SOURCES",
    "BackboneFeatures",
    "BandFeatures",
    "Columns",
    "Embedding",
    "EmbeddingFeatures",
    "EncoderFeatures",
    "FeatureSource",
    "FeatureStack",
    "Fields",
    "Group",
    "References",
    "block_at",
    "blocks_of",
    "collect",
    "embed",
    "embedding_bands",
    "grid_number",
    "grown",
    "labelled_on",
    "overlap",
    "sample",
    "scene_number",
    "spread",
    "stack_of",
    "vector_sources",
]
