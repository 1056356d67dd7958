"""pixelkin: mark a few pixels, get the map."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assessment import design_sample as design_sample
    from .errors import PkError as PkError
    from .features import References as References
    from .finding import similar as similar
    from .labels import read_labels as read_labels
    from .maps import score as score
    from .model import Model as Model
    from .model import load_model as load
    from .model import load_model as load_model
    from .raster import open_scene as open_scene
    from .scene import ArrayScene as ArrayScene
    from .scene import Series as Series
    from .segmentation import Segmentation as Segmentation
    from .segmenter import Segmenter as Segmenter
    from .training import TrainingOptions as TrainingOptions
    from .training import train as train
    from .types import LabelledPixels as LabelledPixels
    from .types import Legend as Legend
    from .types import Window as Window
    from .web import label as label

# Torch and GDAL take seconds to import; each name brings its room only when it is first used.
_ROOMS = {
    "ArrayScene": ("scene", "ArrayScene"),
    "LabelledPixels": ("types", "LabelledPixels"),
    "Legend": ("types", "Legend"),
    "Model": ("model", "Model"),
    "PkError": ("errors", "PkError"),
    "References": ("features", "References"),
    "Segmentation": ("segmentation", "Segmentation"),
    "Segmenter": ("segmenter", "Segmenter"),
    "Series": ("scene", "Series"),
    "TrainingOptions": ("training", "TrainingOptions"),
    "Window": ("types", "Window"),
    "design_sample": ("assessment", "design_sample"),
    "label": ("web", "label"),
    "load": ("model", "load_model"),
    "load_model": ("model", "load_model"),
    "open_scene": ("raster", "open_scene"),
    "read_labels": ("labels", "read_labels"),
    "score": ("maps", "score"),
    "similar": ("finding", "similar"),
    "train": ("training", "train"),
}
__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'pixelkin' has no attribute {name!r}")
    room, attribute = _ROOMS[name]
    return getattr(importlib.import_module(f".{room}", __name__), attribute)


def __dir__() -> list[str]:
    return __all__
