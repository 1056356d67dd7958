"""What cannot work is refused in one line: what was wrong, what was expected, the fix."""

import json
import re

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from pixelkin.errors import LabelError, MissingFileError, OutputError
from pixelkin.labels import Annotation, Annotations, convert, read_annotations, read_labels, to_annotations, write_annotations, write_labels
from pixelkin.scene import ArrayScene, Series
from pixelkin.types import Grid, LabelledPixels

SCENE = ArrayScene(np.zeros((1, 20, 30), np.uint8), transform=(1e-3, 0, 2.0, 0, -1e-3, 42.0), crs="EPSG:4326")
ANYWHERE = ArrayScene(np.zeros((1, 20, 30), np.uint8))


def refuse(error, message, function, *args, **options):
    """Expect exactly this error, with a message of one line that has every given piece."""
    with pytest.raises(error) as caught:
        function(*args, **options)
    text = plain(str(caught.value))
    for piece in [message] if isinstance(message, str) else message:
        assert piece in text
    assert "\n" not in text
    return text


def plain(text):
    """A message without ids and coordinates of features, which have a test of their own."""
    return re.sub(r" \((?:id \S+?)?(?:, )?(?:at [^)]*)?\)|(?<=[(])id \S+?, (?=')|(?<='), at [^)]*(?=\))", "", text)


def geojson(path, *features, **members):
    entries = [{"type": "Feature", "properties": properties, "geometry": geometry} for geometry, properties in features]
    path.write_text(json.dumps({"type": "FeatureCollection", **members, "features": entries}), "utf-8")
    return path


def point(x, y):
    return {"type": "Point", "coordinates": [x, y]}


INSIDE = point(2.0155, 41.9905)


def test_a_missing_file(tmp_path):
    for function in (read_annotations, lambda path: read_labels(path, SCENE), lambda path: convert(path, tmp_path / "out.gpkg")):
        refuse(MissingFileError, ["none.geojson is not there, expected a label file"], function, tmp_path / "none.geojson")
    refuse(MissingFileError, "is not there, expected a label file", read_annotations, tmp_path)


@pytest.mark.parametrize("suffix", ["shp", "gpkg"])
def test_text_that_cannot_be_decoded(tmp_path, suffix):
    """A Shapefile that promises UTF-8 and holds Latin-1, a GeoPackage with a bad byte."""
    frame = geopandas.GeoDataFrame({"class": ["foret", "eau"]}, geometry=[shapely.Point(2.0155, 41.9905)] * 2, crs="EPSG:4326")
    frame.to_file(tmp_path / f"labels.{suffix}", encoding="utf-8" if suffix == "shp" else None)
    text = tmp_path / ("labels.dbf" if suffix == "shp" else "labels.gpkg")
    data = text.read_bytes()
    assert data.count(b"foret")
    text.write_bytes(data.replace(b"foret", b"for\xeat"))
    refuse(
        LabelError,
        [f"labels.{suffix}: not a vector file that can be read: ", "codec can't decode", "Expected GeoJSON"],
        read_labels,
        text.with_suffix(f".{suffix}"),
        SCENE,
    )


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "shp", "csv", "tif", "kml", "txt"])
@pytest.mark.parametrize("content", [b"", b"hello, there", b"\x00\xff\xfe damaged"], ids=["empty", "text", "bytes"])
def test_a_file_that_is_empty_or_something_else(tmp_path, suffix, content):
    path = tmp_path / f"labels.{suffix}"
    path.write_bytes(content)
    refuse(LabelError, f"labels.{suffix}: ", read_labels, path, SCENE)


def test_a_truncated_file(tmp_path):
    labels = LabelledPixels.from_arrays(np.arange(20), np.arange(20), np.arange(20) % 3 + 1)
    for suffix, message in (
        ("geojson", "not GeoJSON: "),
        ("gpkg", "not a vector file that can be read: "),
        ("shp", "not a vector file that can be read: "),
        ("tif", "not a raster that can be read: "),
    ):
        path = write_labels(labels, SCENE.grid, tmp_path / f"labels.{suffix}")
        path.write_bytes(path.read_bytes()[:60])
        refuse(LabelError, [f"labels.{suffix}: {message}"], read_labels, path, SCENE)


def test_a_file_without_a_feature(tmp_path):
    path = geojson(tmp_path / "none.geojson")
    refuse(LabelError, "none.geojson: it has no feature, expected at least one mark", read_labels, path, SCENE)
    (tmp_path / "none.csv").write_text("x,y,class\n")
    refuse(LabelError, "none.csv: it has no feature", read_labels, tmp_path / "none.csv", SCENE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "its type is 'list', expected 'FeatureCollection'"),
        ('{"type": "Topology"}', "its type is 'Topology', expected 'FeatureCollection'"),
        ('{"type": "Point", "coordinates": [1, 2]}', "its type is 'Point', expected 'FeatureCollection'"),
        ('{"type": "FeatureCollection", "features": [3]}', "feature 1 of 1 is not a GeoJSON feature"),
        (
            '{"type": "FeatureCollection", "features": [], "pixelkin_legend": [{"id": 1}]}',
            "the legend stored in it cannot be read: KeyError('name')",
        ),
        (
            '{"type": "FeatureCollection", "features": [], "pixelkin_legend": [{"id": 1, "name": "a", "color": "red"}]}',
            "the legend stored in it cannot be read: ValueError",
        ),
        (
            '{"type": "FeatureCollection", "features": [], "pixelkin_legend": [{"id": 1, "name": "a", "color": [0, 0, 256]}]}',
            "the legend stored in it has colours [(0, 0, 256)], expected red, green, blue from 0 to 255",
        ),
        ('{"type": "FeatureCollection", "features": [], "crs": {"type": "link"}}', "expected a named CRS or null"),
        ('{"type": "FeatureCollection", "features": [', "not GeoJSON: "),
    ],
)
def test_json_that_is_no_geojson_of_features(tmp_path, content, message):
    path = tmp_path / "a.geojson"
    path.write_text(content)
    refuse(LabelError, ["a.geojson: ", message], read_annotations, path)


def test_a_class_property_that_is_not_there_lists_those_that_are(tmp_path):
    path = geojson(tmp_path / "a.geojson", (INSIDE, {"kind": "water", "area": 3}))
    refuse(LabelError, ["no feature has a property 'class'; it has 'kind', 'area'", "class_property="], read_labels, path, SCENE)
    refuse(LabelError, "no feature has a property 'type'; it has 'kind', 'area'", read_labels, path, SCENE, class_property="type")
    assert read_labels(path, SCENE, class_property="kind").legend.names == ("water",)
    bare = geojson(tmp_path / "b.geojson", (INSIDE, None))
    refuse(LabelError, "no feature has a property 'class'; it has none", read_labels, bare, SCENE)
    table = tmp_path / "c.csv"
    table.write_text("x,y,kind\n1,2,water\n")
    refuse(LabelError, "no feature has a property 'class'; it has 'kind'", read_labels, table, SCENE)


def test_two_properties_that_may_be_the_class_are_not_guessed_between(tmp_path):
    path = geojson(tmp_path / "a.geojson", (INSIDE, {"label": "water", "name": "lake"}))
    refuse(LabelError, "no feature has a property 'class'; it has 'label', 'name'", read_labels, path, SCENE)


@pytest.mark.parametrize("value", [None, "", "  ", [1], {"a": 1}])
def test_a_feature_without_a_class_is_named(tmp_path, value):
    path = geojson(tmp_path / "a.geojson", (INSIDE, {"class": "water"}), (INSIDE, {"class": value}))
    refuse(LabelError, f"feature 2 of 2 has class = {value!r}, expected a class name", read_labels, path, SCENE)


def test_a_feature_outside_the_image_is_named(tmp_path):
    path = geojson(tmp_path / "a.geojson", (INSIDE, {"class": "water"}), (point(2.0155, 42.0101), {"class": "land"}))
    refuse(
        LabelError,
        [
            "feature 2 of 2 ('land') lies outside the image: it reaches over rows -10.1 to -10.1 and columns 15.5 to 15.5 of 20 x 30 pixels",
            "state the labels' own CRS",
        ],
        read_labels,
        path,
        SCENE,
    )
    beside = {"type": "Polygon", "coordinates": [[[1, 41], [1.5, 41], [1.5, 43], [1, 41]]]}
    path = geojson(tmp_path / "b.geojson", (beside, {"class": "land"}))
    refuse(LabelError, "feature 1 of 1 ('land') lies outside the image", read_labels, path, SCENE)
    # Its bounding box meets the image, but the line runs past the corner.
    past = {"type": "LineString", "coordinates": [[1.99, 41.99], [2.01, 42.02]]}
    path = geojson(tmp_path / "c.geojson", (past, {"class": "land"}))
    refuse(LabelError, "feature 1 of 1 ('land') lies outside the image", read_labels, path, SCENE)


def test_a_polygon_too_small_to_hold_a_pixel_centre_is_named(tmp_path):
    path = write_annotations(Annotations.from_features([Annotation(shapely.box(3.6, 4.6, 4.4, 5.4), "pond")], None), tmp_path / "a.geojson")
    refuse(
        LabelError,
        ["feature 1 of 1 ('pond') holds the centre of no pixel", "rows 4.60 to 5.40 and columns 3.60 to 4.40", "mark a point"],
        read_labels,
        path,
        ANYWHERE,
    )


def test_a_feature_on_pixels_without_data_is_named(tmp_path):
    mask = np.zeros((20, 30), bool)
    mask[10, 10] = True
    scene = ArrayScene(np.zeros((1, 20, 30)), mask)
    features = [Annotation(shapely.Point(10.5, 10.5), "a"), Annotation(shapely.box(0, 0, 5, 5), "b")]
    path = write_annotations(Annotations.from_features(features, None), tmp_path / "a.geojson")
    refuse(LabelError, "feature 2 of 2 ('b') marks only pixels without data", read_labels, path, scene)
    raster = write_labels(LabelledPixels.from_arrays([10, 0], [10, 0], [1, 2]), scene.grid, tmp_path / "a.tif")
    refuse(LabelError, "a.tif: class '2' marks only pixels without data", read_labels, raster, scene)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (None, "feature 2 of 2 ('b') has no geometry, expected a point, line or polygon"),
        ({"type": "Polygon", "coordinates": []}, "feature 2 of 2 ('b') has no geometry"),
        (
            {"type": "GeometryCollection", "geometries": [INSIDE, {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}]},
            "feature 2 of 2 ('b') is a GeometryCollection, expected one of Point, LineString",
        ),
        ({"type": "Circle", "coordinates": [1, 2]}, "feature 2 of 2 is a Circle, expected one of Point"),
        ({"type": "Point"}, "feature 2 of 2 has coordinates that make no Point"),
        ({"type": "Point", "coordinates": ["a", "b"]}, "feature 2 of 2 has coordinates that make no Point"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "feature 2 of 2 has coordinates that make no LineString"),
        ({"type": "Point", "coordinates": [10**400, 2]}, "feature 2 of 2 has coordinates that make no Point"),
        ({"type": "Point", "coordinates": [float("nan"), 2]}, "feature 2 of 2 ('b') has"),
    ],
)
def test_a_geometry_that_is_missing_or_unknown(tmp_path, geometry, message):
    path = geojson(tmp_path / "a.geojson", (INSIDE, {"class": "a"}), (geometry, {"class": "b"}))
    refuse(LabelError, message, read_labels, path, SCENE)


def test_a_geometry_collection_or_a_gap_in_a_geopackage(tmp_path):
    shapes = [shapely.Point(2.01, 41.99), shapely.GeometryCollection([shapely.Point(1, 1), shapely.LineString([(1, 1), (2, 2)])])]
    geopandas.GeoDataFrame({"class": ["a", "b"]}, geometry=shapes, crs="EPSG:4326").to_file(tmp_path / "a.gpkg")
    refuse(
        LabelError, "a.gpkg: feature 2 of 2 ('b') is a GeometryCollection, expected one of Point", read_labels, tmp_path / "a.gpkg", SCENE
    )
    geopandas.GeoDataFrame({"class": ["a", "b"]}, geometry=[shapes[0], None], crs="EPSG:4326").to_file(tmp_path / "b.gpkg")
    refuse(LabelError, "b.gpkg: feature 2 of 2 ('b') has no geometry", read_labels, tmp_path / "b.gpkg", SCENE)


def test_several_layers_are_not_guessed_between(tmp_path):
    frame = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[shapely.Point(2.01, 41.99)], crs="EPSG:4326")
    frame.to_file(tmp_path / "a.gpkg", layer="spring")
    frame.to_file(tmp_path / "a.gpkg", layer="summer", mode="a")
    assert len(pyogrio.list_layers(tmp_path / "a.gpkg")) == 2
    refuse(LabelError, "it has layers 'spring', 'summer', expected one, or one called 'labels'", read_labels, tmp_path / "a.gpkg", SCENE)
    frame.to_file(tmp_path / "a.gpkg", layer="labels", mode="a")
    assert len(read_labels(tmp_path / "a.gpkg", SCENE)) == 1


def test_a_table_without_geometry(tmp_path):
    geopandas.pd.DataFrame({"class": ["a"]}).pipe(pyogrio.write_dataframe, tmp_path / "a.gpkg", layer="labels")
    refuse(LabelError, "a.gpkg: its layers 'labels' hold no shapes, expected points", read_labels, tmp_path / "a.gpkg", SCENE)


def test_more_classes_than_ids(tmp_path):
    path = geojson(tmp_path / "a.geojson", *[(INSIDE, {"class": f"plot {i}"}) for i in range(256)])
    refuse(LabelError, "a.geojson: the labels have 256 classes, expected at most 255: 'plot 0', 'plot 1', ...", read_annotations, path)
    path = geojson(tmp_path / "b.geojson", *[(INSIDE, {"class": f"plot {i}"}) for i in range(255)])
    assert read_annotations(path).legend.ids == tuple(range(1, 256))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", 1.5)], "class_id 1.5, expected a whole number"),
        ([("a", 1), ("a", 2)], "feature 2 of 2 ('a') has class_id 2, but an earlier feature gives its class 1"),
        ([("a", 1), ("b", 1)], "feature 2 of 2 ('b') has class_id 1, which is class 'a' already"),
    ],
)
def test_class_ids_that_do_not_go_with_the_classes(tmp_path, rows, message):
    path = geojson(tmp_path / "a.geojson", *[(INSIDE, {"class": name, "class_id": class_id}) for name, class_id in rows])
    refuse(LabelError, message, read_annotations, path)


@pytest.mark.parametrize(
    ("value", "message"), [("wide", "brush_px 'wide', expected a number of pixels"), (0.5, "brush_px 0.5, expected 1 or more pixels")]
)
def test_a_brush_that_is_no_width(tmp_path, value, message):
    path = geojson(tmp_path / "a.geojson", (INSIDE, {"class": "a", "brush_px": value}))
    refuse(LabelError, f"feature 1 of 1 ('a') has {message}", read_labels, path, SCENE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,water\n3,4,land\n", "it has no header: the first line is '1,2,water', expected column names. Add a first line x,y,class."),
        ("east,north,class\n1,2,a\n", "it has columns 'east', 'north', 'class', expected 'x' and 'y', or 'lon' and 'lat'"),
        ("x,x,y,class\n1,1,2,a\n", "several may be the coordinates. Name two with xy=('X', 'Y')"),
        ("lon,lat,class\n480000,4690000,a\n", "line 2 lies at (480000, 4.69e+06), expected degrees of longitude and latitude"),
        ("wkt,class\nPOINT (1,a\n", "line 2 has"),
        ("x,y,class\n1,2,a\n\n3,4b,c\n", "line 4 has y = '4b', expected a number"),
        ("x,y,class\n1,nan,a\n", "line 2 has y = 'nan', expected a number"),
        ("x;y;class\n1.000,5;2;a\n", "line 2 has x = '1.000,5', expected a number"),
        ("x,y,class\n1,2," + "a" * 200_000, "line 2 is not CSV: field larger than field limit"),
        ("x,y,class\n1,2\n", "line 2 has 2 cells, expected 3 as in the header"),
        ("x,y,class\n1,2,\n", "feature 1 of 1 has class = None, expected a class name"),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    refuse(LabelError, ["a.csv: ", message], read_labels, path, SCENE)


def test_an_unknown_crs(tmp_path):
    path = geojson(tmp_path / "a.geojson", (INSIDE, {"class": "a"}))
    for crs in ("EPSG:99999999", "somewhere"):
        refuse(LabelError, f"crs {crs!r} is not known, expected a name such as 'EPSG:32631'", read_labels, path, SCENE, crs=crs)
    member = {"type": "name", "properties": {"name": "EPSG:99999999"}}
    path = geojson(tmp_path / "b.geojson", (INSIDE, {"class": "a"}), crs=member)
    refuse(LabelError, "b.geojson: crs 'EPSG:99999999' is not known", read_labels, path, SCENE)


def test_metres_that_pass_for_degrees(tmp_path):
    path = geojson(tmp_path / "a.geojson", (point(480000, 4.6e6), {"class": "a"}))
    refuse(LabelError, ["feature 1 of 1 lies at (480000, 4.6e+06), expected degrees", "crs='EPSG:...'"], read_labels, path, SCENE)


def test_labels_in_degrees_on_an_image_without_crs(tmp_path):
    path = geojson(tmp_path / "a.geojson", (INSIDE, {"class": "a"}))
    refuse(LabelError, "a.geojson: the labels are in EPSG:4326, but the image has no CRS", read_labels, path, ANYWHERE)


def test_a_series_is_not_an_image(tmp_path):
    path = geojson(tmp_path / "a.geojson", (INSIDE, {"class": "a"}))
    series = Series((ArrayScene(SCENE.data, date=__import__("datetime").date(2020, 1, 1)),))
    refuse(
        LabelError, "scene is a Series, expected one image. Choose one date of a series: series.at('YYYY-MM-DD')", read_labels, path, series
    )


def raster(path, values, **profile):
    shape = values.shape[-2:]
    count = 1 if values.ndim == 2 else len(values)
    profile = {"driver": "GTiff", "crs": SCENE.crs, "transform": rasterio.Affine(*SCENE.transform)} | profile
    with rasterio.open(path, "w", height=shape[0], width=shape[1], count=count, dtype=values.dtype, **profile) as dataset:
        dataset.write(values if values.ndim == 3 else values[None])
    return path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((3, 20, 30), np.uint8), "it has 3 bands, expected one of class ids"),
        (np.zeros((20, 30), np.uint8), "it has no labelled pixel, expected class ids somewhere"),
        (np.arange(600, dtype=np.uint16).reshape(20, 30), "it has 600 different values, expected at most 255 classes"),
        (np.full((20, 30), 1.5, np.float32), "its value at row 0, col 0 is 1.5, expected a class id"),
        (np.ones((30, 20), np.uint8), "it has 30 x 20 pixels, expected 20 x 30 as in the image"),
    ],
)
def test_a_raster_that_holds_no_labels_of_the_image(tmp_path, values, message):
    refuse(LabelError, ["a.tif: ", message], read_labels, raster(tmp_path / "a.tif", values), SCENE)


def test_a_label_raster_on_another_grid(tmp_path):
    values = np.ones((20, 30), np.uint8)
    a, b, c, d, e, f = SCENE.transform
    shifted = raster(tmp_path / "a.tif", values, transform=rasterio.Affine(a, b, c + a / 2, d, e, f))
    refuse(LabelError, ["a.tif: its transform is", "as in the image. Warp the label raster"], read_labels, shifted, SCENE)
    elsewhere = raster(tmp_path / "b.tif", values, crs="EPSG:32631")
    refuse(LabelError, "its CRS is EPSG:32631, expected EPSG:4326 as in the image", read_labels, elsewhere, SCENE)
    nearly = raster(tmp_path / "c.tif", values, transform=rasterio.Affine(a, b, c + a * 1e-6, d, e, f))
    assert len(read_labels(nearly, SCENE)) == 600


def test_a_raster_is_no_shapes(tmp_path):
    path = raster(tmp_path / "a.tif", np.ones((20, 30), np.uint8))
    refuse(LabelError, "a.tif: it is a raster, which holds pixels and no shapes. Read it with read_labels.", read_annotations, path)


BOX = Annotations.from_features([Annotation(shapely.box(0, 0, 1, 1), "a")], "EPSG:4326")


@pytest.mark.parametrize(
    ("annotations", "name", "message"),
    [
        (BOX, "a.csv", "feature 1 of 1 ('a') is a Polygon, but CSV holds points only. Write a GeoPackage or GeoJSON"),
        (BOX, "a.tif", "a.tif is a raster, which holds pixels and no shapes"),
        (BOX, "a.doc", "a.doc ends in '.doc', expected .geojson, .json, .gpkg, .shp, .csv, .tif"),
        (BOX, "no/a.gpkg", "is not there. Make the folder first."),
        (
            Annotations.from_features([*BOX.features, Annotation(shapely.Point(0, 0), "a")], None),
            "a.shp",
            "the labels are Point, Polygon, but a Shapefile holds one kind of geometry. Write a GeoPackage",
        ),
        (
            Annotations.from_features([Annotation(shapely.Point(0, 0), "a", properties={"long property": 1})], None),
            "a.shp",
            "property 'long property' has a name of more than 10 bytes",
        ),
        (Annotations.from_features([Annotation(shapely.Point(0, 0), "ä" * 128)], None), "a.shp", "a Shapefile cuts text at 254 bytes"),
        (Annotations.from_features([Annotation(shapely.Point(0, 0), "a ")], None), "a.shp", "has class = 'a ': a Shapefile cuts text"),
        (Annotations.from_features([], None), "a.shp", "there is no feature, but a Shapefile"),
        (
            Annotations.from_features([Annotation(shapely.Point(0, 0), "mare")], "IAU_2015:30100"),
            "a.geojson",
            "no transformation leads from IAU_2015:30100 to EPSG:4326",
        ),
        (
            Annotations.from_features([Annotation(shapely.Point(1e300, 0), "a")], "EPSG:32631"),
            "a.geojson",
            "feature 1 of 1 ('a') has no place in degrees on WGS 84",
        ),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_leaves_nothing_behind(tmp_path, annotations, name, message):
    refuse(OutputError, message, write_annotations, annotations, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "shp", "csv", "tif"])
def test_a_file_that_is_there_is_kept_unless_told(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    first, second = LabelledPixels.from_arrays([1], [1], [1]), LabelledPixels.from_arrays([2], [2], [2])
    write_labels(first, SCENE.grid, path)
    before = path.read_bytes()
    refuse(OutputError, f"a.{suffix} is there already, expected a new name", write_labels, second, SCENE.grid, path)
    assert path.read_bytes() == before
    write_labels(second, SCENE.grid, path, overwrite=True)
    assert read_labels(path, SCENE).legend.names == ("2",)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_write_that_fails_half_way_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.geojson"
    write_annotations(BOX, path)
    before = path.read_bytes()

    def full(self, *_, **__):
        self.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "write_text", full)
    refuse(
        OutputError, "a.geojson cannot be written: No space left on device. Check free space", write_annotations, BOX, path, overwrite=True
    )
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_labels_that_are_none_or_off_the_grid(tmp_path):
    none = LabelledPixels.from_arrays([], [], [])
    refuse(LabelError, "there is no labelled pixel to write to a.gpkg", write_labels, none, SCENE.grid, tmp_path / "a.gpkg")
    off = LabelledPixels.from_arrays([0, 20], [0, 3], [1, 1])
    message = "labelled pixel (row 20, col 3) lies outside the grid of 20 x 30 pixels"
    for path in (tmp_path / "a.gpkg", tmp_path / "a.tif"):
        refuse(LabelError, message, write_labels, off, SCENE.grid, path)
    refuse(LabelError, message, to_annotations, off, Grid(20, 30, SCENE.transform, None))


def test_shapes_become_a_raster_on_a_scene_only(tmp_path):
    write_annotations(BOX, tmp_path / "a.gpkg")
    refuse(
        LabelError,
        "a.gpkg holds shapes, which become pixels on an image only. Give the scene",
        convert,
        tmp_path / "a.gpkg",
        tmp_path / "a.tif",
    )
