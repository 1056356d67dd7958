"""The three measures of the paper, by name, and how an image is made ready for each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from torch import Tensor

from ..errors import InputError
from ..features import embed
from ..features.bands import band_values
from ..model import Model
from ..scene import Scene
from ..types import BoolArray, Window
from .dense import MutualInformation
from .l1 import L1

Measure = Literal["local", "global", "l1"]
Similarity = MutualInformation | L1


def similarity_of(model: Model | None, measure: Measure | None) -> Similarity:
    """A measure by name.

    Args:
        model: None compares raw bands.
        measure: Default 'local' with a model, 'l1' without.

    Raises:
        InputError: Not a measure, or one that needs a model.
    """
    measure = measure or ("l1" if model is None else "local")
    if measure not in ("local", "global", "l1"):
        raise InputError(f"measure is {measure!r}, expected 'local', 'global' or 'l1'.")
    if measure == "l1":
        return L1(raw=model is None)
    if model is None:
        raise InputError(f"measure {measure!r} needs a model, expected measure='l1' without one. Train or load a model.")
    return MutualInformation(model, measure)


def project(similarity: Similarity, model: Model | None, scene: Scene, window: Window) -> tuple[Any, BoolArray]:
    """What a measure has to know of a window of the image, and where there is data (row, col)."""
    if model is None:
        pixels = scene.read(window)
        return band_values(None, scene, pixels), pixels.valid
    embedding = embed(model, scene, window)
    return similarity.project(embedding), embedding.valid


def take(prepared: Any, index: list[int]) -> Any:
    """Some of the references that a measure has prepared."""
    if isinstance(prepared, Tensor):
        return prepared[index]
    return replace(prepared, v=prepared.v[index], windows=prepared.windows[index], alone=prepared.alone[index])
