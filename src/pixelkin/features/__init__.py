"""What is known of a pixel: numbers from sources side by side, and the labelled pixels in these terms."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backbone import BackboneFeatures, PhotographFeatures
    from .bands import RAW, BandFeatures
    from .blocks import BLOCK, block_at, blocks_of, overlap, spread
    from .embeddings import EmbeddingFeatures, embedding_bands
    from .encoder import Embedding, EncoderFeatures, embed
    from .references import References, collect, grid_number, labelled_on, scene_number
    from .source import Columns, FeatureSource, Fields, Group, grown
    from .stack import SOURCES, FeatureStack, stack_of, vector_sources
    from .timm_backbone import TimmFeatures, TimmNetwork, load_backbone

_HOME = {
    "BLOCK": "blocks",
    "RAW": "bands",
    "SOURCES": "stack",
    "BackboneFeatures": "backbone",
    "BandFeatures": "bands",
    "Columns": "source",
    "Embedding": "encoder",
    "EmbeddingFeatures": "embeddings",
    "EncoderFeatures": "encoder",
    "FeatureSource": "source",
    "FeatureStack": "stack",
    "Fields": "source",
    "Group": "source",
    "PhotographFeatures": "backbone",
    "References": "references",
    "TimmFeatures": "timm_backbone",
    "TimmNetwork": "timm_backbone",
    "block_at": "blocks",
    "blocks_of": "blocks",
    "collect": "references",
    "embed": "encoder",
    "embedding_bands": "embeddings",
    "grid_number": "references",
    "grown": "source",
    "labelled_on": "references",
    "load_backbone": "timm_backbone",
    "overlap": "blocks",
    "scene_number": "references",
    "spread": "blocks",
    "stack_of": "stack",
    "vector_sources": "stack",
}

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
    "PhotographFeatures",
    "References",
    "TimmFeatures",
    "TimmNetwork",
    "block_at",
    "blocks_of",
    "collect",
    "embed",
    "embedding_bands",
    "grid_number",
    "grown",
    "labelled_on",
    "load_backbone",
    "overlap",
    "scene_number",
    "spread",
    "stack_of",
    "vector_sources",
]


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import; the grid of blocks does without, and so does a page that shows its image.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
