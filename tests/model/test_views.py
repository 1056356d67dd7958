"""Views, checked on coordinate rasters: a pixel's value says where and when it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pixelkin.errors import InputError, TrainingError
from pixelkin.model.views import ViewOptions, ViewPool

OFF = ViewOptions(flip=False, rotate=False, shift=False, jitter=False, dates=False)


def coordinates(height: int, width: int, tag: float) -> torch.Tensor:
    row, col = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([row.float(), col.float(), torch.full((height, width), tag)])


@pytest.fixture
def pool() -> ViewPool:
    """Two dates of one place and an image of another, of another size."""
    everywhere = np.ones((30, 40), bool)
    return ViewPool(
        [
            (coordinates(30, 40, 0), everywhere, 0),
            (coordinates(30, 40, 1), everywhere, 0),
            (coordinates(25, 20, 2), np.ones((25, 20), bool), 1),
        ],
        7,
    )


def draw(pool: ViewPool, options: ViewOptions, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    x, y, _ = pool.draw(n, options, torch.Generator().manual_seed(1))
    return x.numpy(), y.numpy()


def test_without_views_both_are_the_same_whole_patch(pool):
    x, y = draw(pool, OFF)
    np.testing.assert_array_equal(x, y)
    steps = np.arange(-3, 4)
    np.testing.assert_array_equal(x[:, 0] - x[:, 0, 3:4, 3:4], np.broadcast_to(steps[:, None], (400, 7, 7)))
    np.testing.assert_array_equal(x[:, 1] - x[:, 1, 3:4, 3:4], np.broadcast_to(steps[None], (400, 7, 7)))
    assert (np.ptp(x[:, 2], axis=(1, 2)) == 0).all(), "a patch never mixes images"


def test_patches_stay_inside_their_image(pool):
    x, _ = draw(pool, OFF, 3000)
    for tag, height, width in ((0, 30, 40), (1, 30, 40), (2, 25, 20)):
        mine = x[x[:, 2, 0, 0] == tag]
        assert len(mine) > 100
        assert mine[:, 0].min() == 0
        assert mine[:, 0].max() == height - 1
        assert mine[:, 1].min() == 0
        assert mine[:, 1].max() == width - 1


def test_dates_pair_the_same_place(pool):
    x, y = draw(pool, ViewOptions(flip=False, rotate=False, shift=False, jitter=False))
    np.testing.assert_array_equal(x[:, :2], y[:, :2])
    series, alone = x[:, 2, 0, 0] < 2, x[:, 2, 0, 0] == 2
    np.testing.assert_array_equal(y[series, 2], 1 - x[series, 2])
    np.testing.assert_array_equal(y[alone, 2], x[alone, 2])


@pytest.mark.parametrize(("change", "count"), [({"rotate": True}, 4), ({"flip": True}, 3), ({"rotate": True, "flip": True}, 8)])
def test_turns_and_mirrors_are_those_of_the_square(pool, change, count):
    x, y = draw(pool, ViewOptions(**{**OFF.__dict__, **change}))
    allowed = [np.rot90(side, k, (2, 3)) for side in (x, x[..., ::-1]) for k in range(4)]
    hits = np.array([(candidate == y).all((1, 2, 3)) for candidate in allowed])
    np.testing.assert_array_equal(hits.sum(0), 1)
    assert (hits.sum(1) > 0).sum() == count


def test_flip_alone_mirrors_left_right_or_up_down(pool):
    x, y = draw(pool, ViewOptions(**{**OFF.__dict__, "flip": True}))
    same, across, over = ((y == other).all((1, 2, 3)) for other in (x, x[..., ::-1], x[..., ::-1, :]))
    assert (same | across | over).all()
    assert min(across.sum(), over.sum()) > 50


def test_the_longest_shift_can_be_given(pool):
    x, y = draw(pool, ViewOptions(**{**OFF.__dict__, "shift": True, "reach": 5}), 2000)
    moved = (y - x)[:, :2, 3, 3]
    assert np.abs(moved).max() == 5
    assert len(np.unique(moved, axis=0)) == 121
    with pytest.raises(InputError, match="reach is 0, expected >= 1 pixel"):
        ViewOptions(reach=0)


def test_a_shift_moves_the_centre_a_little_and_keeps_the_image(pool):
    x, y = draw(pool, ViewOptions(**{**OFF.__dict__, "shift": True}))
    moved = (y - x)[:, :2, 3, 3]
    assert np.abs(moved).max() == 1, "a quarter of 7 pixels"
    assert len(np.unique(moved, axis=0)) == 9
    np.testing.assert_array_equal(x[:, 2], y[:, 2])
    np.testing.assert_array_equal(y[:, 0] - y[:, 0, 3:4, 3:4], x[:, 0] - x[:, 0, 3:4, 3:4])


def test_jitter_scales_and_offsets_a_band_as_a_whole(pool):
    x, y = draw(pool, ViewOptions(**{**OFF.__dict__, "jitter": True}), 1)
    gain = (y[0, 0, 6] - y[0, 0, 0]) / 6
    np.testing.assert_allclose(gain, gain[0], rtol=1e-5)
    assert gain[0] != 1
    np.testing.assert_allclose(y[0, 0] - gain[0] * x[0, 0], (y[0, 0] - gain[0] * x[0, 0])[0, 0], atol=1e-4)


def test_no_data_is_never_in_a_patch():
    valid = np.ones((40, 40), bool)
    valid[20, 20] = False
    pixels = coordinates(40, 40, 0)
    pixels[:, 20, 20] = 1e6
    x, y = draw(ViewPool([(pixels, valid, 0)], 9), ViewOptions(jitter=False), 3000)
    assert max(x.max(), y.max()) < 1e6


def test_a_date_that_is_cloudy_there_is_not_paired():
    cloudy = np.ones((30, 30), bool)
    cloudy[:, 10:] = False
    everywhere = np.ones((30, 30), bool)
    pool = ViewPool([(coordinates(30, 30, 0), everywhere, 0), (coordinates(30, 30, 1), cloudy, 0)], 7)
    x, y = draw(pool, ViewOptions(flip=False, rotate=False, shift=False, jitter=False), 2000)
    first = x[:, 2, 0, 0] == 0
    np.testing.assert_array_equal(y[first, 2, 0, 0], x[first, 1, 3, 3] < 7)


def test_too_little_valid_imagery_is_said():
    with pytest.raises(TrainingError, match="too little valid imagery: no 9 x 9 patch without no-data in 1 image"):
        ViewPool([(coordinates(8, 30, 0), np.ones((8, 30), bool), 0)], 9)
