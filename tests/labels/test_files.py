"""Label files: what is written is read back, and what others wrote is understood."""

import json
import os
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelkin.labels import (
    Annotation,
    Annotations,
    convert,
    rasterize,
    read_annotations,
    read_labels,
    to_annotations,
    write_annotations,
    write_labels,
)
from pixelkin.scene import ArrayScene
from pixelkin.types import LabelledPixels, Legend, LegendClass

HEIGHT, WIDTH = 17, 23
DATA = Path(os.environ.get("PIXELKIN_DATA", Path(__file__).parents[3] / "shared" / "data"))
VECTORS = ["geojson", "gpkg", "shp", "csv"]
GRIDS = {
    "utm": ((10.0, 0.0, 480000.0, 0.0, -10.0, 4690000.0), "EPSG:32631"),
    "degrees": ((9e-5, 0.0, 2.77, 0.0, -9e-5, 42.36), "EPSG:4326"),
    "rotated": ((0.3, 0.2, 480000.0, 0.2, -0.3, 4690000.0), "EPSG:32631"),
    "lambert": ((25.0, 0.0, 650000.0, 0.0, -25.0, 6650000.0), "EPSG:2154"),
    "no crs": ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None),
    "no crs, placed": ((2.5, 0.0, 1000.0, 0.0, -2.5, 9000.0), None),
}
OTHER = {"EPSG:32631": "EPSG:4326", "EPSG:4326": "EPSG:32631", "EPSG:2154": "EPSG:32631"}


def scene_on(name):
    transform, crs = GRIDS[name]
    return ArrayScene(np.zeros((1, HEIGHT, WIDTH), np.uint8), transform=transform, crs=crs)


@st.composite
def legends(draw):
    # A Shapefile drops spaces at the end of text, and no format holds text of control characters or half characters.
    text = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
    names = draw(st.lists(text, min_size=1, max_size=5, unique=True))
    ids = sorted(draw(st.lists(st.integers(1, 255), min_size=len(names), max_size=len(names), unique=True)))
    channel = st.integers(0, 255)
    return Legend(tuple(LegendClass(i, name, draw(st.tuples(channel, channel, channel))) for i, name in zip(ids, names, strict=True)))


@st.composite
def labelled_pixels(draw):
    legend = draw(legends())
    pixels = draw(st.lists(st.integers(0, HEIGHT * WIDTH - 1), min_size=len(legend), max_size=40, unique=True))
    # Every class has a pixel: Shapefile and CSV have no place for a class without one.
    classes = draw(st.permutations([*legend.ids, *(draw(st.sampled_from(legend.ids)) for _ in pixels[len(legend) :])]))
    rows, cols = np.divmod(pixels, WIDTH)
    return LabelledPixels.from_arrays(rows, cols, classes, legend)


def assert_same(found, expected):
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.cols, expected.cols)
    np.testing.assert_array_equal(found.classes, expected.classes)
    assert found.legend == expected.legend
    assert found.hash == expected.hash


def row_major(labels):
    return labels.take(np.lexsort((labels.cols, labels.rows)))


@pytest.mark.parametrize("suffix", VECTORS)
@settings(max_examples=20, deadline=None)
@given(labelled_pixels(), st.sampled_from(list(GRIDS)))
def test_every_labelled_pixel_comes_back_from_every_vector_format(suffix, labels, grid):
    scene = scene_on(grid)
    with tempfile.TemporaryDirectory() as folder:
        path = write_labels(labels, scene.grid, Path(folder) / f"labels.{suffix}")
        assert_same(read_labels(path, scene), labels)


@settings(max_examples=20, deadline=None)
@given(labelled_pixels(), st.sampled_from(list(GRIDS)))
def test_every_labelled_pixel_comes_back_from_a_label_raster(labels, grid):
    scene = scene_on(grid)
    with tempfile.TemporaryDirectory() as folder:
        path = write_labels(labels, scene.grid, Path(folder) / "labels.tif")
        assert_same(read_labels(path, scene), row_major(labels))


@pytest.mark.parametrize("grid", ["utm", "degrees", "rotated", "lambert"])
@settings(max_examples=4, deadline=None)
@given(labels=labelled_pixels())
def test_labels_that_another_program_moved_to_another_crs_keep_their_pixels(grid, labels):
    scene = scene_on(grid)
    with tempfile.TemporaryDirectory() as folder:
        path = write_labels(labels, scene.grid, Path(folder) / "labels.gpkg")
        geopandas.read_file(path).to_crs(OTHER[scene.crs]).to_file(Path(folder) / "moved.gpkg", layer="labels")
        assert_same(read_labels(Path(folder) / "moved.gpkg", scene), labels)


@pytest.mark.parametrize("first", [*VECTORS, "tif"])
@pytest.mark.parametrize("second", [*VECTORS, "tif"])
def test_converting_there_and_back_loses_no_pixel(tmp_path, first, second):
    scene = scene_on("utm")
    legend = Legend((LegendClass(3, "Wald, naß", (0, 90, 0)), LegendClass(200, 'the "sea"', (1, 2, 250))))
    labels = row_major(LabelledPixels.from_arrays([5, 0, HEIGHT - 1, 5], [7, 0, WIDTH - 1, 8], [200, 3, 200, 3], legend))
    start = write_labels(labels, scene.grid, tmp_path / f"start.{first}")
    there = convert(start, tmp_path / f"there.{second}", scene=scene)
    back = convert(there, tmp_path / f"back.{first}", scene=scene)
    assert_same(read_labels(back, scene), labels)


def test_converting_shapes_without_a_scene_keeps_them_shapes(tmp_path):
    write_annotations(all_kinds(), tmp_path / "drawn.gpkg")
    convert(tmp_path / "drawn.gpkg", tmp_path / "copy.gpkg")
    assert read_annotations(tmp_path / "copy.gpkg") == read_annotations(tmp_path / "drawn.gpkg")


def test_a_label_raster_needs_no_scene_to_become_points(tmp_path):
    scene = scene_on("lambert")
    labels = LabelledPixels.from_arrays([1, 2], [3, 4], [1, 2])
    write_labels(labels, scene.grid, tmp_path / "labels.tif")
    convert(tmp_path / "labels.tif", tmp_path / "labels.gpkg")
    assert read_annotations(tmp_path / "labels.gpkg").crs == "EPSG:2154"
    assert_same(read_labels(tmp_path / "labels.gpkg", scene), labels)


def all_kinds(crs="EPSG:32631"):
    square = shapely.box(480010, 4689900, 480050, 4689950)
    features = [
        Annotation(
            shapely.Point(480005.25, 4689995), "water", (1, 2, 3), 3.5, 1, {"note": "né à 5 h", "depth": 4, "sure": True, "share": 0.1}
        ),
        Annotation(shapely.LineString([(480010, 4689990), (480030, 4689970.125)]), "road", (200, 100, 0), 2.0, 2, {"depth": 7}),
        Annotation(square.difference(square.buffer(-10)), "2", (9, 9, 9), None, 3, {"note": "ring"}),
        Annotation(shapely.MultiPoint([(480100, 4689900), (480110, 4689910)]), "water", (1, 2, 3), None, 4),
        Annotation(shapely.MultiLineString([[(480100, 4689950), (480110, 4689950)]] * 2), "road", (200, 100, 0), None, 5),
        Annotation(shapely.MultiPolygon([square, shapely.box(480060, 4689900, 480070, 4689950)]), "2", (9, 9, 9), None, 6, {"sure": False}),
    ]
    legend = Legend((LegendClass(2, "2", (9, 9, 9)), LegendClass(7, "never used", (5, 5, 5))))
    return Annotations.from_features(features, crs, legend)


def test_a_geopackage_keeps_everything_that_was_drawn(tmp_path):
    drawn = all_kinds()
    found = read_annotations(write_annotations(drawn, tmp_path / "drawn.gpkg"))
    assert found == drawn
    assert [type(value) for value in found.features[0].properties.values()] == [str, int, bool, float]
    assert found.legend.names == ("2", "never used", "water", "road")
    assert found.legend.ids == (2, 7, 1, 3)


def test_geojson_keeps_everything_in_degrees(tmp_path):
    drawn = all_kinds()
    found = read_annotations(write_annotations(drawn, tmp_path / "drawn.geojson"))
    assert found.crs == "EPSG:4326"
    assert found.legend == drawn.legend
    back = geopandas.GeoSeries(list(found.geometries), crs="EPSG:4326").to_crs("EPSG:32631")
    for before, after, shape in zip(drawn.features, found.features, back, strict=True):
        assert (after.class_name, after.color, after.brush_px, after.fid, after.properties) == (
            before.class_name,
            before.color,
            before.brush_px,
            before.fid,
            before.properties,
        )
        assert shape.normalize().equals_exact(before.geometry.normalize(), 1e-6)


def test_geojson_of_an_image_without_crs_says_so_and_keeps_its_coordinates(tmp_path):
    path = write_annotations(all_kinds(crs=None), tmp_path / "drawn.geojson")
    assert json.loads(path.read_text("utf-8"))["crs"] is None
    found = read_annotations(path)
    assert found.crs is None
    for before, after in zip(all_kinds().geometries, found.geometries, strict=True):
        assert after.normalize() == before.normalize()


def test_written_geojson_is_what_rfc_7946_asks_for(tmp_path):
    path = write_annotations(all_kinds(), tmp_path / "drawn.geojson")
    content = json.loads(path.read_text("utf-8"))
    assert "crs" not in content
    ring = shapely.geometry.shape(content["features"][2]["geometry"])
    assert ring.exterior.is_ccw
    assert not ring.interiors[0].is_ccw
    frame = geopandas.read_file(path)
    assert frame.crs == "EPSG:4326"
    assert list(frame["class"]) == ["water", "road", "2", "water", "road", "2"]


def test_long_edges_stay_on_their_course_in_geojson(tmp_path):
    field = shapely.box(480000, 4600000, 520000, 4640000)
    drawn = Annotations.from_features([Annotation(field, "field")], "EPSG:32631")
    found = read_annotations(write_annotations(drawn, tmp_path / "field.geojson"))
    back = geopandas.GeoSeries(list(found.geometries), crs="EPSG:4326").segmentize(1e-4).to_crs("EPSG:32631")[0]
    assert shapely.hausdorff_distance(back.exterior, field.exterior.segmentize(100)) < 100
    assert back.symmetric_difference(field).area / field.length < 0.02  # metres astray, on average


def test_a_shapefile_keeps_lines_of_one_and_several_parts(tmp_path):
    kinds = all_kinds()
    drawn = Annotations.from_features([kinds.features[1], kinds.features[4]], "EPSG:32631")
    found = read_annotations(write_annotations(drawn, tmp_path / "lines.shp"))
    assert [feature.class_name for feature in found.features] == ["road", "road"]
    assert [feature.brush_px for feature in found.features] == [2.0, None]
    assert found.features[0].properties == {"depth": 7}
    assert list(found.geometries) == list(drawn.geometries)


def test_annotations_without_a_feature_survive_with_their_legend(tmp_path):
    legend = Legend.from_names(["water", "land"])
    for suffix in ("gpkg", "geojson"):
        found = read_annotations(write_annotations(Annotations((), "EPSG:32631", legend), tmp_path / f"none.{suffix}"))
        assert found.features == ()
        assert found.legend == legend


def test_properties_of_the_user_never_take_the_place_of_ours(tmp_path):
    mine = {"class": "kept", "fid": 12, "Color": "blue", "GEOM": 1.5, "tags": ["a", {"b": 1}], "mixed": 1}
    features = [
        Annotation(shapely.Point(0, 0), "water", None, None, None, mine),
        Annotation(shapely.Point(1, 1), "land", properties={"mixed": "x"}),
    ]
    found = read_annotations(write_annotations(Annotations.from_features(features, "EPSG:32631"), tmp_path / "mine.gpkg"))
    assert [feature.class_name for feature in found.features] == ["water", "land"]
    assert found.features[0].properties == {
        "class_": "kept",
        "fid_": 12,
        "Color_": "blue",
        "GEOM_": 1.5,
        "tags": '["a", {"b": 1}]',
        "mixed": "1",
    }
    assert found.features[1].properties == {"mixed": "x"}


def geojson(path, *features, **members):
    entries = [{"type": "Feature", "properties": properties, "geometry": geometry} for geometry, properties in features]
    path.write_text(json.dumps({"type": "FeatureCollection", **members, "features": entries}), "utf-8")
    return path


def point(x, y):
    return {"type": "Point", "coordinates": [x, y]}


def test_a_legacy_crs_member_is_honoured(tmp_path):
    scene = scene_on("utm")
    x, y = scene.grid.xy(4, 6)
    member = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    path = geojson(tmp_path / "utm.geojson", (point(x, y), {"class": "water"}), crs=member)
    assert read_annotations(path).crs == "EPSG:32631"
    labels = read_labels(path, scene)
    assert (labels.rows[0], labels.cols[0]) == (4, 6)


def test_the_callers_crs_comes_before_the_files(tmp_path):
    scene = scene_on("utm")
    path = geojson(tmp_path / "utm.geojson", (point(*scene.grid.xy(4, 6)), {"class": "water"}))
    labels = read_labels(path, scene, crs="EPSG:32631")
    assert (labels.rows[0], labels.cols[0]) == (4, 6)


@pytest.mark.parametrize(
    ("values", "names", "ids"),
    [
        ([3, 1, 3], ["3", "1"], (3, 1)),
        ([3.0, 2.5], ["3", "2.5"], (3, 1)),
        (["sea", 2, "sand"], ["sea", "2", "sand"], (1, 2, 3)),
        ([311, 312], ["311", "312"], (1, 2)),
        ([0, 1], ["0", "1"], (2, 1)),
        ([True, False], ["true", "false"], (1, 2)),
        (["07", "7"], ["07", "7"], (1, 7)),
    ],
)
def test_classes_are_text_and_whole_numbers_keep_their_ids(tmp_path, values, names, ids):
    path = geojson(tmp_path / "a.geojson", *[(point(2.77, 42), {"class": value}) for value in values])
    legend = read_annotations(path).legend
    assert list(legend.names) == names
    assert legend.ids == ids


@pytest.mark.parametrize("name", ["CLASS", "Label", "name", "category", "class_name", "class_id"])
def test_the_class_is_found_under_its_usual_names(tmp_path, name):
    path = geojson(tmp_path / "a.geojson", (point(2, 42), {name: 5, "area": 1.5}))
    annotation = read_annotations(path).features[0]
    assert annotation.class_name == "5"
    assert annotation.properties == {"area": 1.5}


@pytest.mark.parametrize("name", ["color", "colour", "fill", "Fill"])
def test_colours_are_kept(tmp_path, name):
    path = geojson(
        tmp_path / "a.geojson", (point(2, 42), {"class": "water", name: "#0A7bff"}), (point(2, 42), {"class": "land", name: "red"})
    )
    annotations = read_annotations(path)
    assert annotations.features[0].color == (10, 123, 255)
    assert annotations.legend.by_name("water").color == (10, 123, 255)
    assert annotations.features[1].color is None
    assert annotations.features[1].properties == {name: "red"}


def test_a_class_added_in_another_program_joins_the_legend(tmp_path):
    path = write_annotations(all_kinds(), tmp_path / "drawn.gpkg")
    frame = geopandas.read_file(path)
    frame.loc[0, ["class", "class_id", "color"]] = ["mud", None, None]
    frame.to_file(tmp_path / "edited.gpkg", layer="labels")
    assert read_annotations(tmp_path / "edited.gpkg").legend.by_name("mud").id not in (2, 3)


@pytest.mark.parametrize(
    "text",
    ["x,y,class\n480065,4689955,water\n", "\ufeffclass; y; X\r\nwater; 4689955; 480065\r\n", "\n\nX\tY\tlabel\n480065\t4689955\twater\n\n"],
)
def test_csv_of_any_usual_kind(tmp_path, text):
    path = tmp_path / "points.csv"
    path.write_text(text, "utf-8", newline="")
    labels = read_labels(path, scene_on("utm"))
    assert (labels.rows.tolist(), labels.cols.tolist(), labels.legend.names) == ([4], [6], ("water",))


def test_csv_holds_colour_brush_and_other_columns(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text('x,y,class,color,brush_px,note\n1,2,"a, b",#ff0000,3,\n4,5,c,,,wet\n')
    first, second = read_annotations(path, crs="EPSG:32631").features
    assert first == Annotation(shapely.Point(1, 2), "a, b", (255, 0, 0), 3.0)
    assert second == Annotation(shapely.Point(4, 5), "c", properties={"note": "wet"})


def test_spaces_after_commas_are_no_part_of_a_class_in_csv_but_those_of_a_class_stay(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("x, y, class\n1, 2, water\n")
    assert read_annotations(path).legend.names == ("water",)
    spaced = Annotations.from_features([Annotation(shapely.Point(1, 2), "  deep water ")], None)
    assert read_annotations(write_annotations(spaced, tmp_path / "spaced.csv")).legend.names == ("  deep water ",)


def test_pixels_without_data_are_never_labelled():
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[:, 10:] = False
    scene = ArrayScene(np.zeros((1, HEIGHT, WIDTH)), mask)
    annotations = Annotations.from_features([Annotation(shapely.box(8, 3, 12, 5), "water")], None)
    with tempfile.TemporaryDirectory() as folder:
        path = write_annotations(annotations, Path(folder) / "a.geojson")
        labels = read_labels(path, scene)
        assert len(rasterize(annotations, scene.grid)) == 8
        assert list(zip(labels.rows.tolist(), labels.cols.tolist(), strict=True)) == [(3, 8), (3, 9), (4, 8), (4, 9)]
        raster = write_labels(rasterize(annotations, scene.grid), scene.grid, Path(folder) / "a.tif")
        assert_same(read_labels(raster, scene), labels)


def test_validity_is_read_around_the_marks_only():
    class Watched(ArrayScene):
        def read(self, window=None):
            windows.append(window)
            return super().read(window)

    windows = []
    valid = np.random.default_rng(0).random((700, 900)) < 0.5
    scene = Watched(np.zeros((1, 700, 900), np.uint8), valid)
    rows, cols = np.array([0, 255, 256, 699, 3]), np.array([0, 255, 256, 899, 700])
    valid[rows, cols] = [True, False, True, True, True]
    labels = LabelledPixels.from_arrays(rows, cols, [1] * 5)
    with tempfile.TemporaryDirectory() as folder:
        path = write_labels(labels, scene.grid, Path(folder) / "all.tif")
        kept = read_labels(path, scene)
    assert list(zip(kept.rows.tolist(), kept.cols.tolist(), strict=True)) == [(0, 0), (3, 700), (256, 256), (699, 899)]
    assert len(windows) == 4
    assert sum(window.height * window.width for window in windows) == 256 * 256 + 3


def label_raster(path, values, **profile):
    profile = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype} | profile
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values, 1)
    return path


def test_a_label_raster_of_another_program_brings_its_names_and_colours(tmp_path):
    scene = scene_on("utm")
    values = np.zeros((HEIGHT, WIDTH), np.int16)
    values[3, 4], values[5, 6], values[7, 8], values[0, 0] = 2, 1, 9, -99
    path = label_raster(tmp_path / "l.tif", values, crs=scene.crs, transform=rasterio.Affine(*scene.transform), nodata=-99)
    (tmp_path / "l.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><CategoryNames><Category>none</Category><Category>water</Category><Category>naß</Category>'
        '</CategoryNames><ColorTable><Entry c1="0" c2="0" c3="0" c4="0"/><Entry c1="1" c2="2" c3="3" c4="255"/></ColorTable>'
        "</PAMRasterBand></PAMDataset>",
        "utf-8",
    )
    with pytest.warns(UserWarning, match=r"l.tif: value 0 is taken as not labelled, 387 pixels"):
        labels = read_labels(path, scene)
    assert list(zip(labels.rows.tolist(), labels.cols.tolist(), labels.classes.tolist(), strict=True)) == [(3, 4, 2), (5, 6, 1), (7, 8, 9)]
    assert labels.legend.names == ("water", "naß", "9")
    assert labels.legend.ids == (1, 2, 9)
    assert labels.legend.by_id(1).color == (1, 2, 3)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_painted_png_of_the_same_size_lies_on_the_image(tmp_path):
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[3, 4], values[5, 6] = 2, 1
    path = label_raster(tmp_path / "l.png", values, driver="PNG")
    with pytest.warns(UserWarning, match="value 0 is taken as not labelled, 389 pixels"):
        labels = read_labels(path, scene_on("degrees"))
    assert (labels.rows.tolist(), labels.cols.tolist(), labels.classes.tolist()) == ([3, 5], [4, 6], [2, 1])


@pytest.mark.skipif(not (DATA / "boadella").is_dir(), reason=f"no real imagery at {DATA}; set PIXELKIN_DATA")
def test_a_real_label_raster_keeps_every_pixel_as_points_and_back(tmp_path):
    path = DATA / "boadella" / "2020-06-21_water.tif"
    with rasterio.open(path) as dataset:
        values, transform = dataset.read(1), tuple(dataset.transform)[:6]
    scene = ArrayScene(values[None], transform=transform, crs="EPSG:4326")
    # A binary mask that declares no no-data value: 0 is a class.
    with pytest.warns(UserWarning, match="value 0 is taken as a class, 113,802 pixels"):
        convert(path, tmp_path / "water.gpkg", names={0: "land", 1: "water"})
    convert(tmp_path / "water.gpkg", tmp_path / "water.tif", scene=scene)
    assert {entry.name: entry.id for entry in read_labels(tmp_path / "water.tif", scene).legend} == {"water": 1, "land": 2}
    with rasterio.open(tmp_path / "water.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1) == 1, values == 1)
        assert tuple(dataset.transform)[:6] == transform


def test_one_class_alone_can_be_read(tmp_path):
    path = geojson(tmp_path / "a.geojson", (point(*scene_on("degrees").grid.xy(1, 2)), {"class": "water"}))
    assert read_labels(path, scene_on("degrees")).legend.names == ("water",)


def test_overwriting_replaces_all_of_a_shapefile_and_leaves_nothing_behind(tmp_path):
    labels = LabelledPixels.from_arrays([1], [2], [3])
    write_labels(labels, scene_on("utm").grid, tmp_path / "l.shp")
    assert (tmp_path / "l.prj").exists()
    write_labels(labels, scene_on("no crs").grid, tmp_path / "l.shp", overwrite=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["l.cpg", "l.dbf", "l.shp", "l.shx"]
    assert_same(read_labels(tmp_path / "l.shp", scene_on("no crs")), labels)


def test_points_of_labels_lie_at_pixel_centres():
    scene = scene_on("rotated")
    annotations = to_annotations(LabelledPixels.from_arrays([3], [5], [1]), scene.grid)
    assert annotations.features[0].geometry == shapely.Point(scene.grid.xy(3, 5))
    assert annotations.crs == "EPSG:32631"
