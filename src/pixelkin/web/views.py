"""From the session's values to what goes over the wire."""

from __future__ import annotations

import dataclasses
import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from ..errors import InputError
from ..scene import Scene
from ..session import pictures
from ..session.edits import AddClass, AddMark, ClearMarks, DeleteClass, DeleteMark, Edit, MergeClass, SplitClass, UpdateClass, UpdateMark
from ..session.formula import parse_formula
from ..session.jobs import Job
from ..session.location import location_of, lonlat_of_pixel
from ..session.marks import Mark, color_to_hex
from ..session.session import EditResult, Session
from ..session.store import StoreChanges
from ..types import Window
from . import bodies as b
from . import schemas as s
from .sample import is_available
from .settings import WebSettings

if TYPE_CHECKING:
    from ..session.accuracy import Share
    from ..session.imports import ImportOptions, ImportPlan

MAX_LISTED = 1000


def project_info(session: Session, settings: WebSettings, instance: str) -> s.ProjectInfo:
    """Everything that a page needs to start."""
    history = session.project.store.history()
    series = session.project.series()
    return s.ProjectInfo(
        name=session.project.name,
        version=version("pixelkin"),
        revision=session.revision,
        instance=instance,
        can_undo=history.undo_title is not None,
        can_redo=history.redo_title is not None,
        undo_title=history.undo_title,
        redo_title=history.redo_title,
        classes=class_infos(session),
        scenes=[scene_info(session, scene_id, scene, series[scene_id]) for scene_id, scene in session.project.scenes.items()],
        settings=session.project.settings,
        model=model_info(session),
        map=map_info(session),
        limits=s.Limits(upload_bytes=settings.upload_bytes, edits_per_request=b.MAX_EDITS, tile_size=pictures.TILE),
        has_sample=settings.offers_sample and is_available(),
    )


def model_info(session: Session) -> s.ModelInfo:
    """How pixels are compared."""
    return s.ModelInfo.model_validate(dataclasses.asdict(session.engine.model_status()))


def map_info(session: Session) -> s.MapInfo:
    """Whether there is a map."""
    return s.MapInfo(**dataclasses.asdict(session.engine.map_status()))


def class_infos(session: Session) -> list[s.ClassInfo]:
    """Classes with their counts over all scenes."""
    state = session.state
    pixels = sum((canvas.pixels_per_class() for canvas in state.canvases.values()), np.zeros(256, np.int64))
    marks = np.bincount([mark.class_id for mark in state.marks.values()], minlength=256)
    return [
        s.ClassInfo(
            id=entry.id,
            name=entry.name,
            color=color_to_hex(entry.color),
            key=entry.key,
            marks=int(marks[entry.id]),
            labelled_pixels=int(pixels[entry.id]),
        )
        for entry in state.classes
    ]


def scene_info(session: Session, scene_id: str, scene: Scene, series: int) -> s.SceneInfo:
    """An image without its statistics."""
    grid, location = scene.grid, location_of(scene.grid)
    mesh = None
    if location.mesh is not None:
        mesh = s.LonLatMesh(rows=location.mesh[0], cols=location.mesh[1], lon=location.mesh[2], lat=location.mesh[3])
    return s.SceneInfo(
        id=scene_id,
        name=scene.name,
        date=None if scene.date is None else scene.date.isoformat(),
        height=grid.height,
        width=grid.width,
        bands=list(scene.bands),
        dtype=str(getattr(scene, "dtype", "")),
        crs=grid.crs,
        crs_name=location.crs_name,
        units=location.units,
        transform=list(grid.transform),
        series=series,
        levels=pictures.levels(grid),
        fingerprint=scene.fingerprint[:16],
        metres_per_pixel=None if location.metres_per_pixel is None else list(location.metres_per_pixel),
        lonlat=mesh,
        default_bands=list(pictures.default_bands(scene)),
        labelled_pixels=int(session.state.canvases[scene_id].pixels_per_class().sum()),
    )


def scene_detail(session: Session, scene_id: str) -> s.SceneDetail:
    """An image with its statistics."""
    scene = session.project.scene(scene_id)
    info = scene_info(session, scene_id, scene, session.project.series()[scene_id])
    return s.SceneDetail(**info.model_dump(), statistics=session.pictures.statistics(scene_id))


def profile(session: Session, scene_id: str, row: int, col: int, formula: str | None) -> list[s.ProfilePoint]:
    """A pixel through the dates of its series, the earliest first; InputError outside the image."""
    points = []
    for other, scene in session.project.dates_of(scene_id).items():
        pixels = scene.read(Window(*_inside(scene, row, col), 1, 1))
        found = pixels.data[:, 0, 0] if formula is None else parse_formula(formula, scene.bands)(pixels.data)[0]
        values = [float(value) for value in found] if pixels.valid[0, 0] and np.isfinite(found).all() else None
        points.append(s.ProfilePoint(scene=other, date=None if scene.date is None else scene.date.isoformat(), values=values))
    return points


def _inside(scene: Scene, row: int, col: int) -> tuple[int, int]:
    height, width = scene.grid.shape
    if not (0 <= row < height and 0 <= col < width):
        raise InputError(f"pixel is row {row}, column {col}, expected one inside {height} x {width} pixels.")
    return row, col


def pixel_info(session: Session, scene_id: str, row: int, col: int) -> s.PixelInfo:
    """One pixel; InputError outside the image."""
    scene = session.project.scene(scene_id)
    grid = scene.grid
    pixels = scene.read(Window(*_inside(scene, row, col), 1, 1))
    valid = bool(pixels.valid[0, 0])
    x, y = grid.xy(row, col)
    degrees = lonlat_of_pixel(grid, row, col)
    canvas = session.state.canvases[scene_id]
    mark = canvas.mark_at(row * grid.width + col)
    answer = session.tiles.at(scene_id, row, col)
    return s.PixelInfo.model_validate(
        {
            "row": row,
            "col": col,
            "x": x,
            "y": y,
            "lon": degrees[0] if degrees else None,
            "lat": degrees[1] if degrees else None,
            "values": [float(value) for value in pixels.data[:, 0, 0]] if valid else None,
            "valid": valid,
            "label": mark.class_id if mark else 0,
            "class": answer[0] if answer else None,
            "confidence": answer[1] if answer else None,
            "revision": session.revision,
        }
    )


def mark_infos(session: Session, marks: list[Mark]) -> list[s.MarkInfo]:
    """Marks with how many pixels they still own."""
    owned: dict[str, int] = {}
    for scene_id in {mark.scene for mark in marks}:
        if scene_id in session.state.canvases:
            owned |= session.state.canvases[scene_id].labels_per_mark()
    return [
        s.MarkInfo(
            id=mark.id,
            scene=mark.scene,
            class_id=mark.class_id,
            kind=mark.kind,
            geometry=s.Geometry(type=mark.geometry["type"], coordinates=list(mark.geometry["coordinates"])),
            brush_px=mark.brush_px,
            order=mark.order,
            author=mark.author,
            pixels=session.state.covered(mark.id),
            labels=owned.get(mark.id, 0),
        )
        for mark in marks
        if mark.id in session.state.marks
    ]


def changes_info(session: Session, changes: StoreChanges) -> s.Changes:
    """What happened after a revision."""
    return s.Changes(
        since=changes.since,
        revision=changes.revision,
        classes=class_infos(session),
        marks=mark_infos(session, changes.marks),
        deleted=changes.deleted,
        overlap_pixels=sum(int(canvas.overlapping.sum()) for canvas in session.state.canvases.values()),
        reset=changes.since > changes.revision,
    )


def edit_answer(session: Session, result: EditResult) -> s.EditAnswer:
    """What a change did."""
    history = session.project.store.history()
    return s.EditAnswer(
        revision=result.receipt.revision,
        applied=result.receipt.applied,
        title=result.receipt.title,
        can_undo=history.undo_title is not None,
        can_redo=history.redo_title is not None,
        undo_title=history.undo_title,
        redo_title=history.redo_title,
        map=map_info(session),
        changes=changes_info(session, result.changes),
    )


def edit_of(body: Any) -> Edit:
    """The session's edit for one that was sent."""
    given = body.model_dump(exclude_unset=True, exclude={"op", "id"})
    match body:
        case b.AddMarkEdit():
            return AddMark(body.scene, body.class_id, body.kind, body.geometry.model_dump(), body.brush_px, body.id)
        case b.UpdateMarkEdit():
            return UpdateMark(body.id, {name: value for name, value in given.items() if value is not None})
        case b.DeleteMarkEdit():
            return DeleteMark(body.id)
        case b.ClearMarksEdit():
            return ClearMarks(body.scene)
        case b.AddClassEdit():
            return AddClass(body.name, body.color, body.key, body.id)
        case b.UpdateClassEdit():
            return UpdateClass(body.id, {name: value for name, value in given.items() if value is not None or name == "key"})
        case b.MergeClassEdit():
            return MergeClass(body.id, body.into)
        case b.SplitClassEdit():
            return SplitClass(body.id, body.name, body.marks, body.color)
        case b.DeleteClassEdit():
            return DeleteClass(body.id)
    raise InputError(f"edit {body!r} is of no known kind.")


def overlaps_info(session: Session, scene_id: str) -> s.Overlaps:
    """Pixels marked with different classes."""
    width = session.project.scene(scene_id).grid.width
    canvas = session.state.canvases[scene_id]
    where = np.flatnonzero(canvas.overlapping)
    shown = []
    covers = [(mark, session.state.pixels_of(mark.id)) for mark in canvas.marks if mark.class_id]
    for index in where[:MAX_LISTED].tolist():
        pixel = int(canvas.pixels[index])
        on_it = [mark for mark, pixels in covers if (at := int(np.searchsorted(pixels, pixel))) < len(pixels) and pixels[at] == pixel]
        shown.append(
            s.OverlapPixel(
                row=pixel // width,
                col=pixel % width,
                class_ids=list(dict.fromkeys(mark.class_id for mark in on_it)),
                winner=int(canvas.classes[index]),
                marks=[mark.id for mark in on_it],
            )
        )
    return s.Overlaps(revision=session.revision, total=len(where), pixels=shown)


def suspect_labels_info(session: Session) -> s.SuspectLabelsInfo:
    """Labels that the others speak against."""
    found = session.advice.suspect_labels()
    return s.SuspectLabelsInfo(
        revision=found.revision,
        checked=found.is_checked,
        marks=[
            s.SuspectMarkInfo(
                scene=one.mark.scene,
                mark=one.mark.id,
                row=one.row,
                col=one.col,
                class_id=one.mark.class_id,
                predicted=one.predicted,
                labels=one.labels,
            )
            for one in found.marks[:MAX_LISTED]
        ],
        classes=found.classes,
    )


def import_options(text: str) -> ImportOptions:
    """Options of an import from JSON; InputError where they are none."""
    from ..session.imports import ImportOptions

    try:
        body = b.ImportOptionsBody.model_validate_json(text)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(["options", *map(str, first["loc"])])
        raise InputError(f"{where}: {first['msg']}. See ImportOptionsBody in /api/openapi.json.") from exc
    return ImportOptions(body.class_property, body.layer, body.outside, body.classes)


def import_preview(plan: ImportPlan, session: Session) -> s.ImportPreview:
    """What an import would do."""
    ids = {entry.name: entry.id for entry in session.state.classes}
    classes = [
        s.ImportClass(
            name=entry.name,
            color=color_to_hex(entry.color),
            into=entry.into,
            class_id=ids.get(entry.into or ""),
            marks=entry.marks,
            pixels=entry.pixels,
        )
        for entry in plan.classes
    ]
    return s.ImportPreview(
        classes=classes, marks=len(plan.marks), notes=list(plan.notes), layers=list(plan.layers), fields=list(plan.fields)
    )


def coverage_info(session: Session) -> s.CoverageInfo:
    """Which images the labels do not cover."""
    revision, is_checked, found = session.advice.coverage()
    scenes = []
    for scene_id in session.project.scenes:
        one = found.get(scene_id)
        foreign, warning = (None, None) if one is None else (one.foreign, one.warning)
        scenes.append(s.SceneCoverage(scene=scene_id, foreign=foreign, warning=warning))
    return s.CoverageInfo(revision=revision, checked=is_checked, scenes=scenes)


def accuracy_info(session: Session) -> s.AccuracyInfo:
    """How good the map is as far as its own labels can say."""
    revision, now = session.advice.accuracy()
    if now is None or now.estimate is None:
        return s.AccuracyInfo(revision=revision, checked=False, accuracy=None, change=None, classes=[], reason=None)
    before: dict[int | None, Share | None] = {}
    if now.before is not None:
        before = {None: now.before.accuracy, **{one.class_id: one.recall for one in now.before.classes}}

    def change(share: Share | None, key: int | None) -> float | None:
        earlier = before.get(key)
        return None if share is None or earlier is None else share.value - earlier.value

    def shown(share: Share | None) -> s.ShareInfo | None:
        return None if share is None else s.ShareInfo(**dataclasses.asdict(share))

    classes = [
        s.ClassAccuracyInfo(
            class_id=one.class_id, recall=shown(one.recall), precision=shown(one.precision), change=change(one.recall, one.class_id)
        )
        for one in now.estimate.classes
    ]
    found = now.estimate
    return s.AccuracyInfo(
        revision=revision,
        checked=now.is_checked,
        accuracy=shown(found.accuracy),
        change=change(found.accuracy, None),
        classes=classes,
        reason=found.reason,
    )


def areas_info(session: Session, scene_id: str) -> s.Areas:
    """Areas so far."""
    found = session.areas(scene_id)
    hectares = None if found.square_metres is None else found.square_metres / 10_000
    whole = float(hectares.sum()) if hectares is not None else float(found.valid_pixels)
    classes = []
    for entry in session.state.classes:
        part = float(hectares[entry.id]) if hectares is not None else float(found.pixels[entry.id])
        classes.append(
            s.ClassAreaInfo(
                id=entry.id,
                name=entry.name,
                color=color_to_hex(entry.color),
                pixels=int(found.pixels[entry.id]),
                fraction=part / whole if whole and math.isfinite(whole) else None,
                area=None if hectares is None else part,
            )
        )
    return s.Areas(
        revision=session.revision,
        complete=found.complete,
        pixels_total=found.pixels_total,
        valid_pixels=found.valid_pixels,
        unit="px" if hectares is None else "ha",
        classes=classes,
    )


def job_info(job: Job) -> s.JobInfo:
    """A job, its files with the address to fetch them from."""
    row = dataclasses.asdict(job)
    row["files"] = [{**file, "url": f"/api/exports/{file['name']}"} for file in row["files"]]
    return s.JobInfo(**row)
