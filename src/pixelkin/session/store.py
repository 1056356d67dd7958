"""Marks, classes and their history in one GeoPackage: the part of a project that must never lose anything.

`labels.gpkg` is an SQLite database in write-ahead mode with full synchronisation: a change is on the disk before it
is acknowledged, and a killed process leaves either all of it or nothing. Several processes may share it; SQLite
orders their writes, and `revision` tells each what it has missed.

Tables (QGIS shows the first two):
    marks              one feature a mark; `geom` in the layer's CRS for other programs, `pixel_geometry` (GeoJSON in
                       pixel space) is what counts here; `class_id` 0 is an eraser; `fid` is the order of drawing.
    classes            id, name, color, key, position.
    pixelkin_state     revision and counters.
    pixelkin_journal   every batch of edits with what each row was before and after: undo and redo without limit.
    pixelkin_requests  keys of requests already done, so that a repeated request is answered and not done twice.
    pixelkin_reviews   images whose marks are locked, and who reviewed them.
    pixelkin_touched   which marks a revision touched.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from ..errors import LabelError
from .errors import ForbiddenError, HistoryError, NoSuchItemError, ProjectError
from .gpkg import SCHEMA_VERSION, bring_up_to_date, geometry_blob
from .marks import LabelClass, Mark

Locate = Callable[[Mark], shapely.Geometry]
"""The geometry of a mark in the layer's CRS."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """What one row was and is: enough to do it and to take it back."""

    table: str
    """'marks' or 'classes'."""
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the store answers once a change is on the disk."""

    since: int
    revision: int
    applied: bool
    """False where this request had been done before."""
    title: str


@dataclass(frozen=True, slots=True)
class StoreChanges:
    """What happened after a revision."""

    since: int
    revision: int
    classes: list[LabelClass]
    marks: list[Mark]
    deleted: list[str]


@dataclass(frozen=True, slots=True)
class History:
    """Where undo and redo stand."""

    undo_title: str | None
    redo_title: str | None


class Editor:
    """Reads and writes rows inside one transaction and notes every change. Made by `Store.edit`."""

    def __init__(self, store: Store, connection: sqlite3.Connection, author: str) -> None:
        self._store = store
        self.author = author
        self._connection = connection
        self.changes: list[RowChange] = []

    def classes(self) -> list[LabelClass]:
        """All classes in order."""
        return _read_classes(self._connection)

    def class_by_id(self, class_id: int) -> LabelClass:
        """A class; NoSuchItemError if there is none."""
        for entry in self.classes():
            if entry.id == class_id:
                return entry
        raise NoSuchItemError(f"there is no class {class_id}, expected one of {[entry.id for entry in self.classes()]}. Add it first.")

    def find_mark(self, mark_id: str) -> Mark | None:
        """A mark, or None."""
        row = self._connection.execute("SELECT * FROM marks WHERE mark_id = ?", (mark_id,)).fetchone()
        return None if row is None else _mark(row)

    def mark(self, mark_id: str) -> Mark:
        """A mark; NoSuchItemError if there is none."""
        mark = self.find_mark(mark_id)
        if mark is None:
            raise NoSuchItemError(f"there is no mark {mark_id!r}; it may have been deleted in another tab. Reload the page.")
        return mark

    def marks(self, *, scene: str | None = None, class_id: int | None = None) -> list[Mark]:
        """Marks in order, of a scene and a class where given."""
        where = "(?1 IS NULL OR scene = ?1) AND (?2 IS NULL OR class_id = ?2)"
        return [_mark(row) for row in self._connection.execute(f"SELECT * FROM marks WHERE {where} ORDER BY fid", (scene, class_id))]

    def next_order(self) -> int:
        """A number for a new mark, larger than any given before."""
        self._connection.execute("UPDATE pixelkin_state SET value = value + 1 WHERE name = 'order'")
        return _state(self._connection, "order")

    def put_mark(self, mark: Mark) -> None:
        """Add a mark, or change the one of its id."""
        before = self.find_mark(mark.id)
        self._do(RowChange("marks", None if before is None else before.to_json(), mark.to_json()))

    def delete_mark(self, mark: Mark) -> None:
        """Take a mark away."""
        self._do(RowChange("marks", mark.to_json(), None))

    def put_class(self, entry: LabelClass) -> None:
        """Add a class, or change the one of its id."""
        before = next((old for old in self.classes() if old.id == entry.id), None)
        self._do(RowChange("classes", None if before is None else before.to_json(), entry.to_json()))

    def delete_class(self, entry: LabelClass) -> None:
        """Take a class away; its marks must be gone."""
        self._do(RowChange("classes", entry.to_json(), None))

    def _do(self, change: RowChange) -> None:
        if change.before == change.after:
            return
        self._store._write_row(self._connection, change)
        self.changes.append(change)


DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError, ValueError, TypeError, LookupError)
"""What reading a damaged store raises."""


def _state(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute("SELECT value FROM pixelkin_state WHERE name = ?", (name,)).fetchone()[0])


def _mark(row: sqlite3.Row) -> Mark:
    return Mark(
        id=row["mark_id"],
        order=row["fid"],
        scene=row["scene"],
        class_id=row["class_id"],
        kind=row["kind"],
        geometry=json.loads(row["pixel_geometry"]),
        brush_px=row["brush_px"],
        author=row["author"],
    )


def _read_classes(connection: sqlite3.Connection) -> list[LabelClass]:
    return [LabelClass.from_json(dict(row)) for row in connection.execute("SELECT * FROM classes ORDER BY position, id")]


class Store:
    """The open `labels.gpkg` of a project. Methods may be called from any thread."""

    def __init__(self, path: Path, locate: Locate) -> None:
        """Open a store made by `create_store`.

        Args:
            path: The GeoPackage.
            locate: Gives the geometry of a mark in the layer's CRS, for other programs.

        Raises:
            ProjectError: The file is not a store of this version.
        """
        self._path, self._locate = path, locate
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = OFF")
            version = _state(self._connection, "schema")
            srs = self._connection.execute("SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = 'marks'").fetchone()
            self._srs_id = int(srs[0])
        except DAMAGE as exc:
            self._connection.close()
            raise ProjectError(
                f"{path} is not a pixelkin label store ({exc}). Restore it from a copy, or start a new project folder."
            ) from exc
        if version != SCHEMA_VERSION:
            self._connection.close()
            raise ProjectError(f"{path} has layout version {version}, expected {SCHEMA_VERSION}. Open it with the pixelkin that wrote it.")
        with self._transaction("IMMEDIATE") as connection:
            bring_up_to_date(connection)

    def close(self) -> None:
        """Fold the write-ahead file into the GeoPackage and close it."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self, mode: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute(f"BEGIN {mode}")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @property
    def revision(self) -> int:
        """Rises by one at each change, by any process."""
        with self._lock:
            return _state(self._connection, "revision")

    def read_all(self) -> StoreChanges:
        """Everything, as of one revision.

        Raises:
            ProjectError: The file is damaged.
        """
        try:
            with self._transaction("DEFERRED") as connection:
                marks = [_mark(row) for row in connection.execute("SELECT * FROM marks ORDER BY fid")]
                return StoreChanges(0, _state(connection, "revision"), _read_classes(connection), marks, [])
        except DAMAGE as exc:
            raise ProjectError(f"{self._path} is damaged ({exc}). Restore it from a copy.") from exc

    def changes_since(self, revision: int) -> StoreChanges:
        """What happened after a revision, as of one later revision."""
        with self._transaction("DEFERRED") as connection:
            touched = {row[0] for row in connection.execute("SELECT mark_id FROM pixelkin_touched WHERE revision > ?", (revision,))}
            rows = (connection.execute("SELECT * FROM marks WHERE mark_id = ?", (mark_id,)).fetchone() for mark_id in touched)
            marks = sorted((_mark(row) for row in rows if row is not None), key=lambda mark: mark.order)
            deleted = sorted(touched - {mark.id for mark in marks})
            return StoreChanges(revision, _state(connection, "revision"), _read_classes(connection), marks, deleted)

    def history(self) -> History:
        """Titles of what undo and redo would do."""
        with self._transaction("DEFERRED") as connection:
            undo, redo = _last_done(connection), _next_undone(connection)
            return History(undo["title"] if undo else None, redo["title"] if redo else None)

    def edit(self, key: str, work: Callable[[Editor], str], *, author: str = "") -> Receipt:
        """Do a batch of edits as one step of the history; on the disk when this returns.

        Args:
            key: Names the request; the same key again is not done again.
            work: Makes the changes through the Editor and returns the title of the step.
            author: Who draws new marks.

        Returns:
            The revisions before and after.

        Raises:
            PkError: Whatever work raises; then nothing is changed.
        """
        with self._transaction("IMMEDIATE") as connection:
            repeated = self._repeated(connection, key)
            if repeated:
                return repeated
            editor = Editor(self, connection, author)
            title = work(editor)
            if editor.changes:
                connection.execute("DELETE FROM pixelkin_journal WHERE undone = 1")
                packed = json.dumps([[c.table, c.before, c.after] for c in editor.changes], separators=(",", ":"))
                now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
                connection.execute("INSERT INTO pixelkin_journal (time, title, changes, undone) VALUES (?, ?, ?, 0)", (now, title, packed))
            return self._advance(connection, key, title, editor.changes)

    def reviews(self) -> dict[str, str]:
        """Images whose marks are locked, and who reviewed them ('' where nobody said)."""
        with self._lock:
            return {row["scene"]: row["reviewer"] for row in self._connection.execute("SELECT * FROM pixelkin_reviews")}

    def review(self, scene: str, reviewer: str | None) -> None:
        """Lock the marks of an image in somebody's name, or open them again (None)."""
        with self._transaction("IMMEDIATE") as connection:
            connection.execute("DELETE FROM pixelkin_reviews WHERE scene = ?", (scene,))
            if reviewer is not None:
                connection.execute("INSERT INTO pixelkin_reviews VALUES (?, ?)", (scene, reviewer))

    def undo(self, key: str) -> Receipt:
        """Take back the last step; HistoryError if there is none."""
        return self._step(key, _last_done, undone=1)

    def redo(self, key: str) -> Receipt:
        """Do the last step taken back again; HistoryError if there is none."""
        return self._step(key, _next_undone, undone=0)

    def touch(self, key: str, title: str) -> Receipt:
        """A new revision without a change of labels: something else that the map depends on has changed."""
        with self._transaction("IMMEDIATE") as connection:
            return self._repeated(connection, key) or self._advance(connection, key, title, [])

    def _step(self, key: str, pick: Callable[[sqlite3.Connection], sqlite3.Row | None], *, undone: int) -> Receipt:
        with self._transaction("IMMEDIATE") as connection:
            repeated = self._repeated(connection, key)
            if repeated:
                return repeated
            row = pick(connection)
            if row is None:
                raise HistoryError(f"there is nothing to {'undo' if undone else 'redo'}.")
            changes = [RowChange(table, before, after) for table, before, after in json.loads(row["changes"])]
            if undone:
                changes = [RowChange(change.table, change.after, change.before) for change in reversed(changes)]
            for change in changes:
                self._write_row(connection, change)
            connection.execute("UPDATE pixelkin_journal SET undone = ? WHERE seq = ?", (undone, row["seq"]))
            return self._advance(connection, key, row["title"], changes)

    def _repeated(self, connection: sqlite3.Connection, key: str) -> Receipt | None:
        row = connection.execute("SELECT since, revision, title FROM pixelkin_requests WHERE key = ?", (key,)).fetchone()
        return None if row is None else Receipt(row["since"], row["revision"], False, row["title"])

    def _advance(self, connection: sqlite3.Connection, key: str, title: str, changes: list[RowChange]) -> Receipt:
        """Give the transaction its revision number and remember what it touched."""
        connection.execute("UPDATE pixelkin_state SET value = value + 1 WHERE name = 'revision'")
        revision = _state(connection, "revision")
        touched = {(revision, (change.before or change.after or {})["id"]) for change in changes if change.table == "marks"}
        connection.executemany("INSERT INTO pixelkin_touched VALUES (?, ?)", sorted(touched))
        connection.execute("INSERT INTO pixelkin_requests VALUES (?, ?, ?, ?)", (key, revision - 1, revision, title))
        if touched:
            connection.execute("UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ','now') WHERE table_name = 'marks'")
        return Receipt(revision - 1, revision, True, title)

    def _write_row(self, connection: sqlite3.Connection, change: RowChange) -> None:
        if change.table == "marks":
            self._write_mark(connection, change)
        else:
            self._write_class(connection, change)

    def _write_mark(self, connection: sqlite3.Connection, change: RowChange) -> None:
        scene = (change.before or change.after or {})["scene"]
        review = connection.execute("SELECT reviewer FROM pixelkin_reviews WHERE scene = ?", (scene,)).fetchone()
        if review is not None:
            by = f" by {review[0]}" if review[0] else ""
            raise ForbiddenError(
                f"{scene} was reviewed{by} and its marks are locked, expected an image that is open. Ask for it to be opened again."
            )
        if change.before is not None:
            connection.execute("DELETE FROM marks WHERE mark_id = ?", (change.before["id"],))
        if change.after is None:
            return
        mark = Mark.from_json(change.after)
        name = connection.execute("SELECT name FROM classes WHERE id = ?", (mark.class_id,)).fetchone()
        connection.execute(
            "INSERT INTO marks (fid, geom, mark_id, scene, class, class_id, kind, brush_px, pixel_geometry, author) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                mark.order,
                geometry_blob(self._locate(mark), self._srs_id),
                mark.id,
                mark.scene,
                name[0] if name else "",
                mark.class_id,
                mark.kind,
                mark.brush_px,
                json.dumps(mark.geometry, separators=(",", ":")),
                mark.author,
            ),
        )

    def _write_class(self, connection: sqlite3.Connection, change: RowChange) -> None:
        if change.after is None:
            connection.execute("DELETE FROM classes WHERE id = ?", ((change.before or {})["id"],))
            return
        after = change.after
        try:
            connection.execute(
                "INSERT INTO classes (id, name, color, key, position) VALUES (:id, :name, :color, :key, :position) "
                "ON CONFLICT (id) DO UPDATE SET name = :name, color = :color, key = :key, position = :position",
                after,
            )
        except sqlite3.IntegrityError as exc:
            raise LabelError(f"there is a class {after['name']!r} already. Choose another name, or merge the classes.") from exc
        connection.execute("UPDATE marks SET class = :name WHERE class_id = :id", after)


def _last_done(connection: sqlite3.Connection) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM pixelkin_journal WHERE undone = 0 ORDER BY seq DESC LIMIT 1").fetchone()
    return row


def _next_undone(connection: sqlite3.Connection) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM pixelkin_journal WHERE undone = 1 ORDER BY seq LIMIT 1").fetchone()
    return row
