"""Change that `find_change` tells from noise, on generated series whose truth is known.

    python -m benchmarks.change [--noise 0.1] [--patches 60] [--dates 10] [--change-rate 0.1]

Constants were chosen on odd seeds; what is printed is of even ones. Counted are changes of nine pixels and more between the first and the last date; where less changed, nothing is counted.
"""

from __future__ import annotations

import argparse
import datetime as dt

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pixelkin.maps.change import Change, find_change
from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, Legend

NAMES = ("water", "land", "ice")
Labels = npt.NDArray[np.int64]


def generated(
    seed: int, noise: float = 0.1, shape: tuple[int, int] = (220, 260), patches: int = 60, dates: int = 10
) -> tuple[Labels, Labels]:
    """A series of truth in which square patches change, (date, row, col), and the same with a share of wrong labels on every date."""
    rng = np.random.default_rng(seed)
    start = 1 + np.argmax(np.stack([ndimage.gaussian_filter(rng.normal(size=shape), 15) for _ in NAMES]), axis=0)
    truth = np.repeat(start[None], dates, axis=0)
    for _ in range(patches):
        side = rng.integers(3, 16)
        row, col = rng.integers(0, shape[0] - side), rng.integers(0, shape[1] - side)
        when, to = rng.integers(1, dates), rng.integers(1, 4)
        truth[when:, row : row + side, col : col + side] = to
    wrong = rng.random(truth.shape) < noise
    return truth, np.where(wrong, (truth - 1 + rng.integers(1, 3, truth.shape)) % 3 + 1, truth)


def counted(truth: Labels) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(row, col) each: where nine connected pixels and more changed, and where fewer did."""
    changed = truth[0] != truth[-1]
    patches, count = ndimage.label(changed)
    sizes = ndimage.sum(changed, patches, range(1, count + 1))
    small = np.isin(patches, 1 + np.flatnonzero(sizes < 9))
    return changed & ~small, small


def score(truth: Labels, told: npt.NDArray[np.bool_]) -> float:
    """F1 of change that was told."""
    actual, small = counted(truth)
    told = told & ~small
    return float(2 * (told & actual).sum() / (told.sum() + actual.sum()))


def told_by(change: Change) -> npt.NDArray[np.bool_]:
    """(row, col): where the from-to map has a change."""
    names = ("", *change.from_to.legend.names)
    return np.array(["→" in name for name in names])[change.from_to.classes]


def main() -> None:
    """Twenty series."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--patches", type=int, default=60)
    parser.add_argument("--dates", type=int, default=10)
    parser.add_argument("--change-rate", type=float)
    options = parser.parse_args()
    rate = {} if options.change_rate is None else {"change_rate": options.change_rate}
    days = [dt.date(2020, 1, 1) + dt.timedelta(30 * i) for i in range(options.dates)]
    found = []
    for seed in range(0, 40, 2):
        truth, shown = generated(seed, options.noise, patches=options.patches, dates=options.dates)
        grid = Grid(*truth.shape[1:], (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:32631")
        maps = [
            (day, Segmentation(one.astype(np.uint8), np.ones(one.shape, np.float32), one > 0, Legend.from_names(NAMES), grid))
            for day, one in zip(days, shown, strict=True)
        ]
        found.append(score(truth, told_by(find_change(maps, **rate))))
        print(f"seed {seed:2d}: F1 {found[-1]:.4f}", flush=True)
    print(f"least {min(found):.4f}, median {np.median(found):.4f}, at least 0.95 in {sum(one >= 0.95 for one in found)} of {len(found)}")


if __name__ == "__main__":
    main()
