"""What the API takes, and what OpenAPI says of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..session.jobs import Format
from ..session.project import Measure
from .schemas import Geometry, Schema

MAX_EDITS = 1000
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,80}$")]
Key = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$", description="Names the request: the same key again is answered and not done again.")
]
ClassId = Annotated[int, Field(ge=1, le=255)]
Color = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
ShortcutKey = Annotated[str, Field(pattern=r"^[1-9]$")]
Brush = Annotated[float, Field(ge=1, le=1000)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class SettingsPatch(Schema):
    """Settings to change; `pixels_per_mark` null: every mark teaches with all of its pixels."""

    measure: Measure | None = None
    pixels_per_mark: Annotated[int, Field(ge=1, le=4096)] | None = None


class AddMarkEdit(Schema):
    """Draw a mark; class 0 erases."""

    op: Literal["add_mark"]
    id: Id | None = None
    scene: str
    class_id: Annotated[int, Field(ge=0, le=255)]
    kind: Literal["point", "scribble", "box", "polygon"]
    geometry: Geometry
    brush_px: Brush = 1.0


class UpdateMarkEdit(Schema):
    """Change a mark."""

    op: Literal["update_mark"]
    id: Id
    class_id: Annotated[int, Field(ge=0, le=255)] | None = None
    geometry: Geometry | None = None
    brush_px: Brush | None = None


class DeleteMarkEdit(Schema):
    """Take a mark away."""

    op: Literal["delete_mark"]
    id: Id


class ClearMarksEdit(Schema):
    """Take all marks away, or those of a scene."""

    op: Literal["clear_marks"]
    scene: str | None = None


class AddClassEdit(Schema):
    """Add a class."""

    op: Literal["add_class"]
    name: Name
    color: Color | None = None
    key: ShortcutKey | None = None
    id: ClassId | None = None


class UpdateClassEdit(Schema):
    """Change a class; key null takes its key away."""

    op: Literal["update_class"]
    id: ClassId
    name: Name | None = None
    color: Color | None = None
    key: ShortcutKey | None = None
    position: Annotated[int, Field(ge=0, le=255)] | None = None


class MergeClassEdit(Schema):
    """Give a class's marks to another."""

    op: Literal["merge_class"]
    id: ClassId
    into: ClassId


class SplitClassEdit(Schema):
    """Give some marks of a class to a new one."""

    op: Literal["split_class"]
    id: ClassId
    name: Name
    marks: Annotated[list[Id], Field(min_length=1, max_length=100_000)]
    color: Color | None = None


class DeleteClassEdit(Schema):
    """Take a class and its marks away."""

    op: Literal["delete_class"]
    id: ClassId


EditBody = Annotated[
    AddMarkEdit
    | UpdateMarkEdit
    | DeleteMarkEdit
    | ClearMarksEdit
    | AddClassEdit
    | UpdateClassEdit
    | MergeClassEdit
    | SplitClassEdit
    | DeleteClassEdit,
    Field(discriminator="op"),
]


class EditsBody(Schema):
    """A batch of edits: one step of undo."""

    key: Key
    title: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")] | None = None
    edits: Annotated[list[EditBody], Field(min_length=1, max_length=MAX_EDITS)]


class ImportOptionsBody(Schema):
    """How to read a label file, as JSON in the form field `options`."""

    class_property: Annotated[str, Field(min_length=1, max_length=100)] = "class"
    layer: Annotated[str, Field(max_length=200)] | None = None
    outside: Annotated[Literal["error", "skip"], Field(description="Marks outside the image or on no data: refuse, or leave out.")] = (
        "error"
    )
    classes: dict[str, Name | None] = Field(
        {}, description="By class of the file: the class of the project that it goes to, a new name for it, or null to leave it out."
    )


class AddressBody(Schema):
    """A background map by its address."""

    name: Name
    address: Annotated[
        str,
        Field(
            max_length=2000, description="https://... with {z}, {x} and {y} in it, or a WMS with LAYERS=..., in Web Mercator (EPSG:3857)."
        ),
    ]


class KeyBody(Schema):
    """A request that changes something, and its key."""

    key: Key


class TrainBody(Schema):
    """How to train."""

    preset: Literal["fast", "paper"] = "fast"
    steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    scenes: list[str] | None = None


Replace = Annotated[bool, Field(description="Take the place of all files of an earlier run of this name, which are refused otherwise.")]
FileStem = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,60}$")]


class ExportBody(Schema):
    """What to write."""

    scenes: list[str] | None = None
    formats: list[Format] = Field(["cog"], min_length=1)
    name: FileStem = ""
    replace: Replace = False


class ApplyBody(Schema):
    """Other images to map."""

    paths: Annotated[list[str], Field(min_length=1, max_length=1000)]
    formats: list[Format] = Field(["cog"], min_length=1)
    name: FileStem = ""
    replace: Replace = False
