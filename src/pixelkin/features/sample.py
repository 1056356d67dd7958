"""An image as a whole: the features of an even sample of its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..scene import Scene
from ..types import Window
from .blocks import spread_blocks
from .squares import OBJECT_SIZE
from .stack import FeatureStack

_STEP = OBJECT_SIZE // 2
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

    return torch.cat(list(each(look, spread_blocks(scene.grid))), dim=1)
