"""What a run was asked to do and which tiles of it are finished, in a hidden folder beside the target.

A tile is written to a temporary name, synced, and renamed: whatever kills the run, a file with a tile's name is a whole tile.
The folder is the only memory of a run. The manifest holds all that decides the bits, so that a run with other inputs is refused
instead of being mixed in.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from ..errors import InputError, OutputError
from ..products import Part
from ..types import Grid, Legend, Window
from .kernel import unpack

VERSION = 1


class Run:
    """The state of one run; a context manager that keeps other processes out.

    >>> with Run("map.tif", inputs) as run:  # doctest: +SKIP
    ...     run.put(window, data)
    ...     run.discard()
    """

    def __init__(self, target: str | Path, inputs: Mapping[str, Any], *, resume: bool = True) -> None:
        """Name the run; nothing is touched yet.

        Args:
            target: File that the run makes.
            inputs: All that decides the result, plain JSON values; a key 'tile' is the tile size.
            resume: Go on with a run that was left unfinished; else start anew.
        """
        self.target = Path(target)
        self.folder = self.target.with_name(f".{self.target.name}.run")
        self.inputs = json.loads(json.dumps(dict(inputs)))
        self.scratch = self.folder / "writing"
        """For files that are not finished; empty when the run is entered, so that what a killed process left there goes."""
        self._resume = resume
        self._lock = FileLock(self.folder.with_name(f"{self.folder.name}.lock"))

    @staticmethod
    def tile_of(target: str | Path) -> int | None:
        """Tile size of the unfinished run of a target, None where there is none."""
        try:
            manifest = json.loads((Path(target).with_name(f".{Path(target).name}.run") / "manifest.json").read_text())
            return int(manifest["inputs"]["tile"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(blocking=False)
        except Timeout as exc:
            raise OutputError(
                f"{self.target} is being made by another process, expected one at a time. Wait for it, or choose another name."
            ) from exc
        except OSError as exc:
            raise self._refused(exc) from exc
        try:
            self._open()
        except BaseException as exc:
            self._lock.release()
            if isinstance(exc, OSError) and not isinstance(exc, OutputError):
                raise self._refused(exc) from exc
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and not self._has_finished():
            self.discard()  # nothing to go on from: it must not stand in the way of a run with better inputs
        elif isinstance(error, InputError) and not isinstance(error, OutputError):
            with suppress(OSError):
                self._refusal.touch()
        self._lock.release()
        if not self.folder.exists():
            # A killed run's folder keeps its lock file company; a finished one leaves nothing.
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def _open(self) -> None:
        path = self.folder / "manifest.json"
        if not self._resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        if not path.exists():
            # Killed between the folder and its manifest: nothing in it can be trusted, and nothing is lost.
            shutil.rmtree(self.folder, ignore_errors=True)
            self.scratch.mkdir(parents=True)
            _write(path, json.dumps({"version": VERSION, "inputs": self.inputs}, indent=1).encode())
            return
        try:
            manifest = json.loads(path.read_text())
            theirs = dict(manifest["inputs"])
        except (ValueError, KeyError, TypeError) as exc:
            raise OutputError(f"{path} is not a manifest that can be read ({exc}). Start anew with resume=False.") from exc
        changed = sorted(key for key in {*theirs, *self.inputs} if theirs.get(key) != self.inputs.get(key))
        if changed and (self._refusal.exists() or not self._has_finished()):
            # Parts that say what they were made of, such as dates of a series, may be those of the new inputs too.
            for other in self.folder.iterdir():
                if other.is_dir():
                    shutil.rmtree(other)
                elif not self.facts(other.stem):
                    other.unlink()
            self.scratch.mkdir()
            _write(path, json.dumps({"version": VERSION, "inputs": self.inputs}, indent=1).encode())
            return
        if manifest.get("version") != VERSION or changed:
            raise OutputError(
                f"{self.target} has an unfinished run with other inputs ({', '.join(changed) or 'version'} changed), expected the same. "
                "Give the inputs it had, or start anew with resume=False."
            )
        self._refusal.unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(exist_ok=True)

    @property
    def _refusal(self) -> Path:
        """There where the inputs were refused on the way: to go on, the user has to change them."""
        return self.folder / "refused"

    def _has_finished(self) -> bool:
        """True where a tile or a part is finished."""
        return any(True for pattern in ("*/*.zip", "*.done") for _ in self.folder.glob(pattern))

    def finished(self, window: Window) -> bool:
        """True where this tile is there and undamaged."""
        path = self._path(window)
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        except FileNotFoundError:
            return False
        except (OSError, zipfile.BadZipFile):
            with suppress(OSError):
                path.unlink()
            return False

    def put(self, window: Window, data: bytes) -> None:
        """Keep a finished tile, for good.

        Raises:
            OutputError: The disk refuses it; what was finished before stays.
        """
        try:
            self._path(window).parent.mkdir(exist_ok=True)
            _write(self._path(window), data)
        except OSError as exc:
            raise self._refused(exc) from exc

    def get(self, window: Window, grid: Grid, legend: Legend) -> Part:
        """A finished tile's map."""
        return unpack(self._path(window).read_bytes(), grid.crop(window), legend)

    def mark(self, name: str, facts: Mapping[str, Any] | None = None) -> None:
        """Note that a part with a name of its own, such as the map of one date, is finished, and what is to be known of it later."""
        try:
            _write(self.folder / f"{name}.done", json.dumps(dict(facts or {})).encode())
        except OSError as exc:
            raise self._refused(exc) from exc

    def marked(self, name: str) -> bool:
        """True where that part is finished."""
        return (self.folder / f"{name}.done").exists()

    def facts(self, name: str) -> dict[str, Any]:
        """What was noted of that part; nothing of one that is not finished."""
        try:
            return dict(json.loads((self.folder / f"{name}.done").read_text()))
        except (OSError, ValueError):
            return {}

    def discard(self) -> None:
        """Forget the run: it is finished, or not wanted."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, window: Window) -> Path:
        # A folder a row of tiles keeps folders small where there are millions.
        return self.folder / str(window.row) / f"{window.col}.zip"

    def _refused(self, exc: OSError) -> OutputError:
        return OutputError(
            f"{self.folder} cannot be written: {exc.strerror or exc}. Finished tiles are kept: free some space and run the same again."
        )


def _write(path: Path, data: bytes) -> None:
    """Bytes to a temporary name, synced, renamed."""
    file, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
