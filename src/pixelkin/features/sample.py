"""An image as a whole: the features of an even sample of its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from ..scene import Scene
from ..types import Grid, Window
from .blocks import REFERENCE_BLOCK, block_at
from .stack import FeatureStack

_BLOCKS = 64
"""Small blocks that are looked at, at most: enough to know a class's share of an image to a few points."""
_STEP = 8
"""Every eighth row and column of a block; pixels between them would say nearly the same."""


def sample(
    stack: FeatureStack,
    scene: Scene,
    each: Callable[[Callable[[Window], Tensor], Iterable[Window]], Iterable[Tensor]] = map,
) -> Tensor:
    """Features (K, n) of up to 1024 valid pixels, evenly spread over an image of any size.

    Args:
        stack: Where features come from.
        scene: The image.
        each: How to look at the blocks: `map`, or that of a pool of workers.
    """

    def look(block: Window) -> Tensor:
        fields = stack.fields(scene, block, _STEP)
        return fields.features[:, torch.from_numpy(fields.valid[::_STEP, ::_STEP]).to(fields.features.device)]

    return torch.cat(list(each(look, _spread_blocks(scene.grid))), dim=1)


def _spread_blocks(grid: Grid) -> list[Window]:
    """Small blocks of an image, evenly spread over it, about as far apart across as down."""
    down, across = (-(-size // REFERENCE_BLOCK) for size in grid.shape)
    rows = int(np.clip(round(np.sqrt(_BLOCKS * down / across)), 1, min(down, _BLOCKS)))
    cols = min(across, _BLOCKS // rows)
    rows = min(down, _BLOCKS // cols)
    tops, lefts = (
        (np.floor((np.arange(n) + 0.5) * of / n) * REFERENCE_BLOCK).astype(int).tolist() for n, of in ((rows, down), (cols, across))
    )
    return [block_at(grid, top, left, REFERENCE_BLOCK) for top in tops for left in lefts]
