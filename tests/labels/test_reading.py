"""What label files of other programs mean: layers, numbers as classes, the value 0, samples outside, other columns."""

import json
import sqlite3

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from pixelkin.errors import LabelError, OutputError
from pixelkin.labels import convert, load_labels, read_annotations, read_labels
from pixelkin.scene import ArrayScene
from pixelkin.types import Grid, LabelledPixels, Legend

TRANSFORM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_700_000.0)
MASK = np.ones((10, 12), bool)
MASK[9] = False
SCENE = ArrayScene(np.zeros((1, 10, 12), np.uint8), MASK, transform=TRANSFORM, crs="EPSG:32631")
LEGEND = Legend.from_names(["dark", "bright"])


def frame(**columns):
    points = [shapely.Point(*SCENE.grid.xy(row, row)) for row in range(len(next(iter(columns.values()))))]
    return geopandas.GeoDataFrame(columns, geometry=points, crs="EPSG:32631")


def raster(path, values, **profile):
    profile = {"crs": "EPSG:32631", "transform": rasterio.Affine(*TRANSFORM)} | profile
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype, **profile
    ) as dataset:
        dataset.write(values, 1)
    return path


def points_csv(path, text):
    path.write_text(text, "utf-8")
    return path


# Layers


def test_the_styles_that_qgis_keeps_in_a_geopackage_are_no_labels(tmp_path):
    path = tmp_path / "roi.gpkg"
    frame(**{"class": ["dark", "bright"]}).to_file(path, layer="roi")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, f_table_name TEXT, styleQML TEXT)")
        connection.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )
    connection.close()
    assert read_labels(path, SCENE).legend.names == ("dark", "bright")


@pytest.mark.parametrize("name", ["{}|layername=summer", "{}|layerid=1", "{}|layerid=1|layername=summer"])
def test_a_layer_is_named_as_qgis_names_it_or_by_argument(tmp_path, name):
    path = tmp_path / "a.gpkg"
    frame(**{"class": ["dark"]}).to_file(path, layer="spring")
    frame(**{"class": ["bright"]}).to_file(path, layer="summer", mode="a")
    assert read_labels(name.format(path), SCENE).legend.names == ("bright",)
    assert read_labels(path, SCENE, layer="summer").legend.names == ("bright",)
    with pytest.raises(LabelError, match=r"it has no layer 'autumn' of shapes, expected one of 'spring', 'summer'. Choose one with layer="):
        read_labels(path, SCENE, layer="autumn")
    with pytest.raises(LabelError, match="is named with subset=x > 1, expected layername=NAME"):
        read_labels(f"{path}|layername=summer|subset=x > 1", SCENE)


def test_a_layer_without_features_is_passed_over_with_a_word(tmp_path):
    path = tmp_path / "a.gpkg"
    frame(**{"class": ["dark"]}).iloc[:0].to_file(path, layer="spring")
    frame(**{"class": ["bright"]}).to_file(path, layer="summer", mode="a")
    loaded = load_labels(path, SCENE)
    assert loaded.labels.legend.names == ("bright",)
    assert loaded.notes == ("a.gpkg: layer 'summer' is read, the only one of 2 that has features.",)


@pytest.mark.parametrize(
    "kind", ["POINT ZM (500005 4699995 3 4)", "POINT Z (500005 4699995 3)", "GEOMETRYCOLLECTION (POINT (500005 4699995))"]
)
def test_heights_measures_and_collections_of_one_kind_are_read(tmp_path, kind):
    found = points_csv(tmp_path / "a.csv", f'WKT,class\n"{kind}",dark\n')
    labels = read_labels(found, SCENE)
    assert (labels.rows.tolist(), labels.cols.tolist()) == ([0], [0])


def test_our_own_polygons_are_labels_with_the_maps_ids(tmp_path):
    from pixelkin.maps import write_polygons
    from pixelkin.segmentation import Segmentation

    classes = np.array([[2, 2, 1], [2, 1, 1]], np.uint8)
    segmentation = Segmentation(classes, np.ones((2, 3), np.float32), classes > 0, LEGEND, Grid(2, 3, TRANSFORM, "EPSG:32631"))
    labels = load_labels(write_polygons(segmentation, tmp_path / "map.gpkg"), segmentation.grid).labels
    np.testing.assert_array_equal(labels.to_mask((2, 3)), [[2, 2, 1], [2, 1, 1]])
    assert {entry.id: entry.name for entry in labels.legend} == {1: "dark", 2: "bright"}


def test_marks_of_a_project_are_labels_as_the_page_shows_them(tmp_path):
    from pixelkin.session import AddClass, AddMark, Session, open_project

    image = raster(tmp_path / "field.tif", np.arange(120, dtype=np.uint8).reshape(10, 12) + 1)
    session = Session(open_project([image]), train=False)
    session.edit([AddClass("dark"), AddClass("bright")])
    box = {"type": "Polygon", "coordinates": [[[0, 0], [6, 0], [6, 6], [0, 6], [0, 0]]]}
    session.edit([
        AddMark("field", 1, "box", box),
        AddMark("field", 2, "point", {"type": "Point", "coordinates": [2.5, 2.5]}, 3.0),
        AddMark("field", 0, "point", {"type": "Point", "coordinates": [5.5, 5.5]}),
    ])  # fmt: skip
    shown = session.state.labelled_pixels("field")
    folder = session.project.folder
    session.close()
    found = load_labels(folder / "labels.gpkg", SCENE.grid).labels
    np.testing.assert_array_equal(found.to_mask((10, 12)), shown.to_mask((10, 12)))
    assert found.legend.names == ("dark", "bright")
    assert found.to_mask((10, 12))[5, 5] == 0


# Numbers as classes


def test_numbers_that_no_id_can_be_are_kept_as_names_with_a_word(tmp_path):
    frame(**{"class": [311, 112, -1, 0]}).to_file(tmp_path / "a.gpkg", layer="labels")
    loaded = load_labels(tmp_path / "a.gpkg", SCENE)
    assert {entry.name: entry.id for entry in loaded.labels.legend} == {"311": 1, "112": 112, "-1": 2, "0": 3}
    assert loaded.notes == (
        "a.gpkg: class ids run from 1 to 255 and differ, so 311 has id 1, -1 has id 2, 0 has id 3; the class names keep the numbers.",
    )


def test_stated_ids_that_no_id_can_be_are_changed_with_a_word(tmp_path):
    frame(**{"class": ["forest", "urban"], "class_id": [311, 112]}).to_file(tmp_path / "a.gpkg", layer="labels")
    loaded = load_labels(tmp_path / "a.gpkg", SCENE)
    assert {entry.name: entry.id for entry in loaded.labels.legend} == {"forest": 1, "urban": 112}
    assert loaded.notes == ("a.gpkg: class ids run from 1 to 255, so ids are changed: 'forest' 311 = 1.",)


def test_padded_numbers_keep_their_ids_whatever_their_order(tmp_path):
    frame(**{"class": ["02", "01"]}).to_file(tmp_path / "a.gpkg", layer="labels")
    assert {entry.name: entry.id for entry in read_labels(tmp_path / "a.gpkg", SCENE).legend} == {"02": 2, "01": 1}


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint16", "float32", "float64"])
def test_a_raster_of_codes_keeps_them_as_names(tmp_path, dtype):
    values = np.zeros((10, 12), dtype)
    values[:3], values[3:6] = 311, 112
    loaded = load_labels(raster(tmp_path / "a.tif", values, nodata=0), SCENE)
    assert {entry.name: entry.id for entry in loaded.labels.legend} == {"311": 1, "112": 112}
    assert len(loaded.labels) == 72
    assert "311 has id 1" in loaded.notes[0]


def test_names_can_be_given_for_numbers(tmp_path):
    values = np.zeros((10, 12), np.uint8)
    values[2:6] = 1
    names = {0: "land", 1: "water"}
    loaded = load_labels(raster(tmp_path / "a.tif", values), SCENE, names=names)
    assert {entry.name: entry.id for entry in loaded.labels.legend} == {"water": 1, "land": 2}
    assert (loaded.labels.classes == 2).sum() == 5 * 12  # without the row that has no data
    frame(**{"class": [1, 0]}).to_file(tmp_path / "a.gpkg", layer="labels")
    assert read_labels(tmp_path / "a.gpkg", SCENE, names=names).legend.names == ("water", "land")


# The value 0


def count(path, **options):
    loaded = load_labels(path, SCENE.grid, **options)
    return {entry.name: int((loaded.labels.classes == entry.id).sum()) for entry in loaded.labels.legend}, " ".join(loaded.notes)


@pytest.mark.parametrize(
    ("values", "nodata", "counts", "word"),
    [
        ([0, 1, 255], 255, {"0": 40, "1": 40}, "value 0 is taken as a class, 40 pixels"),
        ([0, 1, 2], 255, {"0": 40, "1": 40, "2": 40}, "value 0 is taken as a class, 40 pixels"),
        ([0, 1, 1], None, {"0": 40, "1": 80}, "value 0 is taken as a class, 40 pixels"),
        ([0, 255, 255], None, {"0": 40, "255": 80}, "value 0 is taken as a class, 40 pixels"),
        ([0, 1, 2], None, {"1": 40, "2": 40}, "value 0 is taken as not labelled, 40 pixels; where it is a class, name it: names={0: 'NAME'}"),
        ([0, 1, 2], 0, {"1": 40, "2": 40}, ""),
        ([0, 1, -9999], None, {"0": 40, "1": 40}, "40 pixels of value -9999 are taken as not labelled"),
        ([0, 1, -1], None, {"0": 40, "1": 40}, "40 pixels of value -1 are taken as not labelled"),
        ([3, 1, -128], None, {"1": 40, "3": 40}, "40 pixels of value -128 are taken as not labelled"),
        ([0.0, 1.0, np.nan], None, {"0": 40, "1": 40}, "40 pixels that are no finite number (NaN) are taken as not labelled"),
        ([3.0, 1.0, 1e20], None, {"1": 40, "3": 40}, "40 pixels of value 1e+20 are taken as not labelled"),
        ([3.0, 1.0, np.nan], np.nan, {"1": 40, "3": 40}, ""),
    ],
)  # fmt: skip
def test_one_rule_says_what_0_is_and_what_was_left_out_is_counted(tmp_path, values, nodata, counts, word):
    dtype = (
        np.float32
        if any(isinstance(value, float) for value in values)
        else np.uint8
        if min(values) >= 0
        else np.int16
        if min(values) < -128
        else np.int8
    )
    array = np.repeat(np.array(values, dtype), 40).reshape(10, 12)
    found, said = count(raster(tmp_path / "a.tif", array, nodata=nodata))
    assert dict(sorted(found.items())) == counts
    assert word in said
    assert word or not said


def test_a_category_name_makes_0_a_class(tmp_path):
    values = np.repeat(np.array([0, 1, 2], np.uint8), 40).reshape(10, 12)
    path = raster(tmp_path / "a.tif", values)
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><CategoryNames><Category>sea</Category><Category>sand</Category><Category>rock</Category>'
        "</CategoryNames></PAMRasterBand></PAMDataset>"
    )
    assert count(path)[0] == {"sand": 40, "rock": 40, "sea": 40}


# Samples outside


def test_samples_outside_the_image_or_on_no_data_can_be_skipped_with_a_count(tmp_path):
    samples = frame(**{"class": list("abcdefghijk")})  # row 9 has no data, row 10 is outside
    samples.to_file(tmp_path / "a.gpkg", layer="labels")
    with pytest.raises(
        LabelError, match=r"feature 11 of 11 \(id 11, 'k', at 500105, 4699895\) lies outside the image.* with outside='skip'"
    ):
        read_labels(tmp_path / "a.gpkg", SCENE)
    samples.iloc[:10].to_file(tmp_path / "b.gpkg", layer="labels")
    with pytest.raises(LabelError, match=r"feature 10 of 10 \(id 10, 'j', at 500095, 4699905\) marks only pixels without data"):
        read_labels(tmp_path / "b.gpkg", SCENE)
    loaded = load_labels(tmp_path / "a.gpkg", SCENE, outside="skip")
    assert loaded.labels.rows.tolist() == list(range(9))
    assert loaded.notes == ("a.gpkg: 2 of 11 features are left out: 1 outside the image, 1 on pixels without data.",)
    far = ArrayScene(np.zeros((1, 5, 5)), transform=(10.0, 0.0, 0.0, 0.0, -10.0, 0.0), crs="EPSG:32631")
    with pytest.raises(LabelError, match="none of its 11 features marks a pixel with data"):
        load_labels(tmp_path / "a.gpkg", far, outside="skip")


def test_labels_across_the_antimeridian_are_found(tmp_path):
    grid = Grid(10, 20, (0.1, 0.0, 179.0, 0.0, -0.1, 0.0), "EPSG:4326")
    path = points_csv(tmp_path / "a.csv", "lon,lat,class\n179.05,-0.05,a\n-179.95,-0.05,b\n")
    assert load_labels(path, grid).labels.cols.tolist() == [0, 10]


# Classes that look alike


def test_class_names_that_differ_in_case_or_spaces_only_are_pointed_out(tmp_path):
    frame(**{"class": ["Water", "water ", "land"]}).to_file(tmp_path / "a.gpkg", layer="labels")
    loaded = load_labels(tmp_path / "a.gpkg", SCENE)
    assert loaded.labels.legend.names == ("Water", "water ", "land")
    assert "classes 'Water' and 'water ' differ in case, spaces or zeros only" in loaded.notes[0]


# CSV


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("X,Y,class\n500025,4699965,a\n", {}),
        ("easting;northing;class\n500025,0;4699965,0;a\n", {}),
        ("\ufeffPoint_X\tPoint_Y\tlabel\n500025\t4699965\ta\n", {}),
        ("id,east_m,north_m,class\n1,500025,4699965,a\n", {"xy": ("east_m", "NORTH_M")}),
        ("Longitude,Latitude,class\n3.000304,42.452016,a\n", {}),
        ("lat,lon,class\n42.452016,3.000304,a\n", {}),
        ("WKT,class\nPOINT (500025 4699965),a\n", {}),
    ],
)
def test_csv_with_other_columns(tmp_path, text, options):
    labels = read_labels(points_csv(tmp_path / "a.csv", text), SCENE, **options)
    assert (labels.rows.tolist(), labels.cols.tolist()) == ([3], [2])


def test_a_conversion_never_writes_over_the_file_it_reads(tmp_path):
    path = points_csv(tmp_path / "a.csv", "x,y,class\n1,2,a\n")
    with pytest.raises(OutputError, match="An output never replaces an input"):
        convert(path, path, overwrite=True)
    assert read_annotations(path).legend.names == ("a",)


# Joining other classes


def test_labels_join_the_classes_of_a_project_by_id_where_they_have_no_names(tmp_path):
    values = np.repeat(np.array([1, 2, 3], np.uint8), 40).reshape(10, 12)
    loaded = load_labels(raster(tmp_path / "a.tif", values, nodata=0), SCENE, classes=LEGEND, called="the project")
    assert {entry.id: entry.name for entry in loaded.labels.legend} == {1: "dark", 2: "bright", 3: "3"}
    assert loaded.notes == ("a.tif: one side has no class names, so the file and the project are matched by id: 1 = 'dark', 2 = 'bright'.",)


def test_shapes_join_the_classes_of_a_project_by_name_and_may_bring_new_ones(tmp_path):
    content = {"type": "FeatureCollection", "crs": None, "features": [
        {"type": "Feature", "properties": {"class": name}, "geometry": {"type": "Point", "coordinates": list(SCENE.grid.xy(i, i))}}
        for i, name in enumerate(["Bright", "new"])
    ]}  # fmt: skip
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    loaded = load_labels(tmp_path / "a.geojson", SCENE, classes=LEGEND)
    assert [feature.class_name for feature in loaded.annotations.features] == ["bright", "new"]
    assert isinstance(loaded.labels, LabelledPixels)
    assert loaded.labels.legend.names == ("bright", "new")
