"""What training draws patches from: all imagery at once where it fits, else random windows of it, some of them drawn anew as it goes on.

Windows are draws of one endless sequence, number i of which follows from the seed and i alone, and a pool is the latest draws that fit
the budget. A step's pool therefore follows from the step: a resumed run and each process of several hold the windows that one
uninterrupted process would, and whatever the number of scenes, no more than the budget is held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import TrainingError
from ..model import Standardisation
from ..model.views import PoolImage, ViewPool
from ..scene import Pixels, Scene, Series, as_scenes
from ..types import AnyArray, Window

_SIDE = 256
"""Side of a window, pixels: a block of most tiled rasters, so that windows are many for what they cost to read."""
_FEWEST = 8
"""Windows that a budget must hold; smaller ones are drawn where it would not."""
_RENEW_STEPS = 25
"""Steps between two renewals of the oldest windows, an eighth of them, and no more than 32."""
_TRIES = 8
"""Places that a draw tries before it gives an image of almost nothing but no-data up."""
_GOLDEN = (5**0.5 - 1) / 2


class Sampler:
    """Imagery to train on, held within a budget."""

    def __init__(
        self, sources: Scene | Series | Sequence[Scene | Series], *, patch_size: int, bands: tuple[str, ...], max_pixels: int, seed: int
    ) -> None:
        """Choose between all of it and windows, and estimate the bands' statistics.

        Args:
            sources: Scenes and series; all dates of a series are read in the same windows.
            patch_size: Side s of the patches to cut.
            bands: Names for messages.
            max_pixels: Pixels of all dates to hold; while windows are renewed, twice as many for a moment.
            seed: Where the sequence of draws starts.

        Raises:
            TrainingError: No valid imagery, a constant band, or a budget that does not hold a few patches.
        """
        self._entries: list[Scene | Series] = [sources] if isinstance(sources, Scene | Series) else list(sources)
        self._patch_size, self._max_pixels, self._seed = patch_size, max_pixels, seed
        self._dates = [len(as_scenes(entry)) for entry in self._entries]
        sizes = [entry.grid.height * entry.grid.width * dates for entry, dates in zip(self._entries, self._dates, strict=True)]
        rng = np.random.default_rng(seed)
        self._held: dict[int, list[PoolImage]] = {}
        self._first: int | None = None
        if sum(sizes) <= max_pixels:
            read = [(pixels, site) for site, entry in enumerate(self._entries) for pixels in _read(entry, entry.grid.window)]
            self.standardisation = self._statistics([_some(pixels, len(read), rng) for pixels, _ in read], bands)
            self._pool = ViewPool([(self.standardisation.apply(pixels), pixels.valid, site) for pixels, site in read], patch_size)
            return
        self._side = min(_SIDE, int((max_pixels / _FEWEST / max(self._dates)) ** 0.5))
        if self._side < 2 * patch_size:
            raise TrainingError(
                f"max_pixels is {max_pixels}, expected at least {_FEWEST * max(self._dates) * (2 * patch_size) ** 2} "
                f"for patches of {patch_size} x {patch_size} and {max(self._dates)} date(s). Raise it."
            )
        shapes = [self._shape(entry) for entry in self._entries]
        # As many draws as windows fill an image, so that every place is as likely as another.
        filling = [entry.grid.height * entry.grid.width / (h * w) for entry, (h, w) in zip(self._entries, shapes, strict=True)]
        self._shares = np.cumsum(filling) / sum(filling)
        self._pixels = [h * w * dates for (h, w), dates in zip(shapes, self._dates, strict=True)]
        self._start = float(rng.random())
        self._first = self._fitting(range(2**62))
        self._renewed = min(32, max(1, self._first // 8))
        # Read once for the statistics and again for the pool, so that values of the file's type are never held beside it.
        samples = [_some(pixels, self._first, rng) for draw in range(self._first) for pixels in self._draw(draw)]
        self.standardisation = self._statistics(samples, bands)

    def pool(self, step: int) -> ViewPool:
        """What a step draws its patches from.

        Args:
            step: Steps done before it, >= 0.

        Raises:
            TrainingError: No patch lies wholly on valid pixels.
        """
        if self._first is None:
            return self._pool
        end = self._first + self._renewed * (step // _RENEW_STEPS)
        if end - 1 not in self._held or end in self._held:
            wanted = range(end - self._fitting(range(end - 1, -1, -1)), end)
            held = {draw: self._held[draw] if draw in self._held else self._prepare(draw) for draw in wanted}
            self._pool = ViewPool([image for images in held.values() for image in images], self._patch_size)
            # The pool's own memory instead of a second copy.
            images = iter(self._pool.images)
            self._held = {draw: [next(images) for _ in held[draw]] for draw in wanted}
        return self._pool

    def entry_of(self, draw: int) -> int:
        """Index of the source that a draw reads.

        Multiples of the golden ratio, modulo 1, leave no gap for long: every source has its turn, in proportion to its area.
        """
        return int(np.searchsorted(self._shares, (self._start + draw * _GOLDEN) % 1.0, side="right").clip(0, len(self._entries) - 1))

    def _fitting(self, draws: range) -> int:
        """How many of these draws, in order, the budget holds."""
        total = 0
        for count, draw in enumerate(draws):
            total += self._pixels[self.entry_of(draw)]
            if total > self._max_pixels:
                return count
        return len(draws)

    def _shape(self, entry: Scene | Series) -> tuple[int, int]:
        return min(self._side, entry.grid.height), min(self._side, entry.grid.width)

    def _draw(self, draw: int) -> list[Pixels]:
        """Images of one window, one a date; none where no place tried had a valid pixel."""
        entry = self._entries[self.entry_of(draw)]
        height, width = self._shape(entry)
        rng = np.random.default_rng((self._seed, draw))
        for _ in range(_TRIES):
            row, col = int(rng.integers(entry.grid.height - height + 1)), int(rng.integers(entry.grid.width - width + 1))
            images = list(_read(entry, Window(row, col, height, width)))
            if images:
                return images
        return []

    def _prepare(self, draw: int) -> list[PoolImage]:
        return [PoolImage.of(self.standardisation.apply(pixels), pixels.valid, draw, self._patch_size) for pixels in self._draw(draw)]

    def _statistics(self, samples: list[AnyArray], bands: tuple[str, ...]) -> Standardisation:
        if not samples:
            raise TrainingError(
                f"too little valid imagery: all pixels of {len(self._entries)} source(s) are no-data. Check the no-data value."
            )
        return Standardisation.estimate(np.concatenate(samples, axis=1), bands)


def _read(entry: Scene | Series, window: Window) -> Iterator[Pixels]:
    """A window of every date that has a valid pixel in it."""
    for scene in as_scenes(entry):
        pixels = scene.read(window)
        if pixels.valid.any():
            yield pixels


def _some(pixels: Pixels, images: int, rng: np.random.Generator) -> AnyArray:
    """(band, n) values of this image's part of a sample: a few hundred thousand fix a median to far below a band's spread."""
    values = pixels.data[:, pixels.valid]
    most = max(1000, 400_000 // images)
    return values[:, rng.permutation(values.shape[1])[:most]] if values.shape[1] > most else values
