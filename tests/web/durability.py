"""Draw and undo against a server that is killed at random, and keep account of what was acknowledged."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from .conftest import ServerProcess


@dataclass
class Report:
    """What came of it."""

    kills: int = 0
    lost: list[str] = field(default_factory=list)
    """Acknowledged changes that are not there."""
    twice: list[str] = field(default_factory=list)
    """Changes that are there though they were undone, or never asked for."""
    memory_mb: list[float] = field(default_factory=list)
    """Resident memory after every 100 requests of one process."""
    seconds: float = 0.0


def hammer(server: ServerProcess, *, marks: int, undos: int, kills: int, seed: int) -> Report:
    """Send marks and undos in random order, killing the server `kills` times in the middle of requests.

    A request that dies with the server is sent again with its key, as the page does. What the server must hold in the end is
    known exactly: every mark drawn, less the ones undone.
    """
    chance = random.Random(seed)
    report, started = Report(), time.monotonic()
    classes = [{"op": "add_class", "name": name} for name in ("water", "land", "rock")]
    _send(server, report, "/api/edits", {"key": "classes", "edits": classes})
    steps = ["mark"] * marks + ["undo"] * undos
    chance.shuffle(steps)
    kill_at = set(chance.sample(range(len(steps)), kills))
    expected: list[str] = []
    for number, step in enumerate(steps):
        if step == "undo" and not expected:
            step = "mark"
        timer = None
        if number in kill_at:
            timer = threading.Timer(chance.uniform(0, 0.01), server.process.kill)
            timer.start()
        if step == "mark":
            mark = {
                "op": "add_mark",
                "id": f"mark-{number}",
                "scene": "field",
                "class_id": chance.randint(1, 3),
                "kind": "point",
                "geometry": {"type": "Point", "coordinates": [chance.uniform(1, 419), chance.uniform(5, 299)]},
            }
            _send(server, report, "/api/edits", {"key": f"step-{number}", "edits": [mark]})
            expected.append(f"mark-{number}")
        else:
            _send(server, report, "/api/undo", {"key": f"step-{number}"})
            expected.pop()
        if timer is not None:
            timer.join()
            _revive(server, report)
        if number % 100 == 99:
            report.memory_mb.append(server.memory_mb())
    server.kill()
    server.start()
    there = [mark["id"] for mark in server.client.get("/api/scenes/field/marks").json()["marks"]]
    report.lost = sorted(set(expected) - set(there))
    report.twice = sorted(set(there) - set(expected))
    assert there == [mark for mark in expected if mark in there]
    report.seconds = time.monotonic() - started
    return report


def _send(server: ServerProcess, report: Report, path: str, body: dict[str, Any]) -> None:
    for _ in range(5):
        try:
            answer = server.client.post(path, json=body)
        except httpx.TransportError:
            _revive(server, report)
            continue
        assert answer.status_code == 200, answer.text
        return
    raise AssertionError(f"{path} was not answered")


def _revive(server: ServerProcess, report: Report) -> None:
    """Start the server again if it has been killed."""
    for _ in range(20):
        if server.process.poll() is not None:
            server.kill()
            server.start()
            report.kills += 1
            return
        time.sleep(0.01)
