"""Imagery larger than may be held: bounded memory, every scene in its turn, and pools that follow from the step alone."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pixelkin.errors import TrainingError
from pixelkin.model import ModelConfig, ObjectiveOptions
from pixelkin.model.views import ViewOptions
from pixelkin.scene import ArrayScene, Pixels, Series
from pixelkin.training import TrainingOptions, train
from pixelkin.training.sampling import Sampler
from pixelkin.types import Grid, Window

BANDS = ("red", "nir")
BUDGET = 60_000


@dataclass
class Watched:
    """A scene on disk, as it were: it makes pixels of any window when asked, and remembers the windows."""

    number: int
    side: int = 300
    date: dt.date | None = None
    invalid_rows: int = 0
    windows: list[Window] = field(default_factory=list)

    bands = BANDS

    @property
    def name(self) -> str:
        return f"scene-{self.number}"

    @property
    def grid(self) -> Grid:
        return Grid(self.side, self.side, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None)

    @property
    def fingerprint(self) -> str:
        return self.name

    def read(self, window: Window | None = None) -> Pixels:
        window = window or self.grid.window
        self.windows.append(window)
        rows, cols = np.mgrid[window.slices]
        # Which scene, and whereabouts in it, can be told from a pixel.
        data = np.stack([1000 * self.number + 100 * np.sin(rows), rows * self.side + cols + 7 * np.sin(rows * cols)])
        return Pixels(data.astype(np.float32), rows >= self.invalid_rows)


def sampler(scenes, budget=BUDGET, seed=0, patch_size=7) -> Sampler:
    return Sampler(scenes, patch_size=patch_size, bands=BANDS, max_pixels=budget, seed=seed)


def test_no_more_than_the_budget_is_held_however_many_scenes_and_steps():
    scenes = [Watched(k) for k in range(200)]
    found = sampler(scenes)
    for step in range(0, 1000, 25):
        pool = found.pool(step)
        assert 0.8 * BUDGET < len(pool.pixels) <= BUDGET
        assert pool.pixels.nbytes <= BUDGET * len(BANDS) * 4
        # What is kept for the next pool is this pool's memory, not a second copy.
        storage = pool.pixels.untyped_storage().data_ptr()
        assert all(image.pixels.untyped_storage().data_ptr() == storage for images in found._held.values() for image in images)
    assert max(window.height * window.width for scene in scenes for window in scene.windows) <= BUDGET / 8


def test_a_renewal_reads_only_what_is_new():
    scenes = [Watched(k) for k in range(20)]
    found = sampler(scenes)
    found.pool(0)
    for scene in scenes:
        scene.windows.clear()
    before = found.pool(24)
    assert not any(scene.windows for scene in scenes)
    after = found.pool(25)
    assert sum(len(scene.windows) for scene in scenes) == 1
    assert {image.site for image in after.images} - {image.site for image in before.images} == {8}


def test_every_scene_has_its_turn_in_proportion_to_its_area():
    scenes = [Watched(k, side=300 + 300 * (k % 2)) for k in range(40)]
    found = sampler(scenes)
    pools = [found.pool(step) for step in range(0, 10_000, 25)]
    centres = np.zeros(40)
    for pool in pools:
        values = found.standardisation.center[0] + found.standardisation.scale[0] * pool.pixels[pool.centres, 0].numpy()
        centres += np.bincount(np.rint(values / 1000).astype(int), minlength=40)
    shares = centres / centres.sum()
    wanted = np.array([scene.side**2 for scene in scenes]) / sum(scene.side**2 for scene in scenes)
    np.testing.assert_allclose(shares, wanted, rtol=0.3)
    corners = [(window.row, window.col) for window in scenes[1].windows]
    assert np.ptp(corners, axis=0).min() > 0.7 * (600 - 86)


def test_small_images_count_by_their_area_beside_large_ones():
    scenes = [Watched(0, side=40), Watched(1, side=400)]
    found = sampler(scenes)
    drawn = np.bincount([found.entry_of(draw) for draw in range(10_000)])
    pixels = drawn * [40**2, min(86, 400) ** 2]
    assert pixels[0] / pixels.sum() == pytest.approx(40**2 / (40**2 + 400**2), rel=0.1)


@pytest.mark.parametrize("step", [0, 24, 25, 310, 999])
def test_a_step_has_one_pool_whatever_came_before(step):
    scenes = [Watched(k) for k in range(30)]
    walked = sampler(scenes)
    for before in range(step + 1):
        walked.pool(before)
    np.testing.assert_array_equal(walked.pool(step).pixels, sampler(scenes).pool(step).pixels)
    if step:
        assert not np.array_equal(sampler(scenes, seed=1).pool(step).pixels, sampler(scenes).pool(step).pixels)


def test_imagery_that_fits_is_read_once_and_never_again():
    scenes = [Watched(k, side=60) for k in range(3)]
    found = sampler(scenes)
    assert found.pool(0) is found.pool(5000)
    assert [scene.windows for scene in scenes] == [[Window(0, 0, 60, 60)]] * 3


def test_dates_of_a_series_are_read_in_the_same_windows():
    dates = tuple(Watched(1, side=400, date=dt.date(2020, 1, day)) for day in (1, 2, 3))
    found = sampler(Series(dates))
    pool = found.pool(100)
    assert len(pool.pixels) <= BUDGET
    assert dates[0].windows == dates[1].windows == dates[2].windows
    x, y, _ = pool.draw(64, ViewOptions(flip=False, rotate=False, shift=False, jitter=False), torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(x, y)
    assert pool.sibling_count.tolist() == [2] * len(pool.width)


def test_images_of_almost_nothing_but_no_data():
    full, empty = Watched(0), Watched(1, invalid_rows=300)
    pool = sampler([full, empty]).pool(50)
    assert 0 < len(pool.pixels) < BUDGET
    with pytest.raises(TrainingError, match=r"all pixels of 1 source\(s\) are no-data"):
        sampler(empty)


def test_a_budget_too_small_for_patches_is_refused():
    with pytest.raises(
        TrainingError, match=r"max_pixels is 1000, expected at least 1568 for patches of 7 x 7 and 1 date\(s\)\. Raise it\."
    ):
        sampler(Watched(0), budget=1000)
    assert len(sampler(Watched(0), budget=1568).pool(0).images) == 8


class KilledError(Exception):
    """Stands for a kill between two steps."""


def test_a_run_killed_between_renewals_goes_on_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    scenes = [
        ArrayScene((9 * gaussian_filter(rng.standard_normal((2, 150, 150)), (0, 3, 3))).astype(np.float32), name=str(k)) for k in range(12)
    ]
    options = TrainingOptions(
        steps=115,
        batch_size=16,
        learning_rate=1e-3,
        schedule="one-cycle",
        objective=ObjectiveOptions(negatives=1, positions=2),
        max_pixels=BUDGET,
    )
    config = ModelConfig(bands=scenes[0].bands, patch_size=7, z_dim=4, widths=(8, 8, 8), critic_width=8, critic_dim=4)

    def run(**rest):
        return train(scenes, preset=options, config=config, device="cpu", **rest).hash

    def kill(progress):
        if progress.step == 83:
            raise KilledError

    with pytest.raises(KilledError):
        run(checkpoint=tmp_path / "state", progress=kill)
    told = []
    assert run(checkpoint=tmp_path / "state", progress=lambda progress: told.append(progress.step)) == run()
    assert told[0] == 51
    assert train(scenes, preset=replace(options, max_pixels=10**6), config=config, device="cpu").hash != run()
