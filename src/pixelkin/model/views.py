"""Pairs of views of one site: what "the same" means to the model is what these views leave alone.

f is a random flip, quarter turn, shift by a few pixels, change of brightness and contrast per band ("jitter"),
and, for a time series, the same site on another date. Each can be switched off; the paper's ablation does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from ..errors import InputError, TrainingError
from ..types import BoolArray


@dataclass(frozen=True)
class ViewOptions:
    """Which changes a second view may show."""

    flip: bool = True
    """Mirror left-right or up-down."""
    rotate: bool = True
    """Turn by 0, 90, 180 or 270 degrees."""
    shift: bool = True
    """Move the centre by up to `reach` pixels in each direction."""
    jitter: bool = True
    """Scale and offset each band, in units of its spread."""
    dates: bool = True
    """Take the second view from another date where the site has one that is valid."""
    gain: float = 0.1
    """Standard deviation of jitter's factor about 1."""
    offset: float = 0.1
    """Standard deviation of jitter's offset, in spreads of the band."""
    reach: int | None = None
    """Longest shift down or right, pixels; None = a quarter of the patch's side."""

    def __post_init__(self) -> None:
        if self.reach is not None and self.reach < 1:
            raise InputError(f"reach is {self.reach}, expected >= 1 pixel. Give shift=False for views that are not moved.")


class Views(NamedTuple):
    """Pairs of views."""

    x: Tensor
    """Patches, (n, band, s, s) in channels-last layout."""
    y: Tensor
    """The other views of them, same shape."""
    site: Tensor
    """(n,) number of the source that each is from; dates of a series have one."""


class PoolImage(NamedTuple):
    """One image as a pool holds it."""

    pixels: Tensor
    """(pixel, band)"""
    usable: Tensor
    """(pixel,), True = a patch centred here is wholly valid."""
    width: int
    site: int

    @classmethod
    def of(cls, pixels: Tensor, valid: BoolArray, site: int, patch_size: int) -> Self:
        """Prepare an image: pixels (band, row, col), valid (row, col)."""
        radius = patch_size // 2
        # A patch that touches no-data or the edge shows the model something that is not there.
        bad = max_pool2d(torch.from_numpy(~valid)[None, None].float(), patch_size, 1, radius)[0, 0] > 0
        bad[:radius], bad[-radius:], bad[:, :radius], bad[:, -radius:] = True, True, True, True
        return cls(pixels.flatten(1).T, ~bad.flatten(), pixels.shape[2], site)


class ViewPool:
    """Standardised imagery in memory from which pairs of patches are drawn.

    Images of one site (dates of a series) share a `site` number and a size. All pixels lie in one flat
    tensor, so one gather cuts a whole batch, with shifts, turns and dates folded into the indices.
    """

    def __init__(self, images: Sequence[tuple[Tensor, BoolArray, int] | PoolImage], patch_size: int) -> None:
        """Build the pool.

        Args:
            images: (pixels (band, row, col), valid (row, col), site) of each image, or images of another pool.
            patch_size: Side s of the patches to cut.

        Raises:
            TrainingError: No patch lies wholly on valid pixels.
        """
        self.patch_size = patch_size
        parts = [image if isinstance(image, PoolImage) else PoolImage.of(*image, patch_size) for image in images]
        if not any(part.usable.any() for part in parts):
            raise TrainingError(
                f"too little valid imagery: no {patch_size} x {patch_size} patch without no-data in {len(images)} image(s). "
                "Give more imagery or a smaller patch_size."
            )
        self.pixels = torch.cat([part.pixels for part in parts]).contiguous()
        """(pixel, band)"""
        self.width = torch.tensor([part.width for part in parts])
        self.site = torch.tensor([part.site for part in parts])
        sizes = [len(part.usable) for part in parts]
        self.base = torch.tensor([0, *np.cumsum(sizes)[:-1].tolist()])
        """Flat index of each image's first pixel."""
        self.usable = torch.cat([part.usable for part in parts])
        """(pixel,), True = a patch centred here is wholly valid."""
        self.centres = self.usable.nonzero().flatten()
        self.images = [
            PoolImage(pixels, usable, part.width, part.site)
            for part, pixels, usable in zip(parts, torch.split(self.pixels, sizes), torch.split(self.usable, sizes), strict=True)
        ]
        """The images given, as views of this pool's memory."""
        alike: dict[int, list[int]] = {}
        for i, part in enumerate(parts):
            alike.setdefault(part.site, []).append(i)
        siblings = [[k for k in alike[part.site] if k != i] or [i] for i, part in enumerate(parts)]
        longest = max(len(row) for row in siblings)
        # Rows are repeated to one length, so that a uniform draw stays nearly uniform without a loop.
        self.siblings = torch.tensor([[row[k % len(row)] for k in range(longest)] for row in siblings])
        self.sibling_count = torch.tensor([len(row) for row in siblings])
        self._offsets = _dihedral_offsets(patch_size)

    def to(self, device: torch.device) -> Self:
        """This pool, with its pixels where patches are wanted; what is drawn does not depend on it."""
        if self.pixels.device != device:
            self.pixels = self.pixels.to(device)
        return self

    @property
    def has_siblings(self) -> bool:
        """True where some image has another of its site, so that dates can be paired."""
        return bool((self.siblings[:, 0] != torch.arange(len(self.siblings))).any())

    def draw(self, n: int, options: ViewOptions, generator: torch.Generator) -> Views:
        """Pairs of patches, n of them."""

        def uniform(high: int, size: int = n) -> Tensor:
            return torch.randint(high, (size,), generator=generator)

        centre = self.centres[uniform(len(self.centres))]
        image = torch.searchsorted(self.base, centre, right=True) - 1
        seen, other = centre, image
        if options.dates:
            pick = (torch.rand(n, generator=generator) * self.sibling_count[image]).long()
            sibling = self.siblings[image, pick]
            moved = centre - self.base[image] + self.base[sibling]
            there = self.usable[moved]
            seen, other = torch.where(there, moved, centre), torch.where(there, sibling, image)
        if options.shift:
            reach = options.reach or max(1, self.patch_size // 4)
            down, right = uniform(2 * reach + 1) - reach, uniform(2 * reach + 1) - reach
            moved = (seen + down * self.width[other] + right).clamp(0, len(self.usable) - 1)
            # A shift past the edge lands on the next row's margin or another image; both margins are unusable or refused here.
            same = (torch.searchsorted(self.base, moved, right=True) - 1 == other) & self.usable[moved]
            seen = torch.where(same, moved, seen)
        # Offsets 0 to 3 are quarter turns, 4 to 7 those of the mirror image: 4 mirrors left-right, 6, half a turn further, up-down.
        mirrored, quarters = uniform(2) * options.flip, uniform(4) * options.rotate
        if options.flip and not options.rotate:
            quarters = 2 * uniform(2) * mirrored
        turn = 4 * mirrored + quarters
        x = self._cut(centre, image, torch.zeros_like(turn))
        y = self._cut(seen, other, turn)
        if options.jitter:
            bands = x.shape[1]
            gain = 1 + options.gain * torch.randn(n, bands, 1, 1, generator=generator)
            offset = options.offset * torch.randn(n, bands, 1, 1, generator=generator)
            y = y * gain.to(y.device) + offset.to(y.device)
        return Views(x, y, self.site[image])

    def _cut(self, centre: Tensor, image: Tensor, turn: Tensor) -> Tensor:
        offsets = self._offsets[turn].to(self.pixels.device)
        down, right = offsets.unbind(2)
        index = centre[:, None].to(down.device) + down * self.width[image][:, None].to(down.device) + right
        patches = self.pixels[index.flatten()].view(len(centre), self.patch_size, self.patch_size, -1)
        return patches.permute(0, 3, 1, 2)


def _dihedral_offsets(patch_size: int) -> Tensor:
    """(8, s * s, 2): row and column offsets of a patch's pixels in its four quarter turns, then those of its mirror image."""
    radius = patch_size // 2
    steps = torch.arange(-radius, radius + 1)
    square = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
    turned = [torch.rot90(side, k, (0, 1)) for side in (square, square.flip(1)) for k in range(4)]
    return torch.stack([t.reshape(-1, 2) for t in turned])
