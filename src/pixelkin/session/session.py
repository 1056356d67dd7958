"""`Session`: a project being labelled. What the web page does, Python can do too.

It answers at once: images show before the engine is loaded, and the first map does without an encoder while one is trained
in another process. Every change is on the disk before the call returns.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PkError
from .advice import Advice
from .areas import AreasSoFar, areas_so_far
from .edits import AddMark, Edit, UpdateMark, apply_edits
from .engine import Engine
from .events import EventHub
from .export_jobs import ExportJobs
from .finding import Finding
from .jobs import Jobs
from .labels import LabelState
from .marks import Mark, parse_geometry
from .overlays import Overlays
from .pictures import Pictures
from .project import Project
from .store import Editor, Receipt, StoreChanges
from .tiles import MapTiles
from .validation import Validation

if TYPE_CHECKING:
    from .imports import ImportOptions, ImportPlan

_log = logging.getLogger(__name__)
_POLL_S = 0.5
_KEEP_EVERY_S = 60.0
"""Between two writings of the map that is kept for the next start."""


@dataclass(frozen=True)
class EditResult:
    """What a change did."""

    receipt: Receipt
    changes: StoreChanges


class Session:
    """A project, its labels and, in parts of their own, all else that a page shows. All methods may be called from any thread."""

    def __init__(self, project: Project, *, train: bool = True, cache_bytes: int = 1 << 30) -> None:
        """Start at once; the engine loads in the background.

        Args:
            project: Open project; the session closes it.
            train: Train an encoder where the project has none.
            cache_bytes: Memory for what the engine knows of blocks.
        """
        self.project = project
        self.events = EventHub()
        self.jobs = Jobs(self.events)
        self.state = LabelState(project.scenes)
        self.state.absorb(project.store.read_all())
        self._lock = threading.RLock()
        self.engine = Engine(project, self.state, self.events, self.jobs, self._lock, train=train, cache_bytes=cache_bytes)
        """What computes the map."""
        self.tiles = MapTiles(project, self.engine)
        """The map."""
        self.advice = Advice(project, self.state, self.engine)
        """What is worth attention."""
        self.pictures = Pictures(project)
        """The images."""
        self.overlays = Overlays(project, lambda: self.events.publish("overlays", {}))
        """What is laid over them."""
        self.exports = ExportJobs(project, self.engine, self.jobs)
        """Maps in files."""
        self.validation = Validation(project, self.state)
        """Sample points and what was said of them."""
        self.finding = Finding(project, self.state, self.engine, self.jobs)
        """What is like something that was pointed at."""
        self._kept_at = float("-inf")
        self.events.subscribe(self._keep_map)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="pixelkin-poll", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End background work and close the project."""
        self._closed.set()
        self.finding.close()
        self.jobs.close()
        self._thread.join(timeout=30)
        self._keep()
        self.engine.close()
        self.validation.close()
        self.project.close()

    @property
    def revision(self) -> int:
        """Rises with every change of labels, settings or model."""
        return self.state.revision

    def areas(self, scene_id: str) -> AreasSoFar:
        """What the map of an image covers so far."""
        return areas_so_far(self.engine, scene_id, self.project.scene(scene_id).grid)

    # --- changes -------------------------------------------------------------------------------------------------------

    def edit(self, edits: Sequence[Edit], *, key: str | None = None, title: str | None = None, author: str = "") -> EditResult:
        """Do a batch of edits as one step of undo.

        Args:
            edits: In order; all or none are done.
            key: Names the request; the same key again is answered and not done again.
            title: What the history calls the step.
            author: Who draws new marks.

        Raises:
            LabelError: An edit makes no sense, such as a mark outside the image.
            ForbiddenError: The image was reviewed, and its marks are locked.
            NoSuchItemError: A scene, class or mark that is not there.
        """

        def work(editor: Editor) -> str:
            own = apply_edits(editor, edits, list(self.project.scenes))
            return title or own

        with self._lock:
            self._check_covers(edits)
            receipt = self.project.store.edit(key or str(uuid.uuid4()), work, author=author)
            self._focus_on(edits)
            return self._changed(receipt, "edit", key)

    def undo(self, *, key: str | None = None) -> EditResult:
        """Take back the last step; HistoryError where there is none."""
        with self._lock:
            return self._changed(self.project.store.undo(key or str(uuid.uuid4())), "undo", key)

    def redo(self, *, key: str | None = None) -> EditResult:
        """Do the last step taken back again; HistoryError where there is none."""
        with self._lock:
            return self._changed(self.project.store.redo(key or str(uuid.uuid4())), "redo", key)

    def changes_since(self, revision: int) -> StoreChanges:
        """What happened after a revision, also in other tabs and processes."""
        self.refresh()
        with self._lock:
            return self.project.store.changes_since(revision)

    def refresh(self) -> None:
        """Take in what other processes have changed."""
        with self._lock:
            if self.project.store.revision == self.state.revision:
                return
            before = self.project.settings, self.project.model_path
            self.project.reload()
            self._absorb(self.project.store.changes_since(self.state.revision))
            moved = before != (self.project.settings, self.project.model_path)
            self.events.publish("revision", {"revision": self.state.revision, "cause": "remote", "key": None})
        if moved:
            self.engine.switch_later()

    def change_settings(self, **changes: Any) -> None:
        """Change settings of the project; see `ProjectSettings`."""
        self.project.update(settings=dataclasses.replace(self.project.settings, **changes))
        self.engine.switch("settings")

    def plan_import(self, path: Path, scene_id: str, options: ImportOptions | None = None) -> ImportPlan:
        """What `import_labels` would do with the same arguments; nothing is changed."""
        from .imports import ImportOptions, plan_import

        with self._lock:
            return plan_import(path, scene_id, self.project.scene(scene_id), self.state, options or ImportOptions())

    def import_labels(
        self, path: Path, scene_id: str, options: ImportOptions | None = None, *, key: str | None = None, author: str = ""
    ) -> EditResult:
        """Bring the labels of a file in as one step of undo.

        Classes are matched by name, or by id where one side has no names; others are added. Later marks win over earlier ones.

        Args:
            path: GeoJSON, GeoPackage, CSV, or a label raster on the scene's grid.
            scene_id: The scene that the labels belong to.
            options: What to read, and which class goes to which.
            key: As in `edit`.
            author: As in `edit`.

        Raises:
            LabelError: The file cannot be read as labels of this scene; the message says why.
        """
        with self._lock:
            plan = self.plan_import(path, scene_id, options)
            return self.edit(plan.edits(scene_id, self.state), key=key, title=f"Import {len(plan.marks)} marks", author=author)

    def export_labels(self, path: Path, scene_id: str) -> Path:
        """Write the labels of a scene as GeoJSON, GeoPackage or label raster, by the file's suffix."""
        from .transfer import export_labels

        with self._lock:
            return export_labels(path, scene_id, self.project.scene(scene_id), self.state)

    def review(self, scene_id: str, reviewer: str | None) -> None:
        """Lock the marks of an image in somebody's name ('' for nobody's), or open them again (None)."""
        self.project.scene(scene_id)
        self.project.store.review(scene_id, reviewer)
        self.events.publish("people", {})

    # --- inside --------------------------------------------------------------------------------------------------------

    def _check_covers(self, edits: Sequence[Edit]) -> None:
        """Refuse marks that cover nothing before they are stored."""
        for edit in edits:
            if isinstance(edit, AddMark) and edit.scene in self.project.scenes:
                self.state.cover(Mark("", 0, edit.scene, edit.class_id, edit.kind, edit.geometry, edit.brush_px))
            elif isinstance(edit, UpdateMark) and edit.id in self.state.marks:
                self.state.cover(dataclasses.replace(self.state.marks[edit.id], **dict(edit.changes)))

    def _focus_on(self, edits: Sequence[Edit]) -> None:
        marks = [edit for edit in edits if isinstance(edit, AddMark)]
        if marks:
            centre = parse_geometry(marks[-1].geometry).centroid
            self.engine.focus(marks[-1].scene, centre.y, centre.x)

    def _changed(self, receipt: Receipt, cause: str, key: str | None) -> EditResult:
        changes = self.project.store.changes_since(self.state.revision)
        self._absorb(changes)
        if receipt.applied:
            self.events.publish("revision", {"revision": self.state.revision, "cause": cause, "key": key})
        if receipt.since != changes.since:
            changes = self.project.store.changes_since(receipt.since)
        self.engine.hurry()
        return EditResult(receipt, changes)

    def _absorb(self, changes: StoreChanges) -> None:
        self.state.absorb(changes)
        self.engine.teach()

    def _keep_map(self, kind: str, data: dict[str, Any]) -> None:
        """For the next start, once all of the map is there and its labels were gone through; not at every mark, as it takes time from the map."""
        if kind == "suspect-labels" and time.monotonic() - self._kept_at > _KEEP_EVERY_S:
            self._kept_at = time.monotonic()
            self._keep()

    def _keep(self) -> None:
        with self._lock:
            found = self.engine.kept.collect(*self.engine.answering())
        self.engine.kept.write(found)

    def _poll(self) -> None:
        while not self._closed.wait(_POLL_S):
            try:
                self.refresh()
            except PkError as exc:
                _log.warning("the project could not be read again: %s", exc)
