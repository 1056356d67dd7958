"""Tiles of the map in one answer, each sent as soon as it is there: a view of forty tiles is one request, not forty."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Literal

import anyio
import anyio.to_thread

from ..errors import NotFittedError
from ..session.errors import StaleError
from ..session.session import Session
from ..session.tiles import MapLayer
from ..types import UInt8Array

HEADER = struct.Struct("<IIf")
"""x, y, and how much of the tile is there, 0..1. TILE x TILE bytes follow, row by row."""
_GZIP = 31
"""zlib's name for its gzip format."""


async def tile_stream(
    session: Session,
    scene_id: str,
    revision: int,
    z: int,
    tiles: Sequence[tuple[int, int]],
    layer: MapLayer | Literal["similarity"],
    turns: anyio.CapacityLimiter,
) -> AsyncGenerator[bytes]:
    """Records of the tiles, in the order in which they get done; ends early, maybe with none, once the revision is superseded.

    Raises:
        NotFittedError: There is no map of this revision; before the first record.
    """

    def find(z: int, x: int, y: int) -> tuple[UInt8Array, float]:
        if layer == "similarity":
            return session.finding.index(scene_id, revision, z, x, y)
        return session.tiles.index(scene_id, revision, z, x, y, layer)

    async def make(x: int, y: int) -> bytes:
        index, complete = await anyio.to_thread.run_sync(find, z, x, y, limiter=turns)
        return HEADER.pack(x, y, complete) + index.tobytes()

    tasks = [asyncio.ensure_future(make(x, y)) for x, y in tiles]
    sent = False
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
            sent = True
    except StaleError:
        # Who marks fast asks for what is superseded on its way: no error, and nothing to show.
        pass
    except NotFittedError:
        if not sent:
            raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def packed(records: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same as one gzip file whose every record can be read on its arrival: a class map is a twentieth of its pixels."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    async for record in records:
        yield packer.compress(record) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()
