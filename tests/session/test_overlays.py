"""Overlays lie where their coordinates say, whatever CRS they come in; addresses are for browsers alone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from fastapi.testclient import TestClient
from PIL import Image
from pyproj import Transformer

from pixelkin.errors import InputError
from pixelkin.session import Session
from pixelkin.session.overlays import tile_address
from pixelkin.web import WebSettings, create_app

from .conftest import WIDTH, write_image

Start = Callable[..., Session]


@pytest.fixture
def session(start: Start, image: Path) -> Session:
    return start(image, engine=False)


def in_degrees(*pixels: tuple[float, float]) -> list[tuple[float, float]]:
    """Longitude and latitude of points in pixel space of the test image."""
    move = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True).transform
    return [move(500_000 + 10 * col, 5_000_000 - 10 * row) for col, row in pixels]


def write_vector(path: Path, shapes: list[shapely.Geometry], driver: str, crs: str | None = "EPSG:4326") -> Path:
    kind = shapes[0].geom_type
    pyogrio.raw.write(path, shapely.to_wkb(np.array(shapes)), [], [], driver=driver, crs=crs, geometry_type=kind)
    return path


@pytest.mark.parametrize("driver", ["GPKG", "GeoJSON", "FlatGeobuf", "ESRI Shapefile"])
def test_a_vector_lies_where_it_belongs_and_is_cut_to_the_image(session: Session, tmp_path: Path, driver: str) -> None:
    inside = shapely.Polygon(in_degrees((10, 20), (60, 20), (60, 80), (10, 80)))
    across = shapely.Polygon(in_degrees((400, 10), (900, 10), (900, 50), (400, 50)))
    away = shapely.Polygon(in_degrees((5000, 10), (5010, 10), (5010, 50)))
    suffix = {"GPKG": ".gpkg", "GeoJSON": ".geojson", "FlatGeobuf": ".fgb", "ESRI Shapefile": ".shp"}[driver]
    path = write_vector(tmp_path / f"parcels{suffix}", [inside, across, away], driver)
    if suffix == ".shp":
        with zipfile.ZipFile(path := tmp_path / "parcels.zip", "w") as packed:
            for part in tmp_path.glob("parcels.*[!p]"):
                packed.write(part, f"data/{part.name}")
            packed.write(tmp_path / "parcels.shp", "data/parcels.shp")
    added = session.overlays.add_file(path, "parcels", "field")
    shapes = map(shapely.geometry.shape, session.overlays.shapes(added.id, "field"))
    first, second = sorted(shapes, key=lambda shape: shape.bounds)  # some formats sort by place
    np.testing.assert_allclose(first.bounds, (10, 20, 60, 80), atol=0.01)
    np.testing.assert_allclose(second.bounds, (400, 10, WIDTH + 1, 50), atol=0.01)
    session.overlays.remove(added.id)
    assert [path.name for path in (session.project.folder / "overlays").iterdir()] == ["overlays.json"]


def test_a_raster_in_another_crs_lies_on_the_same_pixels(session: Session, tmp_path: Path) -> None:
    """An old map in degrees, whose border runs along column 200 of the image."""
    (west, north), (east, south) = in_degrees((0, 0), (WIDTH, 300))
    height, width = 300, 420
    transform = rasterio.Affine((east - west) / width, 0, west, 0, (south - north) / height, north)
    classes = np.where(np.arange(width) < 200, 1, 7).astype(np.uint8) * np.ones((height, 1), np.uint8)
    with rasterio.open(tmp_path / "old.tif", "w", "GTiff", width, height, 1, crs="EPSG:4326", transform=transform, dtype="uint8") as file:
        file.write(classes, 1)
    added = session.overlays.add_file(tmp_path / "old.tif", "old map", "field")
    tile = np.asarray(Image.open(io.BytesIO(session.overlays.tile(added.id, "field", 0, 0, 0))))
    left, right = tile[150, 100], tile[150, 240]
    assert left[3] == right[3] == 255
    assert tuple(left[:3]) != tuple(right[:3])
    border = int(np.argmax((tile[150, :, :3] == right[:3]).all(axis=1)))
    assert abs(border - 200) <= 3  # grid north and true north differ
    coarse = np.asarray(Image.open(io.BytesIO(session.overlays.tile(added.id, "field", 1, 0, 0))))
    assert tuple(coarse[75, 50]) == tuple(left)
    assert coarse[200, 100, 3] == 0, "below the image"


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_what_cannot_be_placed_is_refused_and_nothing_is_left(session: Session, tmp_path: Path) -> None:
    (tmp_path / "text.geojson").write_text("no vector")
    write_image(tmp_path / "small.tif", shape=(30, 40), crs=None)
    bad = write_vector(tmp_path / "nowhere.gpkg", [shapely.Point(0, 0)], "GPKG", crs=None)
    (tmp_path / "empty.zip").write_bytes(b"PK")
    for name, message in (
        ("text.geojson", "cannot be read"),
        ("small.tif", "30 x 40 pixels"),
        (bad.name, "no CRS"),
        ("empty.zip", "damaged"),
    ):
        with pytest.raises(InputError, match=message):
            session.overlays.add_file(tmp_path / name, "x", "field")
    assert session.overlays.all() == []
    assert list((session.project.folder / "overlays").glob("*")) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("up.json", b'<OGRWFSDataSource><URL>http://127.0.0.1:9/wfs</URL></OGRWFSDataSource>'),
        ("up.kml", b'<OGRVRTDataSource><OGRVRTLayer name="secret"><SrcDataSource>/elsewhere.gpkg</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'),
        ("up.tif", b"<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1:9/</ServerUrl></Service></GDAL_WMS>"),
        ("up.geojson", b'{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read /elsewhere.gpkg ! write --format=stream x"}'),
        ("up.zip", b'<OGRVRTDataSource><OGRVRTLayer name="secret"/></OGRVRTDataSource>'),
    ],
)  # fmt: skip
def test_what_makes_gdal_look_elsewhere_is_refused(session: Session, tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("parcels.shp", content)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"does not begin as files|virtual dataset"):
        session.overlays.add_file(path, "x", "field")
    assert list((session.project.folder / "overlays").glob("*")) == []


def test_an_address_is_of_tiles_or_of_a_wms(session: Session) -> None:
    assert tile_address(" https://a.example/{z}/{x}/{y}.png ") == "https://a.example/{z}/{x}/{y}.png"
    wms = tile_address("https://b.example:8443/wms?LAYERS=ortho&FORMAT=image/jpeg")
    assert wms.startswith("https://b.example:8443/wms?LAYERS=ortho&FORMAT=image/jpeg&SERVICE=WMS&REQUEST=GetMap")
    assert wms.endswith("&BBOX={bbox}")
    assert wms.count("FORMAT") == 1
    for wrong in (
        "a.example/{z}/{x}/{y}",
        "javascript:alert({z}{x}{y})",
        "https://u:p@a.example/{z}/{x}/{y}",
        "https://a.example/wms",
        "https://a.e/{z}/{x}/{y} 'none'",
        "https://[a/{z}/{x}/{y}",
        "https://*/{z}/{x}/{y}",
        "https://a.e;frame-ancestors/{z}/{x}/{y}",
        "https://a.e,b.e/{z}/{x}/{y}",
    ):
        with pytest.raises(InputError, match="the address is"):
            tile_address(wrong)


def test_a_page_may_load_from_elsewhere_only_what_its_address_asks_for(session: Session) -> None:
    with TestClient(create_app(session, WebSettings()), base_url="http://localhost") as client:
        body = {"name": "ortho", "address": "https://a.example/{z}/{x}/{y}.png"}
        added = client.post("/api/overlays/address", json=body).json()
        assert client.get("/api/overlays").json()["overlays"] == [added]

        def policy(path: str) -> str:
            return client.get(path).headers["Content-Security-Policy"]

        assert "a.example" not in policy("/")
        assert "img-src 'self' https://a.example data:" in policy(f"/?background={added['id']}")
        assert "connect-src 'self';" in policy(f"/?background={added['id']}")
        assert "a.example" not in policy(f"/api/project?background={added['id']}")
        assert "evil" not in policy("/?background=https://evil.example")
        assert client.delete(f"/api/overlays/{added['id']}").json() == {"overlays": []}
        assert "a.example" not in policy(f"/?background={added['id']}")
        assert client.delete(f"/api/overlays/{added['id']}").status_code == 404


def test_spectra_are_the_values_of_the_marks(session: Session) -> None:
    from pixelkin.session import AddClass, AddMark

    def mark(class_id: int, row: int, col: int) -> AddMark:
        return AddMark("field", class_id, "point", {"type": "Point", "coordinates": [col + 0.5, row + 0.5]})

    session.edit([AddClass("a"), AddClass("b"), AddClass("none"), mark(1, 10, 20), mark(1, 290, 400), mark(2, 50, 60)])
    with TestClient(create_app(session, WebSettings()), base_url="http://localhost") as client:
        first, second = client.get("/api/scenes/field/spectra").json()
    assert (first["class_id"], first["pixels"], first["mean"][:2]) == (1, 2, [151, 211])
    assert (second["class_id"], second["mean"][:2], second["p10"][:2]) == (2, [51, 61], [51, 61])


class TestRasterTiles:
    """A raster with a palette of more than 256 colours, five times as fine as the image."""

    @pytest.fixture
    def classified(self, tmp_path: Path) -> Path:
        height, width = 5 * 300, 5 * WIDTH
        values = np.full((height, width), 300, np.uint16)
        values[:, width // 2 :] = 65_000
        profile = {"crs": "EPSG:32631", "transform": rasterio.Affine(2, 0, 500_000, 0, -2, 5_000_000), "dtype": "uint16"}
        tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
        with rasterio.open(tmp_path / "classes.tif", "w", "GTiff", width, height, 1, **profile, **tiles) as file:
            file.write(values, 1)
            file.write_colormap(1, {300: (10, 20, 30, 255), 65_000: (40, 50, 60, 255)})
        return tmp_path / "classes.tif"

    def test_colours_of_a_palette_whatever_its_numbers(self, session: Session, classified: Path) -> None:
        added = session.overlays.add_file(classified, "classes", "field")
        for z in (0, 1):
            tile = np.asarray(Image.open(io.BytesIO(session.overlays.tile(added.id, "field", z, 0, 0))))
            assert tuple(tile[20, 20]) == (10, 20, 30, 255)
        assert tuple(tile[20, (WIDTH - 20) // 2]) == (40, 50, 60, 255)

    def test_a_tile_needs_no_other_part_of_the_file(self, session: Session, classified: Path) -> None:
        with rasterio.open(classified) as file:
            last = (file.height - 1) // 256, (file.width - 1) // 256
            offset = int(file.get_tag_item(f"BLOCK_OFFSET_{last[1]}_{last[0]}", "TIFF", 1))
        with classified.open("r+b") as raw:
            raw.seek(offset)
            raw.write(b"\xff" * 16)
        added = session.overlays.add_file(classified, "classes", "field")
        assert session.overlays.tile(added.id, "field", 0, 0, 0)
        with pytest.raises(InputError, match="cannot be read as a raster"):
            session.overlays.tile(added.id, "field", 0, (WIDTH - 1) // 256, 299 // 256)


def test_colours_of_a_raster_are_the_same_in_every_tile(session: Session, tmp_path: Path) -> None:
    """Of grey values from 0 to 1000 over the whole raster, a tile that holds the low ones alone is dark."""
    values = np.linspace(0, 1000, WIDTH).astype(np.float32) * np.ones((300, 1), np.float32)
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    with rasterio.open(tmp_path / "grey.tif", "w", "GTiff", WIDTH, 300, 1, crs="EPSG:32631", transform=transform, dtype="float32") as file:
        file.write(values, 1)
    added = session.overlays.add_file(tmp_path / "grey.tif", "grey", "field")
    fine, coarse = (np.asarray(Image.open(io.BytesIO(session.overlays.tile(added.id, "field", z, 0, 0)))).astype(int) for z in (0, 1))
    assert np.abs(fine[100, 20:250:2, 0] - coarse[50, 10:125, 0]).max() <= 2
    assert fine[100, 20, 0] < 30
    assert fine[100, 250, 0] > 100
    assert (fine[100, :, 3] == 255).all()
