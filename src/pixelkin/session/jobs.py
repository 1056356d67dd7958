"""Long work beside the page: with progress, and an end when the user says so."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ..errors import PkError
from .errors import NoSuchItemError
from .events import EventHub

_log = logging.getLogger(__name__)
_KEPT = 100

Format = Literal["cog", "confidence", "polygons", "areas"]
"""What can be written of a map."""
JobKind = Literal["train", "export", "apply"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class JobFile:
    """A file that a job has written into the project's exports folder."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Job:
    """Where a piece of long work stands."""

    id: str
    kind: JobKind
    state: JobState = "queued"
    progress: float = 0.0
    """0..1."""
    message: str = ""
    error: dict[str, str] | None = None
    """{type, message} where the state is failed."""
    files: list[JobFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What is doubtful about what it wrote, a sentence each."""
    started: str | None = None
    finished: str | None = None


class CancelledJobError(PkError):
    """The user cancelled the job; raised inside its work."""

    status = 409


class Progress:
    """What a job's work reports to. `tell` raises CancelledJobError once the user has cancelled."""

    def __init__(self, jobs: Jobs, job_id: str) -> None:
        self._jobs = jobs
        self._id = job_id
        self.cancelled = threading.Event()
        self._told = 0.0

    def tell(self, fraction: float, message: str) -> None:
        """Say how far the work is; passed on at most five times a second."""
        if self.cancelled.is_set():
            raise CancelledJobError("the job was cancelled.")
        if fraction >= 1 or time.monotonic() - self._told > 0.2:
            self._told = time.monotonic()
            self._jobs._change(self._id, progress=min(1.0, fraction), message=message)

    def warn(self, warnings: list[str]) -> None:
        """Say what is doubtful about what is written."""
        self._jobs._change(self._id, warnings=warnings)


Work = Callable[[Progress], list[JobFile]]


class Jobs:
    """The jobs of a session. Jobs of one kind run one after another."""

    def __init__(self, events: EventHub) -> None:
        self._events = events
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._progress: dict[str, Progress] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._turns: dict[str, threading.Lock] = {}

    def start(self, kind: JobKind, work: Work) -> Job:
        """Queue work; it runs in a thread of its own."""
        job = Job(uuid.uuid4().hex[:12], kind)
        with self._lock:
            self._jobs[job.id] = job
            self._progress[job.id] = Progress(self, job.id)
            for old in [other.id for other in self._jobs.values() if other.finished][: max(0, len(self._jobs) - _KEPT)]:
                del self._jobs[old], self._progress[old]
                self._threads.pop(old, None)
            turn = self._turns.setdefault(kind, threading.Lock())
            thread = self._threads[job.id] = threading.Thread(
                target=self._run, args=(job.id, work, turn), name=f"pixelkin-{kind}", daemon=True
            )
        self._events.publish("job", asdict(job))
        thread.start()
        return job

    def list(self) -> list[Job]:
        """All jobs, newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def get(self, job_id: str) -> Job:
        """A job; NoSuchItemError if there is none."""
        with self._lock:
            if job_id not in self._jobs:
                raise NoSuchItemError(f"there is no job {job_id!r}, expected one of this server's. List them with GET /api/jobs.")
            return self._jobs[job_id]

    def cancel(self, job_id: str) -> Job:
        """Ask a job to end; one that has ended stays as it is."""
        self.get(job_id)
        with self._lock:
            self._progress[job_id].cancelled.set()
        return self.get(job_id)

    def close(self) -> None:
        """Cancel everything and wait a little."""
        with self._lock:
            for progress in self._progress.values():
                progress.cancelled.set()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(timeout=10)

    def _run(self, job_id: str, work: Work, turn: threading.Lock) -> None:
        progress = self._progress[job_id]
        with turn:
            if progress.cancelled.is_set():
                self._end(job_id, state="cancelled")
                return
            self._change(job_id, state="running", started=_now())
            try:
                files = work(progress)
            except CancelledJobError:
                self._end(job_id, state="cancelled", message="cancelled")
            except PkError as exc:
                self._end(job_id, state="failed", error={"type": type(exc).__name__, "message": str(exc)})
            except Exception:  # a thread's own border: the page must hear of it, and the log has the traceback
                _log.exception("job %s failed", job_id)
                self._end(
                    job_id,
                    state="failed",
                    error={"type": "InternalError", "message": "the job failed for a reason of ours; the server's log says more."},
                )
            else:
                self._end(job_id, state="done", progress=1.0, files=files, message="done")

    def _end(self, job_id: str, **changes: Any) -> None:
        self._change(job_id, finished=_now(), **changes)

    def _change(self, job_id: str, **changes: Any) -> None:
        with self._lock:
            job = self._jobs[job_id] = replace(self._jobs[job_id], **changes)
        self._events.publish("job", asdict(job))


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
