"""Server-sent events: what happens, to every open page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from ..session.session import Session
from .views import job_info, map_info

_HEARTBEAT_S = 10.0
_QUEUE = 1000
CLOSING = "closing"
"""The event after which there are no more."""


async def event_stream(session: Session, instance: str) -> AsyncIterator[str]:
    """Events as text; ends when the client goes or the server does."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(_QUEUE)

    def put(kind: str, data: dict[str, Any]) -> None:
        # A page that does not listen must not fill the memory: it learns what it missed when it asks again.
        if not queue.full():
            queue.put_nowait((kind, data))

    def listen(kind: str, data: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(put, kind, data)

    unsubscribe = session.events.subscribe(listen)
    try:
        yield _message("hello", {"revision": session.revision, "instance": instance, "map": map_info(session).model_dump()})
        while True:
            try:
                kind, data = await asyncio.wait_for(queue.get(), _HEARTBEAT_S)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if kind == CLOSING:
                return
            if kind in ("revision", "model"):
                data = {**data, "map": map_info(session).model_dump()}
            if kind == "job":
                data = job_info(session.jobs.get(data["id"])).model_dump()
            yield _message(kind, data)
    finally:
        unsubscribe()


def _message(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
