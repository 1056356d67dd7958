"""Routes of the search for all that is like something."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import Field

from ..session.finding import FoundSoFar
from ..session.session import Session
from . import bodies as b
from . import schemas as s
from . import views
from .people import name_of

SceneId = Annotated[str, Path(max_length=200)]
Number = Annotated[int, Path(ge=0, le=2**53 - 1)]
Threshold = Annotated[float, Field(gt=0, le=1, description="Similarity from which on a pixel counts.")]


class FindBody(s.Schema):
    """What to find the like of: a shape in pixel space, as of a mark."""

    kind: Literal["point", "scribble", "box", "polygon"]
    geometry: s.Geometry
    brush_px: b.Brush = 1.0


class TakeBody(s.Schema):
    """Which class the found pixels get; a name makes a new one of that id."""

    key: Annotated[str, Field(max_length=100)]
    threshold: Threshold
    class_id: Annotated[int, Field(ge=1, le=255)]
    name: Annotated[str | None, Field(max_length=80)] = None


class FoundExportBody(s.Schema):
    """What to call the files."""

    threshold: Threshold
    name: b.FileStem = "found"
    replace: b.Replace = False


class Found(s.Schema):
    """A search, as far as an image is searched."""

    number: Annotated[int, Field(description="The revision in addresses of tiles.")]
    cut: Annotated[float, Field(description="Similarity at which the image itself would cut.")]
    done: Annotated[int, Field(description="Blocks searched.")]
    total: int
    counts: Annotated[list[int], Field(description="Pixels of each byte 0 to 255 on these blocks: 1 + round(254 s), 0 = no data.")]


def add_similar(router: APIRouter, session: Session) -> None:
    """Add the routes."""

    @router.post("/scenes/{scene_id}/similar")
    def find(scene_id: SceneId, body: FindBody) -> Found:
        """Search for all that is like the pixels of a shape; nothing is marked. Takes the place of the last search."""
        return _found(session.finding.start(scene_id, body.kind, body.geometry.model_dump(), body.brush_px))

    @router.get("/scenes/{scene_id}/similar/{number}")
    def so_far(scene_id: SceneId, number: Number) -> Found:
        """How far a search is on an image, and how many pixels have which similarity; 409 where another search has taken its place."""
        return _found(session.finding.so_far(number, scene_id))

    @router.post("/scenes/{scene_id}/similar/{number}/take")
    def take(request: Request, scene_id: SceneId, number: Number, body: TakeBody) -> s.EditAnswer:
        """Make one mark of the pixels found, in one step of undo."""
        edits = session.finding.edits(number, scene_id, body.threshold, body.class_id, body.name)
        return views.edit_answer(session, session.edit(edits, key=body.key, author=name_of(request)))

    @router.post("/scenes/{scene_id}/similar/{number}/export")
    def export(scene_id: SceneId, number: Number, body: FoundExportBody) -> s.JobInfo:
        """Write what was found, how similar every pixel is, and the area."""
        job = session.finding.start_export(number, scene_id, body.threshold, name=body.name, replace=body.replace)
        return views.job_info(job)


def _found(found: FoundSoFar) -> Found:
    return Found(number=found.number, cut=found.cut, done=found.done, total=found.total, counts=found.counts)
