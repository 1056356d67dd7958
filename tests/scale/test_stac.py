"""STAC in and out, against a catalog and an API served on loopback."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

import pixelkin as pk
from pixelkin.errors import InputError, OutputError, RasterError
from pixelkin.raster import read_map
from pixelkin.raster.stac import open_stac, search, write_collection
from pixelkin.scale import segment
from pixelkin.types import Window

SIDE = 64

# odc-geo calls what shapely 2.2 and affine 3 deprecate.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
]


class Server(http.server.SimpleHTTPRequestHandler):
    """A folder of files, and below /api a STAC API with item search."""

    def log_message(self, *_):
        pass

    def _json(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/geo+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.rstrip("/") != "/api":
            return super().do_GET()
        base = f"http://127.0.0.1:{self.server.server_port}/api"
        links = [{"rel": rel, "href": base, "type": "application/json"} for rel in ("self", "root")]
        links.append({"rel": "search", "href": f"{base}/search", "type": "application/geo+json", "method": "POST"})
        conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
        return self._json(
            {"type": "Catalog", "id": "api", "description": "-", "stac_version": "1.0.0", "conformsTo": conforms, "links": links}
        )

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        items = [json.loads(path.read_text()) for path in sorted(Path(self.directory).glob("s2/*/*.json"))]
        for item in items:
            item["links"] = []
            for asset in item["assets"].values():
                asset["href"] = f"http://127.0.0.1:{self.server.server_port}/" + Path(asset["href"]).name
        first, _, last = asked.get("datetime", "0/9").partition("/")
        self._json({"type": "FeatureCollection", "features": [i for i in items if first <= i["properties"]["datetime"] <= last and i["collection"] in asked["collections"]], "links": []})  # fmt: skip


def make_item(folder: Path, name: str, date: str, *, left: float = 500_000, epsg: int = 32631, cloud: int = 0) -> pystac.Item:
    transform = Affine(10, 0, left, 0, -10, 4_600_000)
    rows, cols = np.mgrid[:SIDE, :SIDE]
    scl = np.full((SIDE, SIDE), 4, np.uint8)
    scl[:cloud] = 9
    layers = {"red": (100 + rows).astype(np.uint16), "nir": (1000 + cols + (left - 500_000) / 10).astype(np.uint16), "scl": scl}
    box = transform_bounds(f"EPSG:{epsg}", "EPSG:4326", left, 4_600_000 - 10 * SIDE, left + 10 * SIDE, 4_600_000)
    ring = [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]], [box[0], box[1]]]
    item = pystac.Item(
        name, {"type": "Polygon", "coordinates": [ring]}, list(box), dt.datetime.fromisoformat(f"{date}T10:30:00+00:00"),
        {"proj:code": f"EPSG:{epsg}", "proj:shape": [SIDE, SIDE], "proj:transform": list(transform)[:6]},
        stac_extensions=["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
    )  # fmt: skip
    for key, data in layers.items():
        path = folder / f"{name}_{key}.tif"
        with rasterio.open(path, "w", driver="GTiff", height=SIDE, width=SIDE, count=1, dtype=data.dtype, crs=f"EPSG:{epsg}", transform=transform, nodata=0) as file:  # fmt: skip
            file.write(data, 1)
        item.add_asset(key, pystac.Asset(str(path), media_type="image/tiff; application=geotiff", roles=["data"]))
    item.add_asset("thumbnail", pystac.Asset(str(folder / "none.png"), media_type="image/png", roles=["thumbnail"]))
    return item


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stac")
    items = [
        make_item(folder, "first_west", "2021-03-01"),
        make_item(folder, "first_east", "2021-03-01", left=500_000 + 10 * SIDE),
        make_item(folder, "second", "2021-04-01", cloud=20),
    ]
    collection = pystac.Collection(
        "s2", "test", pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
    )
    collection.add_items(items)
    catalog = pystac.Catalog("root", "test")
    catalog.add_child(collection)
    catalog.normalize_hrefs(str(folder))
    for item in items:
        item.make_asset_hrefs_relative()
    catalog.save(catalog_type=pystac.CatalogType.SELF_CONTAINED)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["catalog.json", "api"])
def catalog(request, served):
    return f"{served}/{request.param}"


def test_items_are_found_by_collection_and_time(catalog):
    found = search(catalog, collections=["s2"], datetime="2021-03-01/2021-03-31")
    assert sorted(item.id for item in found) == ["first_east", "first_west"]
    with pytest.raises(RasterError, match=r"has no item of collections \['s2'\].* at 1999-01-01/1999-12-31"):
        search(catalog, collections=["s2"], datetime="1999-01-01/1999-12-31")


def test_a_static_catalog_is_searched_by_place(served):
    west = search(f"{served}/catalog.json", bbox=(3.0, 41.5, 3.0001, 41.6))
    assert sorted(item.id for item in west) == ["first_west", "second"]
    with pytest.raises(InputError, match="datetime is 'spring'"):
        search(f"{served}/catalog.json", datetime="spring")


def test_a_day_is_mosaicked_and_clouds_are_not_valid(catalog):
    series = open_stac(catalog, collections=["s2"], mask="scl")
    assert [str(date) for date in series.dates] == ["2021-03-01", "2021-04-01"]
    assert series.bands == ("red", "nir")
    assert series.grid.crs == "EPSG:32631"
    assert series.grid.shape == (SIDE, 2 * SIDE)
    first, second = (scene.read() for scene in series)
    rows, cols = np.mgrid[:SIDE, : 2 * SIDE]
    np.testing.assert_array_equal(first.data, [100 + rows, 1000 + cols])
    assert first.valid.all()
    np.testing.assert_array_equal(second.valid[:, :SIDE], rows[:, :SIDE] >= 20)
    assert not second.valid[:, SIDE:].any()  # nothing was taken there on that day


def test_only_the_window_asked_for_is_fetched(served):
    series = open_stac(f"{served}/catalog.json", bands=["nir"])
    np.testing.assert_array_equal(series.scenes[0].read(Window(3, 62, 1, 4)).data[0, 0], 1000 + np.arange(62, 66))


def test_zones_are_joined_on_request_only(tmp_path):
    items = [
        make_item(tmp_path, "zone31", "2021-03-01", left=748_000),
        make_item(tmp_path, "zone32", "2021-03-01", left=250_000, epsg=32632),
    ]
    with pytest.raises(RasterError, match="the items lie in 2 coordinate systems, EPSG:32631, EPSG:32632, expected one"):
        open_stac(items)
    joined = open_stac(items, crs="EPSG:3035", resolution=10)
    assert joined.grid.crs == "EPSG:3035"
    for item in items:
        box = transform_bounds("EPSG:4326", "EPSG:3035", *item.bbox)
        row = int((joined.grid.transform[5] - (box[1] + box[3]) / 2) / 10)
        col = int(((box[0] + box[2]) / 2 - joined.grid.transform[2]) / 10)
        assert joined.scenes[0].read(Window(row, col, 1, 1)).valid.all()


def test_maps_become_a_collection_that_says_what_classes_are(tmp_path, served):
    series = open_stac(f"{served}/catalog.json", mask="scl")
    labels = pk.LabelledPixels.from_mask(
        np.where(np.mgrid[:SIDE, : 2 * SIDE][1] % 40 == 5, 1, np.where(np.mgrid[:SIDE, : 2 * SIDE][1] % 40 == 25, 2, 0))
    )
    maps = segment(series, pk.Segmenter(None).fit(series.scenes[0], labels), tmp_path / "maps")
    paths = sorted(maps.glob("*.tif"))
    made = write_collection(
        dict(zip(paths, series.dates, strict=True)),
        tmp_path / "stac",
        collection="land-cover",
        sources={paths[0]: ["https://example.org/item.json"]},
    )
    collection = pystac.Collection.from_file(str(made))
    items = sorted(collection.get_items(), key=lambda item: item.datetime)
    assert [item.datetime.date() for item in items] == list(series.dates)
    asset = items[0].assets["classes"]
    classes = asset.extra_fields["classification:classes"]
    assert [entry["value"] for entry in classes] == [0, 1, 2]
    assert classes[1]["color_hint"] == "0072B2"
    assert [link.target for link in items[0].get_links("derived_from")] == ["https://example.org/item.json"]
    assert items[0].properties["proj:code"] == "EPSG:32631"
    assert "references" in items[0].properties["pixelkin"]
    with rasterio.open(asset.get_absolute_href()) as file:
        np.testing.assert_array_equal(file.read(1), read_map(paths[0]).classes)
    with pytest.raises(OutputError, match="is there already"):
        write_collection(dict.fromkeys(paths), tmp_path / "stac", collection="again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps", "stac"]


def test_the_command_maps_what_a_catalog_holds(served, tmp_path, capsys):
    """Search, cloud mask, one map a date, and a collection of the maps, in one command."""
    from pixelkin.cli import main

    box = transform_bounds("EPSG:32631", "EPSG:4326", 500_000, 4_600_000 - 10 * SIDE, 500_000 + 20 * SIDE, 4_600_000)
    x, y = 500_005, 4_599_995
    (tmp_path / "labels.csv").write_text(f"x,y,class\n{x + 100},{y - 300},west\n{x + 1100},{y - 300},east\n")
    main(
        ["segment", "--stac", f"{served}/catalog.json", "--collections", "s2", "--bbox", ",".join(map(str, box)), "--datetime", "2021-01-01/2021-12-31",
         "--bands", "red,nir", "--mask-asset", "scl", "--labels", str(tmp_path / "labels.csv"), "--labels-crs", "EPSG:32631", "--raw",
         "--out", str(tmp_path / "maps")]
    )  # fmt: skip
    assert capsys.readouterr().out.splitlines()[-1].endswith("collection.json")
    maps = sorted((tmp_path / "maps").glob("*.tif"))
    assert len(maps) == 2
    collection = pystac.Collection.from_file(str(tmp_path / "maps" / "stac" / "collection.json"))
    assert [item.datetime.date().isoformat() for item in collection.get_items()] == ["2021-03-01", "2021-04-01"]
    assert (read_map(maps[1]).classes[:10] == 0).all(), "cloud is no data"
