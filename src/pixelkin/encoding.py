"""What the numbers of an image mean: physical values, by the scale and offset that a file declares, or numbers as they are stored.

Two images of one sensor differ by a factor, or by Sentinel-2's offset of 1000, where one of them is scaled and the other is not. Such images never meet
in silence: they are refused, and named.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import RasterError

if TYPE_CHECKING:
    from .scene import Scene

SCALED = "scaled"
"""Physical values: a declared scale and offset were applied."""
STORED = "stored"
"""Whole numbers as the file stores them; nothing is declared, or it was not to be applied."""
BEFORE_0400 = "stored, Sentinel-2 baseline before 04.00"
SINCE_0400 = "stored, Sentinel-2 baseline 04.00 or later"
"""Products of these baselines store reflectance 0 as 1000."""
EMBEDDING = "embedding: "
"""Before product and version of ready-made embeddings."""


def encoding_of(scene: Scene) -> str | None:
    """How the numbers of a scene are to be read; None where nothing is known, as of arrays and of floats, which go with all."""
    encoding: str | None = getattr(scene, "encoding", None)
    return encoding


def common_encoding(scenes: Iterable[Scene]) -> str | None:
    """The encoding that scenes share, None where none of them tells.

    Raises:
        RasterError: Two of them do not go together; the message names both.
    """
    known: dict[str, Scene] = {}
    for scene in scenes:
        encoding = encoding_of(scene)
        if encoding is None:
            continue
        for other, named in known.items():
            if not _together(encoding, other):
                raise RasterError(
                    f"{named.name} and {scene.name} are not on one scale: {_told(named, other)}, {_told(scene, encoding)}. {_fix(encoding, other)}"
                )
        known.setdefault(encoding, scene)
    # The one that says most: a baseline beside plain stored numbers.
    return max(known, key=len, default=None)


def require_encoding(scene: Scene, expected: str | None, owner: str) -> None:
    """RasterError where a scene's numbers are not of the scale that `owner`, such as 'the model', was made on."""
    encoding = encoding_of(scene)
    if encoding is not None and expected is not None and not _together(encoding, expected):
        raise RasterError(
            f"{scene.name} is not on the scale of {owner}: {_told(scene, encoding)}, {owner} was made on {_MEANING.get(expected, expected)}. {_fix(encoding, expected)}"
        )


_FIX = (
    "Declare scale and offset in every file (gdal_edit.py -scale 0.0001 -offset -0.1 FILE), "
    "or take the numbers as they are stored in all of them with scale=False."
)
_MEANING = {
    SCALED: "physical values (scale and offset applied)",
    STORED: "stored numbers",
    BEFORE_0400: "stored numbers of a Sentinel-2 baseline before 04.00, without an offset",
    SINCE_0400: "stored numbers of a Sentinel-2 baseline since 04.00, which hold an offset of 1000",
}


def _fix(one: str, other: str) -> str:
    if EMBEDDING in one or EMBEDDING in other:
        return "Vectors of different products or versions do not compare: use one version for all."
    return _FIX


def _told(scene: Scene, encoding: str) -> str:
    return f"{scene.name} has {_MEANING.get(encoding, encoding)}"


def _together(one: str, other: str) -> bool:
    """Equal, or one says nothing more than the other does: no baseline, no version."""
    shorter, longer = sorted((one, other), key=len)
    return longer == shorter or (longer.startswith(shorter) and longer[len(shorter)] in ", ")
