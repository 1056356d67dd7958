"""Answers to sample points, in a file of their own beside the marks: `validation.sqlite` of a project.

A table of samples as they were brought in, and a journal of answers to which is only ever added: the last answer of an interpreter to a
point counts. As in `store`, an answer is on the disk before it is acknowledged, and several processes may share the file.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import shapely

from ..labels.layers import RawFeature
from .errors import ProjectError

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS samples (id TEXT PRIMARY KEY, name TEXT NOT NULL, crs TEXT, points TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, time TEXT NOT NULL, sample TEXT NOT NULL,
  point INTEGER NOT NULL, interpreter TEXT NOT NULL, class TEXT NOT NULL, note TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS answers_sample ON answers (sample, interpreter, point);
"""


@dataclass(frozen=True)
class StoredSample:
    """Points of a design as the file had them."""

    id: str
    name: str
    """Of the file."""
    crs: str | None
    features: Sequence[RawFeature]


@dataclass(frozen=True)
class Answer:
    """What an interpreter said of a point."""

    point: int
    """Index into the sample's features."""
    interpreter: str
    class_name: str
    """'unsure' where nobody can tell; '?' takes an answer back."""
    note: str = ""


class AnswerStore:
    """The file; made when the first sample is brought in. Methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._samples: dict[str, StoredSample] = {}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection = self._connection or self._open()
            with self._connection:
                yield self._connection

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, timeout=30)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                connection.executescript(_SCHEMA + f"PRAGMA user_version = {_VERSION};")
        except sqlite3.DatabaseError as exc:
            connection.close()
            raise ProjectError(f"{self._path} is no file of answers ({exc}). Restore it from a copy, or move it away.") from exc
        if version > _VERSION:
            connection.close()
            raise ProjectError(f"{self._path} has layout version {version}, expected {_VERSION}. Open it with the pixelkin that wrote it.")
        return connection

    def add(self, sample: StoredSample, answers: Sequence[Answer]) -> bool:
        """Keep a sample and the answers that came with it; False where it was there already, and then nothing is done."""
        points = json.dumps([[feature.geometry.wkb_hex, dict(feature.properties)] for feature in sample.features], default=str)
        with self._transaction() as connection:
            row = (sample.id, sample.name, sample.crs, points)
            if not connection.execute("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?)", row).rowcount:
                return False
            for answer in answers:
                _append(connection, sample.id, answer, f"{sample.id}:{answer.interpreter}:{answer.point}")
        return True

    def samples(self) -> dict[str, StoredSample]:
        """All samples by id, in the order in which they came."""
        if not self._path.exists():
            return {}
        with self._transaction() as connection:
            # A sample never changes, so that each is read once.
            for (sample_id,) in connection.execute("SELECT id FROM samples ORDER BY rowid").fetchall():
                if sample_id not in self._samples:
                    row = connection.execute("SELECT name, crs, points FROM samples WHERE id = ?", (sample_id,)).fetchone()
                    features = [RawFeature(shapely.from_wkb(wkb), properties) for wkb, properties in json.loads(row[2])]
                    self._samples[sample_id] = StoredSample(sample_id, row[0], row[1], features)
            return dict(self._samples)

    def append(self, sample_id: str, answer: Answer, key: str) -> None:
        """Keep an answer; on the disk when this returns. The same key again is not kept again."""
        with self._transaction() as connection:
            _append(connection, sample_id, answer, key)

    def answers(self, sample_id: str) -> list[Answer]:
        """The last answer of each interpreter to each point, in the order in which they were given."""
        if not self._path.exists():
            return []
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT point, interpreter, class, note FROM answers WHERE seq IN "
                "(SELECT max(seq) FROM answers WHERE sample = ? GROUP BY interpreter, point) AND class != '?' ORDER BY seq",
                (sample_id,),
            ).fetchall()
        return [Answer(*row) for row in rows]


def _append(connection: sqlite3.Connection, sample_id: str, answer: Answer, key: str) -> None:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    row = (key, now, sample_id, answer.point, answer.interpreter, answer.class_name, answer.note)
    connection.execute(
        "INSERT OR IGNORE INTO answers (key, time, sample, point, interpreter, class, note) VALUES (?, ?, ?, ?, ?, ?, ?)", row
    )
