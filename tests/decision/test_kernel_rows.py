"""What is kept of the kernel from label to label gives the bits that computing it anew would, within the memory there is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pixelkin.blockcache import MemoryCache
from pixelkin.decision.gaussian_process import KernelRows, PartsTerm
from pixelkin.types import Window
from pixelkin.workers import alone

PIXELS = 2 * 1024 + 333
PARTS = [slice(5, 17), slice(17, 33), slice(33, 113)]


def term(chosen: list[int]) -> PartsTerm:
    generator = torch.Generator().manual_seed(0)
    landmarks, weights = torch.randn(60, 113, generator=generator), torch.randn(3, 60, generator=generator)
    return PartsTerm(PARTS, [landmarks[chosen, part] for part in PARTS], weights[:, chosen])


def pixels(dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(113, PIXELS, generator=torch.Generator().manual_seed(1)).to(dtype)


def answer(asked: PartsTerm, *what: Any) -> torch.Tensor:
    """As a scorer asks: on one thread, and without gradients."""

    def of() -> torch.Tensor:
        with torch.inference_mode():
            return asked.of(*what)

    return alone(of)


CHANGES = {
    "the same": list(range(37)),
    "one more": list(range(38)),
    "many more": list(range(60)),
    "the last goes": list(range(36)),
    "the first goes": list(range(1, 37)),
    "one is replaced": [*range(10), 50, *range(11, 37)],
    "others between": [i // 2 if i % 2 else 37 + i // 2 for i in range(40)],
    "one twice": [*range(37), 3, 3],
    "none is known": list(range(40, 60)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("chosen", CHANGES.values(), ids=CHANGES.keys())
def test_kept_rows_change_no_bit(chosen: list[int], dtype: torch.dtype) -> None:
    features, kept = pixels(dtype), KernelRows()
    for landmarks in (list(range(37)), chosen, chosen[1:], chosen):
        asked = term(landmarks)
        assert torch.equal(answer(asked, features, kept, 1 << 30), answer(asked, features))


def test_rows_for_which_there_is_no_room_are_not_kept() -> None:
    features, kept = pixels(torch.float32), KernelRows()
    answer(term([0, 1, 2]), features, kept, 1 << 20)
    assert 0 < kept.nbytes <= 1 << 20
    many = term(list(range(60)) * 3)
    assert torch.equal(answer(many, features, kept, 1 << 20), answer(many, features))
    assert kept.nbytes == 0


class Growing:
    """Holds more than when it was put."""

    def __init__(self) -> None:
        self.nbytes = 40

    def shrink(self) -> None:
        self.nbytes = 40


def test_what_an_entry_came_to_hold_goes_before_any_entry_does() -> None:
    cache = MemoryCache(100, Growing.shrink)
    one, two, three = (("scene", Window(i, 0, 1, 1)) for i in range(3))
    first = cache.put(one, Growing())
    assert cache.room(one) == 100
    first.nbytes = 90
    cache.weigh(one)
    second = cache.put(two, Growing())
    assert (first.nbytes, cache.get(one), cache.get(two)) == (40, first, second)
    assert cache.room(two) == 60
    second.nbytes = 70  # more than there is room for
    cache.weigh(two)
    assert second.nbytes == 40
    cache.get(one)
    cache.put(three, Growing())
    assert [cache.get(key) is None for key in (one, two, three)] == [False, True, False]
    assert cache.room(two) == 0
