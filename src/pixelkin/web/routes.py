"""The routes: check what was sent, call the session, return a schema."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from fastapi import Path as PathParameter
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, StreamingResponse

from ..errors import InputError
from ..session import pictures
from ..session.formula import LONGEST, parse_formula
from ..session.session import Session
from ..session.tiles import MapLayer
from . import bodies as b
from . import schemas as s
from . import views
from .cache import ByteCache
from .events import event_stream
from .looking import add_looking
from .people import add_people, name_of
from .settings import WebSettings
from .similar import add_similar
from .tiles import packed, tile_stream
from .uploads import uploaded
from .validation import add_validation

_CACHE_BYTES = 96 * 1024 * 1024
_BIG = 2**53 - 1

SceneId = Annotated[str, PathParameter(max_length=200)]
Level = Annotated[int, PathParameter(ge=0, le=40)]
TileNumber = Annotated[int, PathParameter(ge=0, le=_BIG)]
TileLayer = MapLayer | Literal["similarity"]
Coordinate = Annotated[int, Query(ge=-_BIG, le=_BIG)]
Revision = Annotated[int, PathParameter(ge=0, le=_BIG)]
BandList = Annotated[str | None, Query(pattern=r"^\d{1,5}(,\d{1,5}){0,2}$", description="One or three 1-based band numbers, e.g. 3,2,1.")]
RangeList = Annotated[str | None, Query(max_length=300, description="low,high a band, separated by semicolons, e.g. 0,3000;0,3000;0,3000.")]
TileNumbers = Annotated[
    str,
    Query(
        max_length=4000,
        pattern=r"^[0-9]{1,9},[0-9]{1,9}(;[0-9]{1,9},[0-9]{1,9})*$",
        description="x,y of tiles, the most wanted first: 3,2;3,3.",
    ),
]
Gamma = Annotated[float, Query(ge=0.1, le=10)]
FormulaText = Annotated[str | None, Query(max_length=LONGEST, description="Index to show in place of bands: (nir - red) / (nir + red).")]
Upload = Annotated[UploadFile, File()]
ImportForm = Annotated[str, Form(max_length=100_000, description="JSON of the schema ImportOptionsBody.")]

_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
_BYTES = "application/octet-stream"
_TILES: dict[int | str, dict[str, Any]] = {200: {"content": {_BYTES: {"schema": {"type": "string", "format": "binary"}}}}}
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}


class _Png(Response):
    media_type = "image/png"


@dataclass(frozen=True)
class Services:
    """What the routes work with."""

    session: Session
    settings: WebSettings
    instance: str
    """Changes with each start of the server."""


def make_router(services: Services) -> APIRouter:
    """All routes under /api."""
    router = APIRouter(prefix="/api")
    _add_reading(router, services)
    _add_pictures(router, services)
    _add_editing(router, services)
    _add_jobs(router, services)
    _add_files(router, services)
    add_validation(router, services.session, services.settings.upload_bytes)
    add_looking(router, services.session, services.settings)
    add_people(router, services.session)
    add_similar(router, services.session)
    return router


def _add_reading(router: APIRouter, services: Services) -> None:
    session = services.session

    @router.get("/health")
    def health() -> s.Health:
        """That the server answers."""
        return s.Health(status="ok", version=version("pixelkin"), revision=session.revision)

    @router.get("/project")
    def project() -> s.ProjectInfo:
        """Everything that a page needs to start."""
        session.refresh()
        return views.project_info(session, services.settings, services.instance)

    @router.patch("/settings")
    def change_settings(body: b.SettingsPatch) -> s.ProjectInfo:
        """Change settings of the project; a new revision."""
        changes = body.model_dump(exclude_unset=True)
        if changes.get("measure", "") is None:
            del changes["measure"]
        if changes:
            session.change_settings(**changes)
        return views.project_info(session, services.settings, services.instance)

    @router.get("/events", responses=_EVENTS, response_class=StreamingResponse)
    async def events() -> StreamingResponse:
        """Server-sent events: hello, revision, map, suspect-labels, accuracy, coverage, overlays, people, job, model."""
        return StreamingResponse(
            event_stream(session, services.instance),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @router.get("/scenes/{scene_id}")
    def scene(scene_id: SceneId) -> s.SceneDetail:
        """An image, with statistics of its bands from an overview."""
        return views.scene_detail(session, scene_id)

    @router.get("/scenes/{scene_id}/pixel")
    def pixel(scene_id: SceneId, row: Coordinate, col: Coordinate) -> s.PixelInfo:
        """One pixel: values, coordinates, label, class and confidence."""
        return views.pixel_info(session, scene_id, row, col)

    @router.get("/scenes/{scene_id}/index")
    def index(scene_id: SceneId, formula: Annotated[str, Query(max_length=LONGEST)]) -> pictures.BandStatistics:
        """Statistics of a formula over bands, as of a band; 422 where it cannot be read."""
        scene = session.project.scene(scene_id)
        return pictures.formula_statistics(scene, parse_formula(formula, scene.bands))

    @router.get("/scenes/{scene_id}/profile")
    def profile(scene_id: SceneId, row: Coordinate, col: Coordinate, formula: FormulaText = None) -> list[s.ProfilePoint]:
        """Values of one pixel, of every band or of a formula over them, on every date of an image's series, the earliest first."""
        return views.profile(session, scene_id, row, col, formula)

    @router.get("/scenes/{scene_id}/marks")
    def marks(scene_id: SceneId) -> s.MarkList:
        """Marks of a scene in the order in which they were drawn."""
        session.project.scene(scene_id)
        canvas = session.state.canvases[scene_id]
        return s.MarkList(revision=session.revision, marks=views.mark_infos(session, list(canvas.marks)))

    @router.get("/scenes/{scene_id}/overlaps")
    def overlaps(scene_id: SceneId) -> s.Overlaps:
        """Pixels marked with different classes; the later mark counts."""
        return views.overlaps_info(session, scene_id)

    @router.get("/suspect-labels")
    def suspect_labels() -> s.SuspectLabelsInfo:
        """Marks that are predicted as another class by the others, and classes that cannot be told apart; worked out after the map."""
        return views.suspect_labels_info(session)

    @router.get("/coverage")
    def coverage() -> s.CoverageInfo:
        """How much of each image is like nothing that was labelled; worked out after the map."""
        return views.coverage_info(session)

    @router.get("/accuracy")
    def accuracy() -> s.AccuracyInfo:
        """How good the map is as far as its own labels can say, each predicted from those elsewhere; worked out after the map."""
        return views.accuracy_info(session)

    @router.get("/scenes/{scene_id}/areas")
    def areas(scene_id: SceneId) -> s.Areas:
        """Pixels and area of each class on the blocks computed so far."""
        return views.areas_info(session, scene_id)

    @router.get("/scenes/{scene_id}/suggestions")
    def suggestions(scene_id: SceneId, count: Annotated[int, Query(ge=1, le=100)] = 10) -> s.Suggestions:
        """Pixels that would help most if marked, best first."""
        return s.Suggestions(revision=session.revision, suggestions=session.advice.suggest(scene_id, count))

    @router.get("/changes")
    def changes(since: Annotated[int, Query(ge=0, le=_BIG)]) -> s.Changes:
        """What happened after a revision, in this tab or another."""
        return views.changes_info(session, session.changes_since(since))


def _add_pictures(router: APIRouter, services: Services) -> None:
    session = services.session
    cache = ByteCache(_CACHE_BYTES)
    # Tiles wait here and not in the threads that everything else needs; first come, first served.
    image_turns, map_turns = anyio.CapacityLimiter(4), anyio.CapacityLimiter(4)

    @router.get("/confidence-ramp")
    def ramp() -> list[str]:
        """The colours of confidence from 0 to 1, 256 of them."""
        return ["#{:02x}{:02x}{:02x}".format(*color) for color in pictures.confidence_ramp().tolist()]

    @router.get("/scenes/{scene_id}/thumbnail.png", responses=_PNG, response_class=_Png)
    async def thumbnail(
        scene_id: SceneId,
        size: Annotated[int, Query(ge=32, le=512)] = 128,
        bands: BandList = None,
        range: RangeList = None,
    ) -> Response:
        """The whole image, its longest side `size` pixels."""

        def make() -> bytes:
            return session.pictures.thumbnail(scene_id, session.pictures.display(scene_id, _numbers(bands), _ranges(range)), size)

        key = "thumbnail", scene_id, size, bands, range
        png = await anyio.to_thread.run_sync(lambda: cache.get(key, make), limiter=image_turns)
        return _Png(png, headers={"Cache-Control": "private, max-age=3600"})

    @router.get("/scenes/{scene_id}/image/{z}/{x}/{y}.png", responses=_PNG, response_class=_Png)
    async def image_tile(
        scene_id: SceneId,
        z: Level,
        x: TileNumber,
        y: TileNumber,
        bands: BandList = None,
        range: RangeList = None,
        gamma: Gamma = 1.0,
        formula: FormulaText = None,
        v: Annotated[str | None, Query(max_length=64, description="The scene's fingerprint: lets the browser keep the tile.")] = None,
    ) -> Response:
        """A tile of the image in its own grid, nearest neighbour; transparent without data."""

        def make() -> bytes:
            return session.pictures.tile(
                scene_id, session.pictures.display(scene_id, _numbers(bands), _ranges(range), gamma, formula), z, x, y
            )

        key = "image", scene_id, z, x, y, bands, range, gamma, formula
        png = await anyio.to_thread.run_sync(lambda: cache.get(key, make), limiter=image_turns)
        kept = v is not None and v == session.project.scene(scene_id).fingerprint[:16]
        return _Png(png, headers={"Cache-Control": "private, max-age=31536000, immutable" if kept else "no-cache"})

    @router.get("/scenes/{scene_id}/tiles/{layer}/{revision}/{z}", responses=_TILES, response_class=StreamingResponse)
    async def tiles(
        request: Request, scene_id: SceneId, layer: TileLayer, revision: Revision, z: Level, at: TileNumbers
    ) -> StreamingResponse:
        """Tiles of the map in one answer, each as soon as it is there; none once the revision is superseded.

        A record a tile: x and y (uint32), how much of it is there (float32, 0..1), little-endian, then 256 x 256 bytes row by row:
        class ids, or confidence 1..255; 0 where there is nothing. The answer ends early when labels change. Of the layer similarity, the revision is the number of
        the search, and a byte 1 + round(254 s).
        """
        records = tile_stream(session, scene_id, revision, z, _tile_numbers(at), layer, map_turns)
        # What fails at once is told as an error, and not as an answer that is cut short.
        first = await anext(records, b"")

        async def all_of_them() -> AsyncIterator[bytes]:
            async with aclosing(records):
                yield first
                async for record in records:
                    yield record

        headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return StreamingResponse(all_of_them(), media_type=_BYTES, headers=headers)
        return StreamingResponse(packed(all_of_them()), media_type=_BYTES, headers={**headers, "Content-Encoding": "gzip"})


def _add_editing(router: APIRouter, services: Services) -> None:
    session = services.session

    @router.post("/edits")
    def edits(request: Request, body: b.EditsBody) -> s.EditAnswer:
        """Do a batch of edits as one step of undo; on the disk when this answers."""
        result = session.edit([views.edit_of(edit) for edit in body.edits], key=body.key, title=body.title, author=name_of(request))
        return views.edit_answer(session, result)

    @router.post("/undo")
    def undo(body: b.KeyBody) -> s.EditAnswer:
        """Take back the last step."""
        return views.edit_answer(session, session.undo(key=body.key))

    @router.post("/redo")
    def redo(body: b.KeyBody) -> s.EditAnswer:
        """Do the last step taken back again."""
        return views.edit_answer(session, session.redo(key=body.key))


def _add_jobs(router: APIRouter, services: Services) -> None:
    session = services.session

    @router.get("/jobs")
    def jobs() -> s.JobList:
        """Jobs, newest first."""
        return s.JobList(jobs=[views.job_info(job) for job in session.jobs.list()])

    @router.get("/jobs/{job_id}")
    def job(job_id: str) -> s.JobInfo:
        """A job."""
        return views.job_info(session.jobs.get(job_id))

    @router.post("/jobs/{job_id}/cancel")
    def cancel(job_id: str) -> s.JobInfo:
        """Ask a job to end."""
        return views.job_info(session.jobs.cancel(job_id))

    @router.post("/jobs/train")
    def train(body: b.TrainBody) -> s.JobInfo:
        """Train an encoder in the background; the map goes over to it when it is done."""
        return views.job_info(session.engine.start_training(preset=body.preset, steps=body.steps, scenes=body.scenes))

    @router.post("/jobs/export")
    def export(body: b.ExportBody) -> s.JobInfo:
        """Write maps of the scenes, as shown now."""
        return views.job_info(session.exports.start_export(body.formats, scenes=body.scenes, name=body.name, replace=body.replace))

    @router.post("/jobs/apply")
    def apply(body: b.ApplyBody) -> s.JobInfo:
        """Map other images that lie in the folders served."""
        roots = [session.project.folder, *services.settings.roots]
        return views.job_info(session.exports.start_apply(body.paths, roots, body.formats, name=body.name, replace=body.replace))


def _add_files(router: APIRouter, services: Services) -> None:
    session = services.session

    @router.get("/exports/{name}", responses=_FILE, response_class=FileResponse)
    def exported(name: Annotated[str, PathParameter(max_length=200)]) -> FileResponse:
        """A file that an export job wrote."""
        path = session.exports.find(name)
        return FileResponse(path, filename=name, headers={"Cache-Control": "no-store"})

    @router.post("/labels/preview")
    def preview_import(scene: Annotated[str, Query(max_length=200)], file: Upload, options: ImportForm = "{}") -> s.ImportPreview:
        """What an import of the same file with the same options would do, with counts; nothing is changed."""
        with uploaded(file, services.settings.upload_bytes) as path:
            return views.import_preview(session.plan_import(path, scene, views.import_options(options)), session)

    @router.post("/labels/import")
    def import_labels(
        request: Request,
        scene: Annotated[str, Query(max_length=200)],
        file: Upload,
        options: ImportForm = "{}",
        key: Annotated[b.Key | None, Form()] = None,
    ) -> s.EditAnswer:
        """Labels of a GeoJSON, GeoPackage, CSV or label raster, as one step of undo; later features win over earlier ones."""
        with uploaded(file, services.settings.upload_bytes) as path:
            result = session.import_labels(path, scene, views.import_options(options), key=key, author=name_of(request))
        return views.edit_answer(session, result)

    @router.get("/labels/export", responses=_FILE, response_class=FileResponse)
    def export_labels(scene: Annotated[str, Query(max_length=200)], format: Literal["geojson", "gpkg", "tif"] = "geojson") -> FileResponse:
        """The labels of a scene as a file: shapes as drawn, less what was erased or painted over."""
        folder = tempfile.TemporaryDirectory()
        try:
            path = session.export_labels(Path(folder.name) / f"labels.{format}", scene)
        except BaseException:
            folder.cleanup()
            raise
        return FileResponse(path, filename=f"{scene}_labels.{format}", background=BackgroundTask(folder.cleanup))


def _tile_numbers(text: str) -> list[tuple[int, int]]:
    # Each once, in the order given.
    return list(dict.fromkeys((int(x), int(y)) for x, _, y in (part.partition(",") for part in text.split(";"))))


def _numbers(text: str | None) -> list[int] | None:
    return None if text is None else [int(part) for part in text.split(",")]


def _ranges(text: str | None) -> list[tuple[float, float]] | None:
    if text is None:
        return None
    try:
        pairs = [tuple(float(value) for value in part.split(",")) for part in text.split(";")]
        return [(low, high) for low, high in pairs]
    except ValueError as exc:
        raise InputError(f"range is {text!r}, expected low,high a band, e.g. 0,3000;0,3000;0,3000.") from exc
