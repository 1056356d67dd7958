"""Tiles cover every pixel once, on whole blocks; the memory plan keeps its budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelkin.errors import InputError
from pixelkin.scale import TilePlan, parse_bytes, plan_memory
from pixelkin.scale.plan import with_halo
from pixelkin.types import Grid, Window


def grid(height: int, width: int) -> Grid:
    return Grid(height, width, (1, 0, 0, 0, 1, 0), None)


@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 4))
def test_tiles_cover_each_pixel_once_and_start_on_blocks(height, width, blocks):
    plan = TilePlan(grid(height, width), 256 * blocks)
    seen = np.zeros((height, width), np.int64)
    windows = list(plan.windows())
    assert len(windows) == len(plan)
    for window in windows:
        assert window.row % 256 == 0
        assert window.col % 256 == 0
        seen[window.slices] += 1
    np.testing.assert_array_equal(seen, 1)


def test_a_million_tiles_are_counted_without_being_made():
    plan = TilePlan(grid(256_000, 256_000), 256)
    assert len(plan) == 1_000_000
    assert plan.window(999_999) == Window(255_744, 255_744, 256, 256)


@pytest.mark.parametrize("tile", [0, 100, 300, -256])
def test_tiles_that_cut_blocks_are_refused(tile):
    with pytest.raises(InputError, match=f"tile is {tile} pixels, expected a multiple of 256"):
        TilePlan(grid(10, 10), tile)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(0, 0, 5, 5), Window(0, 0, 7, 7)),
        (Window(5, 5, 5, 5), Window(3, 3, 7, 7)),
        (Window(3, 4, 2, 2), Window(1, 2, 6, 6)),
        (Window(0, 0, 10, 10), Window(0, 0, 10, 10)),
    ],
)
def test_a_halo_is_cut_at_the_edge(window, expected):
    assert with_halo(window, 2, grid(10, 10)) == expected


@given(st.integers(1, 64), st.integers(1, 300), st.integers(1, 64))
def test_a_memory_plan_keeps_its_budget_and_overlaps(pixel_bytes, block_mib, workers):
    budget = 64 * 2**30
    plan = plan_memory(budget, pixel_bytes=pixel_bytes, block_bytes=block_mib * 2**20, workers=workers)
    assert plan.expected_bytes <= budget
    assert plan.in_flight >= 3
    assert plan.tile % 256 == 0


def test_less_memory_gives_smaller_tiles_then_a_message_with_what_is_needed():
    asked = {"pixel_bytes": 200, "block_bytes": 100 * 2**20, "workers": 2}
    sides = [plan_memory(budget, **asked).tile for budget in ("8GiB", "1200MiB", "900MiB")]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] > sides[-1]
    with pytest.raises(InputError, match=r"memory is 500 MiB, expected at least (\d+) MiB") as caught:
        plan_memory("500MiB", **asked)
    needed = str(caught.value).split("at least ")[1].split()[0]
    assert plan_memory(f"{needed}MiB", **asked).tile == 256


@pytest.mark.parametrize(("text", "value"), [("2GiB", 2**31), ("1.5 kib", 1536), ("500MB", 500_000_000), (123, 123), ("7", 7)])
def test_sizes_are_read(text, value):
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "much", "2 apples", "-1GiB", "0", "1IB"])
def test_other_text_is_refused(text):
    with pytest.raises(InputError, match="expected a size such as '2GiB'"):
        parse_bytes(text)
