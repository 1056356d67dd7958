"""Routes to what is looked at beside the map: overlays, and what the classes look like."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, File, Path, Query, Response, UploadFile
from pydantic import Field

from ..session.overlays import RASTERS, VECTORS, Overlay
from ..session.session import Session
from ..session.spectra import spectra
from . import bodies as b
from . import schemas as s
from .cache import ByteCache
from .settings import WebSettings
from .uploads import uploaded

_CACHE_BYTES = 32 * 1024 * 1024
_BIG = 2**53 - 1
_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}}
OverlayId = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$")]
SceneName = Annotated[str, Query(max_length=200)]
TileNumber = Annotated[int, Path(ge=0, le=_BIG)]


class _Png(Response):
    media_type = "image/png"


class SpectrumInfo(s.Schema):
    """Values at the marked pixels of a class on an image: mean, 10th and 90th percentile, a number a band."""

    class_id: int
    pixels: int
    mean: list[float]
    p10: list[float]
    p90: list[float]


class OverlayInfo(s.Schema):
    """Something to lay over the images."""

    id: str
    name: str
    kind: Literal["vector", "raster", "address"]
    address: Annotated[str | None, Field(description="Of tiles of Web Mercator, with {z}, {x} and {y} or {bbox}; null for a file.")]


class OverlayList(s.Schema):
    """Overlays in the order in which they were added."""

    overlays: list[OverlayInfo]


class OverlayShapes(s.Schema):
    """A vector in the pixel space of an image, cut to it."""

    shapes: list[s.Geometry]


def add_looking(router: APIRouter, session: Session, settings: WebSettings) -> None:
    """Add the routes."""
    cache, turns = ByteCache(_CACHE_BYTES), anyio.CapacityLimiter(2)

    @router.get("/scenes/{scene_id}/spectra")
    def class_spectra(scene_id: Annotated[str, Path(max_length=200)]) -> list[SpectrumInfo]:
        """What the classes that are marked on an image look like, band by band."""
        found = spectra(scene_id, session.project.scene(scene_id), session.state)
        return [SpectrumInfo(**dataclasses.asdict(one)) for one in found]

    @router.get("/no-data")
    def no_data() -> dict[str, float]:
        """Share of pixels without data of each image, by its id, 0..1: clouds, where they are masked; from overviews."""
        return {scene_id: session.pictures.no_data(scene_id) for scene_id in session.project.scenes}

    @router.get("/overlays")
    def overlays() -> OverlayList:
        """What may be laid over the images."""
        return OverlayList(overlays=[_info(one) for one in session.overlays.all()])

    @router.post("/overlays")
    def add_overlay(scene: SceneName, file: Annotated[UploadFile, File()]) -> OverlayInfo:
        """Keep a vector (GeoJSON, GeoPackage, FlatGeobuf, KML, a zipped Shapefile) or a raster (GeoTIFF) beside the project; it must fit the image."""
        with uploaded(file, settings.upload_bytes, what="overlay", suffixes=(*VECTORS, *RASTERS)) as path:
            return _info(session.overlays.add_file(path, path.stem, scene))

    @router.post("/overlays/address")
    def add_address(body: b.AddressBody) -> OverlayInfo:
        """Keep the address of a background map. The server never asks it; a page does where its user shows the overlay."""
        return _info(session.overlays.add_address(body.address, body.name))

    @router.delete("/overlays/{overlay_id}")
    def remove_overlay(overlay_id: OverlayId) -> OverlayList:
        """Take an overlay away."""
        session.overlays.remove(overlay_id)
        return overlays()

    @router.get("/overlays/{overlay_id}/shapes")
    def overlay_shapes(overlay_id: OverlayId, scene: SceneName) -> OverlayShapes:
        """A vector in the pixel space of an image, cut to it."""
        return OverlayShapes.model_validate({"shapes": session.overlays.shapes(overlay_id, scene)})

    @router.get("/overlays/{overlay_id}/tiles/{z}/{x}/{y}.png", responses=_PNG, response_class=_Png)
    async def overlay_tile(overlay_id: OverlayId, z: TileNumber, x: TileNumber, y: TileNumber, scene: SceneName) -> Response:
        """A tile of a raster on an image's grid, nearest neighbour; transparent where it has no data."""

        def make() -> bytes:
            return session.overlays.tile(overlay_id, scene, z, x, y)

        png = await anyio.to_thread.run_sync(lambda: cache.get((overlay_id, scene, z, x, y), make), limiter=turns)
        # An id is never used twice.
        return _Png(png, headers={"Cache-Control": "private, max-age=31536000, immutable"})


def _info(overlay: Overlay) -> OverlayInfo:
    return OverlayInfo(id=overlay.id, name=overlay.name, kind=overlay.kind, address=overlay.source if overlay.kind == "address" else None)
