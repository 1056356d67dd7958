"""Errors of a labelling session, each with the HTTP status a page gets."""

from __future__ import annotations

from ..errors import InputError, PkError


class StaleError(PkError):
    """A tile of a superseded revision was asked for; the answer would be an old picture."""

    status = 409

    def __init__(self, asked: int, current: int) -> None:
        super().__init__(f"the map of revision {asked} was asked for, expected {current}, the project's. Ask again with the new revision.")
        self.revision = current


class NoSuchItemError(InputError):
    """A scene, class, mark, job or file that a request names is not there."""

    status = 404


class HistoryError(PkError):
    """There is nothing to undo or redo."""

    status = 409


class ForbiddenError(PkError):
    """A request reaches for something outside the project, or comes from a foreign page."""

    status = 403


class TooLargeError(InputError):
    """A request is larger than this server takes."""

    status = 413


class ProjectError(InputError):
    """A project folder cannot be opened or does not fit the images."""
