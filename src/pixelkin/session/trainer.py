"""Training of an encoder for a project, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import InputError, PkError, TrainingError
from .jobs import Job, JobFile, Jobs, Progress
from .project import Project


class Trainer:
    """One training at a time, of which the last counts."""

    def __init__(self, project: Project, jobs: Jobs, done: Callable[[], None], tell: Callable[[str], None]) -> None:
        """Nothing is trained yet.

        Args:
            project: Whose images are learnt from; it gets the encoder.
            jobs: Where trainings run.
            done: Called once the project has a new encoder.
            tell: Told what is going on, in words for the user.
        """
        self._project, self._jobs, self._done, self._tell = project, jobs, done, tell
        self.job_id: str | None = None
        """Training under way or last done."""
        self.failed = False
        """The last one gave no encoder, and none was there before."""

    @property
    def is_training(self) -> bool:
        """One is under way."""
        return self.job_id is not None and self._jobs.get(self.job_id).state in ("queued", "running")

    def is_of_use(self) -> bool:
        """Whether an encoder adds anything, as in `pixelkin segment`: for ready-made embeddings somebody has trained a network already."""
        from ..features import embedding_bands  # the server starts without the engine

        if any(embedding_bands(scene) for scene in self._project.scenes.values()):
            self._tell("Ready-made embeddings need no encoder.")
            return False
        return True

    def start(self, preset: str, steps: int | None, scenes: Sequence[str] | None) -> Job:
        """Train, or give the training that is under way.

        Raises:
            InputError: An option makes no sense.
            NoSuchItemError: A scene that the project has not.
        """
        if self.job_id is not None and self.is_training:
            return self._jobs.get(self.job_id)
        if steps is not None and not 1 <= steps <= 1_000_000:
            raise InputError(f"steps is {steps}, expected 1 to 1000000.")
        if preset not in ("fast", "paper"):
            raise InputError(f"preset is {preset!r}, expected 'fast' or 'paper'.")
        chosen = list(scenes if scenes else self._project.scenes)
        for scene_id in chosen:
            self._project.scene(scene_id)
        job = self._jobs.start("train", lambda progress: self._train(progress, chosen, preset, steps))
        self.job_id = job.id
        self._tell("An encoder is being trained; until then the map goes without it.")
        return job

    def _train(self, progress: Progress, scenes: list[str], preset: str, steps: int | None) -> list[JobFile]:
        import filelock

        self.failed = False
        lock = filelock.FileLock(self._project.folder / "cache" / "training.lock")
        target = self._project.folder / "models" / f".training-{os.getpid()}.safetensors"
        task = {"project": str(self._project.folder), "scenes": scenes, "model": str(target), "preset": preset, "steps": steps}
        try:
            with lock.acquire(timeout=0):
                digest = run_training(task, progress)
                model = target.with_name(f"encoder-{digest[:12]}.safetensors")
                target.replace(model)
        except filelock.Timeout as exc:
            raise TrainingError(
                "another pixelkin is training an encoder for this project. Wait for it; this page goes over to it then."
            ) from exc
        except PkError as exc:
            self.failed = self._project.model_path is None
            self._tell(f"No encoder was trained: {exc}")
            raise
        finally:
            target.unlink(missing_ok=True)
        self._project.update(model=model)
        self._done()
        return []


def run_training(task: dict[str, Any], progress: Progress) -> str:
    """Run the training worker to its end; returns the model's hash.

    Raises:
        TrainingError: The worker says that it cannot train, or died.
        CancelledJobError: The user cancelled; the worker is gone.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "pixelkin.session.train_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        progress.tell(0.0, "starting")
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        digest = None
        for line in process.stdout:
            message = json.loads(line)
            if "error" in message:
                raise TrainingError(message["error"]["message"])
            if "step" in message:
                left = message["seconds_left"]
                progress.tell(message["step"] / (message["steps"] + 1), f"step {message['step']} of {message['steps']}, {left:.0f} s left")
            digest = message.get("hash", digest)
        if digest is None:
            raise TrainingError(
                f"training ended without a model (exit code {process.wait()}): {process.stderr.read()[-300:].strip() or 'no message'}."
            )
        return str(digest)
    finally:
        process.kill()
        process.communicate()
