"""Band statistics that bring any sensor's numbers to about zero mean and unit spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..errors import TrainingError
from ..scene import Pixels
from ..types import AnyArray, FloatArray

# Beyond this many spreads a value says "very bright" and no more; it keeps glints and sensor faults from drowning a patch.
_LIMIT = 8.0


@dataclass(frozen=True, eq=False)
class Standardisation:
    """x -> (x - center) / scale per band; no-data becomes 0, the band's centre."""

    center: FloatArray
    """(band,), median of the valid pixels, in the image's units."""
    scale: FloatArray
    """(band,), > 0, in the image's units."""

    @classmethod
    def estimate(cls, samples: AnyArray, bands: tuple[str, ...]) -> Standardisation:
        """Robust statistics of valid pixels.

        Args:
            samples: (band, n) values of valid pixels.
            bands: Names for the message.

        Raises:
            TrainingError: A band is constant.
        """
        values = samples.astype(np.float64)
        center = np.median(values, axis=1)
        low, high = np.percentile(values, [5, 95], axis=1)
        # 3.29 standard deviations lie between the 5th and 95th percentile of a normal distribution.
        scale = (high - low) / 3.29
        # Where nine tenths of a band are one value, only the tails tell: fall back to the ordinary spread.
        scale = np.where(scale > 0, scale, values.std(axis=1))
        for name, spread, value in zip(bands, scale, center, strict=True):
            if not spread > 0:
                raise TrainingError(
                    f"band {name!r} is constant ({value:g}) over the valid pixels, expected it to vary. Leave the band out with bands=."
                )
        return cls(center.astype(np.float32), scale.astype(np.float32))

    def apply(self, pixels: Pixels) -> Tensor:
        """Standardised pixels, (band, row, col) float32, 0 where not valid, clipped to +-8."""
        # Wide types in float64 before the difference, so that large values keep their digits.
        exact = np.float32 if pixels.data.dtype.itemsize <= 2 else np.float64
        data = (cast(FloatArray, pixels.data.astype(exact)) - self.center[:, None, None]) / self.scale[:, None, None]
        data = np.where(pixels.valid, np.clip(data, -_LIMIT, _LIMIT), 0)
        return torch.from_numpy(data.astype(np.float32, copy=False))
