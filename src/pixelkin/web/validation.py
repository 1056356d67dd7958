"""Routes of the validation mode: sample points and answers to them. No answer here tells stratum, map or figure, so that whoever answers stays blind."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, File, Query, Request, UploadFile
from fastapi import Path as PathParameter
from pydantic import Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from ..assessment.interpretation import SETTLED
from ..session.answers import Answer
from ..session.errors import ForbiddenError
from ..session.marks import color_to_hex
from ..session.session import Session
from ..session.validation import interpreter_name
from . import bodies as b
from .people import person_of
from .schemas import Schema
from .uploads import uploaded

SampleId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{16}$")]
Interpreter = Annotated[
    str,
    Query(
        min_length=1,
        max_length=60,
        description="Who answers, where people have tokens that person's own name; '(settled)' for what is agreed where others differ.",
    ),
]


class ChoiceInfo(Schema):
    """A class that a point can be given."""

    name: str
    color: str
    key: str | None


class SampleInfo(Schema):
    """A sample of points."""

    id: str
    name: str
    points: int
    choices: list[ChoiceInfo]


class SampleList(Schema):
    """Samples in the order in which they were opened."""

    samples: list[SampleInfo]


class SamplePointInfo(Schema):
    """A point to answer; `said` holds the others' answers where differences are settled."""

    point: int
    scene: str
    row: int
    col: int
    answer: str | None
    note: str
    is_marked: Annotated[bool, Field(description="Its pixel is marked, so that it cannot be answered.")]
    said: dict[str, str]


class SamplePoints(Schema):
    """Points in their random order."""

    points: list[SamplePointInfo]


class AgreementInfo(Schema):
    """Points that two interpreters answered, and how many of them alike."""

    first: str
    second: str
    points: int
    same: int


class SoFarInfo(Schema):
    """How sure the figures are so far, and not the figures."""

    half_width: Annotated[float, Field(description="Half of the 95 % interval, as a share.")]
    figure: Literal["accuracy", "areas"]
    more: Annotated[int, Field(description="Points that are missing for the target.")]


class ProgressInfo(Schema):
    """How far a sample is."""

    points: int
    answered: int
    unsure: int
    marked: int
    differences: int
    interpreters: dict[str, int]
    agreements: list[AgreementInfo]
    so_far: SoFarInfo | None


class AnswerBody(Schema):
    """What an interpreter says of a point."""

    key: b.Key
    interpreter: Annotated[str, Field(min_length=1, max_length=60)]
    point: Annotated[int, Field(ge=0, le=10_000_000)]
    class_name: Annotated[str, Field(min_length=1, max_length=100, description="A class, 'unsure', or '?' to take an answer back.")]
    note: Annotated[str, Field(max_length=1000)] = ""
    target: Annotated[float, Field(gt=0, lt=0.5, description="Half width of the interval to reach, for the progress that is answered.")] = (
        0.02
    )


def _who(request: Request, given: str) -> str:
    """The interpreter who asks: where people have tokens, nobody else than that person; ForbiddenError. What is settled is nobody's own."""
    name, person = interpreter_name(given), person_of(request)
    if person is None or name in (SETTLED, interpreter_name(person.name)):
        return name
    raise ForbiddenError(
        f"the interpreter is {name!r}, expected {interpreter_name(person.name)!r}, whose token this is. Answer in your own name."
    )


def add_validation(router: APIRouter, session: Session, upload_bytes: int) -> None:
    """The routes, on a router of the API."""
    validation = session.validation

    def info(sample_id: str) -> SampleInfo:
        sample = validation.sample(sample_id)
        choices = [ChoiceInfo(name=one.name, color=color_to_hex(one.color), key=one.key) for one in validation.choices(sample_id)]
        return SampleInfo(id=sample.id, name=sample.name, points=len(sample.features), choices=choices)

    @router.get("/samples")
    def samples() -> SampleList:
        """Samples of points that were opened in this project."""
        return SampleList(samples=[info(sample.id) for sample in validation.samples()])

    @router.post("/samples")
    def open_sample(file: Annotated[UploadFile, File()]) -> SampleInfo:
        """Open the points of `pixelkin sample`; a file whose points are there already opens those."""
        with uploaded(file, upload_bytes) as path:
            return info(validation.add(path).id)

    @router.get("/samples/{sample_id}/points")
    def points(request: Request, sample_id: SampleId, interpreter: Interpreter) -> SamplePoints:
        """The points with the answers of one interpreter."""
        found = validation.points(sample_id, _who(request, interpreter))
        return SamplePoints(points=[SamplePointInfo(**dataclasses.asdict(point)) for point in found])

    @router.post("/samples/{sample_id}/answers")
    def answer(request: Request, sample_id: SampleId, body: AnswerBody) -> ProgressInfo:
        """Keep an answer; on the disk when this answers. The same key again is not kept again."""
        who = _who(request, body.interpreter)
        validation.answer(sample_id, Answer(body.point, who, body.class_name, body.note), body.key)
        return ProgressInfo(**dataclasses.asdict(validation.progress(sample_id, who, body.target)))

    @router.get("/samples/{sample_id}/progress")
    def progress(
        request: Request, sample_id: SampleId, interpreter: Interpreter, target: Annotated[float, Query(gt=0, lt=0.5)] = 0.02
    ) -> ProgressInfo:
        """How far an interpreter is, how well all agree, and how sure the figures are by this one's answers."""
        return ProgressInfo(**dataclasses.asdict(validation.progress(sample_id, _who(request, interpreter), target)))

    @router.get("/samples/{sample_id}/export", response_class=FileResponse)
    def export(sample_id: SampleId, format: Literal["gpkg", "geojson", "csv"] = "gpkg") -> FileResponse:
        """The points with their classes, for `pixelkin evaluate`."""
        name = f"{Path(validation.sample(sample_id).name).stem}_answered.{format}"
        folder = tempfile.TemporaryDirectory()
        try:
            path = validation.export(sample_id, Path(folder.name) / f"points.{format}")
        except BaseException:
            folder.cleanup()
            raise
        return FileResponse(path, filename=name, background=BackgroundTask(folder.cleanup))
