"""Images and labels as users have them: scenes, arrays and DataArrays; labelled pixels and masks."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from .errors import InputError, LabelError, ShapeError
from .scene import ArrayScene, Scene
from .types import AnyArray, LabelledPixels

Image = Scene | AnyArray | Any
"""A scene, an array (band, row, col), or a DataArray."""
Labels = LabelledPixels | AnyArray | Any
"""Labelled pixels, or class ids (row, col) with 0 = not labelled."""


def as_scene(image: Image) -> Scene:
    """An image as a scene.

    Raises:
        ShapeError: An array that is not (band, row, col).
        RasterError: A DataArray that is not an image.
        InputError: Something else.
    """
    if isinstance(image, Scene):
        return image
    if isinstance(image, np.ndarray):
        return ArrayScene(image)
    if hasattr(image, "dims") and hasattr(image, "coords"):
        # The room that reads files knows xarray, and comes after this one.
        scene = importlib.import_module(".raster", __package__).open_scene(image)
        if isinstance(scene, Scene):
            return scene
        raise InputError(f"the DataArray holds {len(scene)} dates, expected one image. Choose one: array.isel(time=0).")
    raise InputError(
        f"the image is a {type(image).__name__}, expected a scene, an array (band, row, col) or a DataArray. Open files with open_scene()."
    )


def as_labels(labels: Labels, scene: Scene) -> LabelledPixels:
    """Labels of an image as labelled pixels.

    Raises:
        ShapeError: A mask of another size than the image.
        LabelError: A mask that does not hold class ids.
    """
    if isinstance(labels, LabelledPixels):
        return labels
    mask = np.asarray(labels)
    if mask.shape != scene.grid.shape:
        raise ShapeError(
            "the mask of labels", expected=scene.grid.shape, got=mask.shape, fix="Give one class id a pixel, 0 where there is no label."
        )
    known = mask[mask != 0]
    if mask.dtype.kind not in "iu" and not (mask.dtype.kind == "f" and (known == np.round(known)).all()):
        raise LabelError(
            f"the mask of labels has dtype {mask.dtype}, expected class ids, whole numbers from 1 to 255, and 0 where there is no label."
        )
    return LabelledPixels.from_mask(mask)


def pairs_of(images: Any, labels: Any) -> tuple[list[Scene], list[LabelledPixels]]:
    """Images and the labels of each, from one of both or as many of both.

    Raises:
        LabelError: Not as many labels as images.
    """
    is_one = isinstance(images, Scene | np.ndarray) or hasattr(images, "dims")
    scenes = [as_scene(image) for image in ([images] if is_one else images)]
    parts = (
        [labels]
        if isinstance(labels, LabelledPixels | np.ndarray) or hasattr(labels, "dims") or not isinstance(labels, Iterable)
        else list(labels)
    )
    if len(scenes) != len(parts):
        raise LabelError(f"{len(parts)} sets of labels for {len(scenes)} images, expected one for each. Pair them up.")
    return scenes, [as_labels(part, scene) for scene, part in zip(scenes, parts, strict=True)]
