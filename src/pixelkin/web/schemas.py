"""What the API answers, and what OpenAPI says of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..session.advice import SuggestedPixel
from ..session.pictures import BandStatistics
from ..session.project import ProjectSettings


class Schema(BaseModel):
    """A shape of the API; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class ErrorDetail(Schema):
    """What went wrong."""

    type: str
    message: str
    status: int
    revision: int | None = None


class ErrorBody(Schema):
    """The shape of every error."""

    error: ErrorDetail


class Geometry(Schema):
    """GeoJSON geometry in pixel space: x = column, y = row, (0, 0) the outer corner of the first pixel."""

    type: Literal["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"]
    coordinates: list[Any]


class ClassInfo(Schema):
    """A class."""

    id: int
    name: str
    color: str
    key: str | None
    marks: int
    labelled_pixels: int


class LonLatMesh(Schema):
    """Longitude and latitude at some points of the image, to interpolate between."""

    rows: list[float]
    cols: list[float]
    lon: list[list[float]]
    lat: list[list[float]]


class SceneInfo(Schema):
    """An image."""

    id: str
    name: str
    date: str | None
    height: int
    width: int
    bands: list[str]
    dtype: str
    crs: str | None
    crs_name: str | None
    units: str | None
    transform: list[float]
    series: int
    levels: int
    fingerprint: str
    metres_per_pixel: list[float] | None
    lonlat: LonLatMesh | None
    default_bands: list[int]
    labelled_pixels: int


class ProfilePoint(Schema):
    """What a pixel holds on one date; null values where there is no data."""

    scene: str
    date: str | None
    values: list[float] | None


class SceneDetail(SceneInfo):
    """An image with its statistics."""

    statistics: list[BandStatistics]


class ModelInfo(Schema):
    """How pixels are compared."""

    state: Literal["none", "training", "ready", "failed"]
    hash: str | None
    measure_in_use: str
    features: Annotated[list[str], Field(description="Sources that the map stands on: bands, encoder, pretrained, embedding.")]
    changed: Annotated[
        float | None, Field(ge=0, le=1, description="Share of the pixels lately shown whose class the encoder changed when it took over.")
    ]
    job: str | None
    message: str


class MapInfo(Schema):
    """Whether there is a map."""

    ready: bool
    reason: str | None


class Limits(Schema):
    """What the server takes."""

    upload_bytes: int
    edits_per_request: int
    tile_size: int


class ProjectInfo(Schema):
    """Everything that a page needs to start."""

    name: str
    version: str
    revision: int
    instance: str
    can_undo: bool
    can_redo: bool
    undo_title: str | None
    redo_title: str | None
    classes: list[ClassInfo]
    scenes: list[SceneInfo]
    settings: ProjectSettings
    model: ModelInfo
    map: MapInfo
    limits: Limits
    has_sample: Annotated[bool, Field(description="There is a sample project at ./sample/ beside this one.")]


class PixelInfo(Schema):
    """One pixel."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    row: int
    col: int
    x: float
    y: float
    lon: float | None
    lat: float | None
    values: list[float] | None
    valid: bool
    label: int
    class_id: int | None = Field(alias="class")
    confidence: float | None
    revision: int


class MarkInfo(Schema):
    """A mark as drawn, and how many pixels are still its own."""

    id: str
    scene: str
    class_id: int
    kind: str
    geometry: Geometry
    brush_px: float
    order: int
    author: str
    pixels: int
    labels: int


class MarkList(Schema):
    """Marks of a scene."""

    revision: int
    marks: list[MarkInfo]


class Changes(Schema):
    """What happened after a revision."""

    since: int
    revision: int
    classes: list[ClassInfo]
    marks: list[MarkInfo]
    deleted: list[str]
    overlap_pixels: int
    reset: bool


class EditAnswer(Schema):
    """What a change did."""

    revision: int
    applied: bool
    title: str
    can_undo: bool
    can_redo: bool
    undo_title: str | None
    redo_title: str | None
    map: MapInfo
    changes: Changes


class ImportClass(Schema):
    """A class of a label file, and what becomes of it; `class_id` where the project has that class."""

    name: str
    color: str
    into: str | None
    class_id: int | None
    marks: int
    pixels: int


class ImportPreview(Schema):
    """What an import would do."""

    classes: list[ImportClass]
    marks: int
    notes: list[str]
    layers: list[str]
    fields: list[str]


class OverlapPixel(Schema):
    """A pixel marked with different classes."""

    row: int
    col: int
    class_ids: list[int]
    winner: int
    marks: list[str]


class Overlaps(Schema):
    """Pixels marked with different classes; the later mark counts."""

    revision: int
    total: int
    pixels: list[OverlapPixel]


class SuspectMarkInfo(Schema):
    """A mark of which labels are predicted as another class by the others; row and col are the first of these."""

    scene: str
    mark: str
    row: int
    col: int
    class_id: int
    predicted: int
    labels: int


class SuspectLabelsInfo(Schema):
    """Labels of all scenes that the others speak against; `checked` once those of this revision were gone through."""

    revision: int
    checked: bool
    marks: list[SuspectMarkInfo]
    classes: list[tuple[int, int]]


class SceneCoverage(Schema):
    """How much of an image is like nothing that was labelled; nulls for an image with labels of its own, or not judged yet."""

    scene: str
    foreign: Annotated[float, Field(ge=0, le=1, description="Share of its pixels.")] | None
    warning: Annotated[str, Field(description="A sentence to show beside the image and its map.")] | None


class CoverageInfo(Schema):
    """Which images the labels do not cover; `checked` once all were judged by the labels of this revision."""

    revision: int
    checked: bool
    scenes: list[SceneCoverage]


class ShareInfo(Schema):
    """A share of spatial groups of labels with its 95 % interval; a group is one observation, however many pixels were marked in it."""

    value: float
    low: float
    high: float
    groups: int


class ClassAccuracyInfo(Schema):
    """How well a class is told from the others; nulls where it is labelled in too few parts of the image."""

    class_id: int
    recall: Annotated[ShareInfo | None, Field(description="Of its labels, those that are predicted as it.")]
    precision: Annotated[ShareInfo | None, Field(description="Of labels that are predicted as it, its own.")]
    change: Annotated[float | None, Field(description="Of the recall, by the last marks.")]


class AccuracyInfo(Schema):
    """Each label predicted from those elsewhere; `checked` once this was done for the labels of this revision."""

    revision: int
    checked: bool
    accuracy: Annotated[ShareInfo | None, Field(description="Of all labels, those that are predicted right.")]
    change: Annotated[float | None, Field(description="Of the accuracy, by the last marks.")]
    classes: list[ClassAccuracyInfo]
    reason: Annotated[str | None, Field(description="What is missing for an estimate.")]


class ClassAreaInfo(Schema):
    """How much of the map a class covers."""

    id: int
    name: str
    color: str
    pixels: int
    fraction: float | None
    area: float | None


class Areas(Schema):
    """Areas on the blocks computed so far."""

    revision: int
    complete: float
    pixels_total: int
    valid_pixels: int
    unit: Literal["ha", "px"]
    classes: list[ClassAreaInfo]


class Suggestions(Schema):
    """Pixels worth marking, best first."""

    revision: int
    suggestions: list[SuggestedPixel]


class JobFileInfo(Schema):
    """A file that a job wrote."""

    name: str
    url: str
    bytes: int


class JobError(Schema):
    """Why a job failed."""

    type: str
    message: str


class JobInfo(Schema):
    """A piece of long work."""

    id: str
    kind: Literal["train", "export", "apply"]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float
    message: str
    error: JobError | None
    files: list[JobFileInfo]
    warnings: list[str]
    started: str | None
    finished: str | None


class JobList(Schema):
    """Jobs, newest first."""

    jobs: list[JobInfo]


class Health(Schema):
    """That the server answers."""

    status: Literal["ok"]
    version: str
    revision: int
