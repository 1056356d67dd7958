"""What computes a session's map: loaded late, taught at every edit, and switched when the encoder or the settings change."""

from __future__ import annotations

import dataclasses
import logging
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ..errors import NotFittedError, PkError
from .errors import StaleError
from .events import EventHub
from .jobs import Job, Jobs
from .keptmap import KeptMap
from .labels import LabelState
from .project import Project
from .trainer import Trainer

if TYPE_CHECKING:
    from ..blockcache import BlockStore
    from ..model import Model
    from ..segmenter import Segmenter
    from .accuracy import AccuracyWatch
    from .coverage import CoverageWatch
    from .livemap import LiveMap
    from .mapping import Recipe

_log = logging.getLogger(__name__)

ModelState = Literal["none", "training", "ready", "failed"]
# Torch takes seconds to load; the page must show the image before.
_DELAY_S = 1.5


@dataclass(frozen=True)
class MapStatus:
    """Whether there is a map."""

    ready: bool
    reason: str | None
    """What is missing, in words for the user."""


@dataclass(frozen=True)
class ModelStatus:
    """How pixels are compared."""

    state: ModelState
    hash: str | None
    measure_in_use: str
    features: tuple[str, ...]
    """Names of the sources that the map stands on; see `pixelkin.features.SOURCES`."""
    changed: float | None
    """Share of the pixels lately shown, 0..1, whose class the encoder changed when it took over; None where none did, or nothing was shown."""
    job: str | None
    """Training job under way or last done."""
    message: str


class Engine:
    """The live map of a project, its encoder, and the training of one. All methods may be called from any thread."""

    def __init__(
        self, project: Project, state: LabelState, events: EventHub, jobs: Jobs, lock: threading.RLock, *, train: bool, cache_bytes: int
    ) -> None:
        """Start in the background.

        Args:
            project: Open project.
            state: Its labels.
            events: Told of the map, the model and what was found out about the labels.
            jobs: Where trainings run.
            lock: Held while labels change.
            train: Train an encoder where the project has none.
            cache_bytes: Memory for what is known of blocks.
        """
        self._project, self._state, self._events, self._lock = project, state, events, lock
        self._cache_bytes = cache_bytes
        self.live: LiveMap | None = None
        """None until it is loaded."""
        self.coverage: CoverageWatch | None = None
        self.accuracy: AccuracyWatch | None = None
        self.model: Model | None = None
        self.kept = KeptMap(project, state)
        self._model_path = project.model_path
        self._store: BlockStore | None = None
        self._answering = (state.revision, -1)
        self._trainer = Trainer(project, jobs, self._go_over, self._tell_model)
        self._wants_training = train
        self._failed = False
        self._message = "The engine is starting."
        self._measure_in_use = "learner on raw bands"
        self._features: tuple[str, ...] = ("bands",)
        self._changed: float | None = None
        self._closed = threading.Event()
        self._hurry = threading.Event()
        self._loading = threading.Lock()
        events.subscribe(self._follow_training)
        self._thread = threading.Thread(target=self._start_later, name="pixelkin-engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the background."""
        self._closed.set()
        self._hurry.set()
        self._thread.join(timeout=30)
        for part in (self.coverage, self.accuracy, self.live, self._store):
            if part is not None:
                part.close()

    # --- what it is up to ----------------------------------------------------------------------------------------------

    def map_status(self) -> MapStatus:
        """Whether map tiles can be asked for."""
        if not self._state.has_two_classes:
            return MapStatus(False, "Mark at least two classes.")
        if self.live is None:
            return MapStatus(True, None) if self.kept.blocks() else MapStatus(False, "The engine is starting.")
        return MapStatus(self.live.reason is None, self.live.reason)

    def model_status(self) -> ModelStatus:
        """The encoder, and its training."""
        there: ModelState = "ready" if self.model is not None else "failed" if self._failed or self._trainer.failed else "none"
        state: ModelState = "training" if self._trainer.is_training else there
        digest = None if self.model is None else self.model.hash
        return ModelStatus(state, digest, self._measure_in_use, self._features, self._changed, self._trainer.job_id, self._message)

    @property
    def is_provisional(self) -> bool:
        """The map does without an encoder until the encoder is there that is being trained, or about to be."""
        to_come = self._wants_training and self._trainer.job_id is None and not self._failed
        return self.model is None and (to_come or self._trainer.is_training)

    @property
    def revision(self) -> int:
        """Of the labels."""
        return self._state.revision

    def answering(self) -> tuple[LiveMap | None, int, int]:
        """The live map, the revision of the labels that it was taught last, and its version then."""
        revision, version = self._answering
        return self.live, revision, version

    def answer(self, revision: int) -> tuple[LiveMap, int]:
        """The live map and its version for a revision.

        Raises:
            StaleError: The revision is superseded.
            NotFittedError: There is no map yet.
        """
        current, version = self._answering
        if revision != self._state.revision:
            raise StaleError(revision, self._state.revision)
        status = self.map_status()
        if self.live is None or not status.ready:
            self._hurry.set()
            raise NotFittedError(f"there is no map yet: {status.reason or 'The engine is starting.'}")
        if current != revision:
            raise StaleError(revision, self._state.revision)
        return self.live, version

    def recipe(self) -> Recipe:
        """What the map is drawn from, now; NotFittedError where there is none."""
        from .mapping import Recipe

        with self._lock:
            status = self.map_status()
            if not status.ready and self.live is not None:
                raise NotFittedError(f"there is no map to write: {status.reason}")
            settings = self._project.settings
            lessons = self._state.lessons(settings.pixels_per_mark)
            return Recipe(self._project.scenes, lessons, self._state.legend, settings, self.model)

    # --- what it is told -----------------------------------------------------------------------------------------------

    def hurry(self) -> None:
        """Load now: somebody labels."""
        self._hurry.set()

    def focus(self, scene_id: str, row: float, col: float) -> None:
        """Work outwards from here."""
        if self.live is not None:
            self.live.focus(scene_id, row, col)

    def teach(self) -> None:
        """Take the labels as they are now; the caller holds the lock."""
        if self.live is not None:
            self.live.learn(self._state.lessons(self._project.settings.pixels_per_mark))
            self._answering = (self._state.revision, self.live.version)

    def start(self) -> None:
        """Load now instead of in the background; does nothing the second time."""
        with self._loading:
            if self.live is not None:
                return
            from ..blockcache import BlockStore
            from .accuracy import AccuracyWatch
            from .coverage import CoverageWatch
            from .livemap import LiveMap
            from .mapping import load_encoder, make_segmenter

            self._store = BlockStore(self._project.folder / "cache" / "blocks")
            self.model, self._model_path = load_encoder(self._project), self._project.model_path
            segmenter = make_segmenter(self.model, self._project.settings, cache_bytes=self._cache_bytes, store=self._store)
            self._look_at(segmenter)
            scenes = self._project.scenes
            live = LiveMap(
                scenes, segmenter, self._filled, partial(self._publish, "suspect-labels"), cache_bytes=self._cache_bytes, store=self._store
            )
            with self._lock:
                self.live = live
                self.teach()
            self.coverage = CoverageWatch(scenes, live, self._state.labelled_scenes, partial(self._publish, "coverage"))
            self.accuracy = AccuracyWatch(scenes, live, partial(self._publish, "accuracy"))
            self._tell_in_use()
            self._events.publish("revision", {"revision": self._state.revision, "cause": "model", "key": None})

    def switch(self, cause: str) -> None:
        """Go over to the project's settings and model of now.

        Args:
            cause: 'settings' or 'model', or 'remote' where another process has made the new revision already.
        """
        from .mapping import load_encoder, make_segmenter

        self.start()
        assert self.live is not None
        with self._loading:
            if self._model_path != self._project.model_path:
                self.model, self._model_path = load_encoder(self._project), self._project.model_path
            segmenter = make_segmenter(self.model, self._project.settings, cache_bytes=self._cache_bytes, store=self._store)
            self._changed = self.live.switch(segmenter)
            self._look_at(segmenter)
        with self._lock:
            if cause != "remote":
                receipt = self._project.store.touch(str(uuid.uuid4()), cause)
                self._state.absorb(self._project.store.changes_since(min(receipt.since, self._state.revision)))
            self.teach()
            self._events.publish("revision", {"revision": self._state.revision, "cause": cause, "key": None})
        self._tell_in_use()

    def switch_later(self) -> None:
        """Follow what another process has changed, without waiting for it."""
        threading.Thread(target=self._switch_logged, name="pixelkin-switch", daemon=True).start()

    def start_training(self, *, preset: str = "fast", steps: int | None = None, scenes: Sequence[str] | None = None) -> Job:
        """Train an encoder in another process, and go over to it when it is done."""
        return self._trainer.start(preset, steps, scenes)

    # --- inside --------------------------------------------------------------------------------------------------------

    def _look_at(self, segmenter: Segmenter) -> None:
        """What is said of how it decides."""
        from .mapping import comparison, feature_sources

        first = next(iter(self._project.scenes.values()))
        self._measure_in_use, self._features = comparison(segmenter, first), feature_sources(segmenter, first)

    def _start_later(self) -> None:
        # Where there is a map to be shown again, somebody waits for it.
        if not self._state.has_two_classes:
            self._hurry.wait(_DELAY_S)
        if self._closed.is_set():
            return
        try:
            self.start()
            self._wants_training = self._wants_training and self._trainer.is_of_use()
            if self._wants_training and self.model is None and not self._closed.is_set():
                self.start_training()
        except PkError as exc:
            self._failed = True
            self._tell_model(str(exc))
        except Exception:  # a thread's own border
            _log.exception("the engine did not start")
            self._failed = True
            self._tell_model("The engine did not start; the server's log says why.")

    def _go_over(self) -> None:
        """An encoder was trained."""
        self._failed = False
        self.switch("model")

    def _switch_logged(self) -> None:
        try:
            self.switch("remote")
        except PkError as exc:
            self._tell_model(str(exc))

    def _tell_in_use(self) -> None:
        self._tell_model("A trained encoder is in use." if self.model is not None else "There is no trained encoder.")

    def _tell_model(self, message: str) -> None:
        self._message = message
        self._events.publish("model", dataclasses.asdict(self.model_status()))

    def _publish(self, kind: str, version: int, **more: Any) -> None:
        revision, current = self._answering
        if version == current:
            self._events.publish(kind, {"revision": revision, **more})

    def _filled(self, scene_id: str, version: int, done: int, total: int) -> None:
        self._publish("map", version, scene=scene_id, done=done, total=total)

    def _follow_training(self, kind: str, data: dict[str, Any]) -> None:
        """Once no encoder is on its way any more, the page learns what became of it, and what the bands say of the labels counts."""
        if kind == "job" and data["kind"] == "train" and data["finished"]:
            self._events.publish("model", dataclasses.asdict(self.model_status()))
            self._events.publish("suspect-labels", {"revision": self._state.revision})
