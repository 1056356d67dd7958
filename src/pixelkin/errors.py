"""Every error that pixelkin raises on purpose.

One root, few children, named for what the reader must do next. The class carries the HTTP status and the
exit code, so the command line and the web page translate an error in one place each. A message says what
was wrong, what was expected, and the fix, in one line.
"""

from __future__ import annotations


class PkError(Exception):
    """Root of every error this package raises on purpose."""

    status = 500
    exit_code = 1


class InputError(PkError, ValueError):
    """What the caller gave us cannot work."""

    status = 422
    exit_code = 2


class ShapeError(InputError):
    """An array has the wrong number of axes or the wrong sizes."""

    def __init__(self, name: str, *, expected: tuple[object, ...], got: tuple[int, ...], fix: str) -> None:
        super().__init__(f"{name} has shape {got}, expected {expected}. {fix}")
        self.expected = expected
        self.got = got


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that was named is not there."""

    status = 404


class RasterError(InputError):
    """A raster cannot be read, or is not what the job needs (grid, bands, validity)."""


class LabelError(InputError):
    """Labels cannot be used; the message names the feature."""


class ModelError(InputError):
    """A model or reference file cannot be used here."""


class TrainingError(InputError):
    """Training cannot start or go on with this imagery or these options."""


class OutputError(InputError, OSError):
    """A result cannot be written: the file is there already, or the disk is full or read-only."""

    status = 409

    # OSError.__str__ formats (errno, strerror) pairs; ours is always one sentence.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class NotFittedError(PkError, ValueError):
    """A Segmenter was asked for a map before it was given labels."""

    status = 409
    exit_code = 2


class SupersededError(PkError):
    """What was being found out of labels was called off, because others took their place."""

    status = 409


class MissingExtraError(PkError, ImportError):
    """An optional dependency is not installed; the message names the install command."""

    status = 501
    exit_code = 2

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed. Install the extra {extra!r}: in the checkout, pip install '.[{extra}]'"
        )
