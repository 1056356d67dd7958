"""Random and broken inputs: never a traceback, a hang or a leftover; the same pixels and marks give the same map however they are stored.

`make test` tries 300 inputs, the same ones each time. `make fuzz` tries 10,000; FUZZ_EXAMPLES and FUZZ_SEED choose how many, and which.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning
from shapely.affinity import affine_transform

import pixelkin as pk
from pixelkin.errors import PkError
from pixelkin.raster import read_map
from pixelkin.types import LabelledPixels, Window
from tests.fuzz.command import LONGEST_S, held, no_longer_than
from tests.fuzz.world import CRS, MARKS, SIZE, TRANSFORM, copy_of_world, pixels, points, write_image

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
SEED = os.environ.get("FUZZ_SEED")
# An input that fails is printed as it was drawn; FUZZ_SHRINK=1 makes it smaller, which takes minutes.
PHASES = (Phase.generate, Phase.shrink) if os.environ.get("FUZZ_SHRINK") else (Phase.generate,)
Draw = Callable[[st.SearchStrategy[Any]], Any]
pytestmark = pytest.mark.filterwarnings("ignore")


def fuzz(share: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test of this share of all inputs; of a seed's where one is given, else always of the same ones."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.filter_too_much]
        given_test = given(st.data())(test)
        if SEED is not None:
            given_test = seed(int(SEED))(given_test)
        return settings(
            max_examples=max(1, round(EXAMPLES * share)),
            derandomize=SEED is None,
            deadline=None,
            database=None,
            suppress_health_check=quiet,
        )(given_test)

    return decorate


def pick(draw: Draw, *values: Any) -> Any:
    return draw(st.sampled_from(values))


def flags(draw: Draw, choices: list[list[str]], most: int = 3) -> list[str]:
    """Some options of a list."""
    chosen = draw(st.lists(st.sampled_from(range(len(choices))), max_size=most, unique=True))
    return [part for number in chosen for part in choices[number]]


MADE = ("map", "out", "trained", "table", "refs2", "shapes", "pic", "arch")


# --- broken files ----------------------------------------------------------------------------------------------------------

COMMANDS = {
    "image.tif": [["segment", "image.tif", "--raw", "-l", "labels.csv", "-o", "out.tif"], ["info", "image.tif"], ["labels", "check", "labels.csv", "--scene", "image.tif"],
                  ["train", "image.tif", "-o", "trained.safetensors", "--steps", "1", "--patch-size", "7"]],
    "series/2020-03-01.tif": [["segment", "series", "--raw", "-l", "labels.csv", "-o", "out"], ["info", "series"]],
    "model.safetensors": [["segment", "image.tif", "-m", "model.safetensors", "-l", "labels.csv", "-o", "out.tif"], ["info", "model.safetensors"],
                          ["embed", "image.tif", "-m", "model.safetensors", "-o", "arch.zarr"]],
    "refs.safetensors": [["segment", "image.tif", "-m", "model.safetensors", "--references", "refs.safetensors", "-o", "out.tif"], ["info", "refs.safetensors"]],
    "map.tif": [["evaluate", "map.tif", "-t", "labels.csv"], ["info", "map.tif"]],
    "map_confidence.tif": [["evaluate", "map.tif", "-t", "labels.csv"], ["info", "map.tif"]],
    "map.tif.aux.xml": [["evaluate", "map.tif", "-t", "labels.csv"], ["info", "map.tif"]],
    "project/project.json": [["segment", "project", "-o", "out"], ["info", "project"]],
    "project/labels.gpkg": [["segment", "project", "-o", "out"], ["segment", "image.tif", "--raw", "-l", "project/labels.gpkg", "-o", "out.tif"],
                            ["labels", "check", "project/labels.gpkg", "--scene", "image.tif"]],
    **{f"labels.{kind}": [["segment", "image.tif", "--raw", "-l", f"labels.{kind}", "-o", "out.tif"], ["labels", "check", f"labels.{kind}", "--scene", "image.tif"],
                          ["evaluate", "map.tif", "-t", f"labels.{kind}"], ["labels", "convert", f"labels.{kind}", "out.gpkg"],
                          ["labels", "convert", f"labels.{kind}", "out.csv"], ["labels", "convert", f"labels.{kind}", "out.tif", "--scene", "image.tif"]]
       for kind in ("geojson", "gpkg", "shp", "csv", "tif", "fgb")},
    "labels.dbf": [["segment", "image.tif", "--raw", "-l", "labels.shp", "-o", "out.tif"]],
    "polygons.gpkg": [["segment", "image.tif", "--raw", "-l", "polygons.gpkg", "-o", "out.tif"]],
}  # fmt: skip
"""Commands that read a file."""


def damaged(draw: Draw, data: bytes) -> bytes:
    """Bytes with some of them changed, lost, doubled, or replaced."""
    size = len(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, size - 1)))
        kind = pick(draw, "flip", "cut", "drop", "double", "zero", "text", "swap")
        if kind == "flip" and data:
            data = data[:at] + bytes([data[at % len(data)] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "drop":
            data = data[:at] + data[at + draw(st.integers(1, 64)) :]
        elif kind == "double":
            data = data[:at] + data[max(0, at - 40) : at] + data[at:]
        elif kind == "zero":
            data = data[:at] + bytes(draw(st.integers(1, 200))) + data[at + 200 :]
        elif kind == "text":
            word = pick(
                draw,
                b"nan",
                b"-1",
                b"1e400",
                b"null",
                b"[]",
                b"{}",
                b'"',
                b"99999999999",
                b"\xff\xfe",
                b"\x00",
                b"EPSG:0",
                b"0",
                b",",
                b"\n",
            )
            data = data[:at] + word + data[at + len(word) :]
        else:
            other = draw(st.integers(0, max(0, size - 1)))
            data = data[: min(at, other)] + data[max(at, other) :] + data[min(at, other) : max(at, other)]
    return data


@fuzz(0.35)
def test_damaged_files(data):
    draw = data.draw
    with TemporaryDirectory() as name:
        folder = copy_of_world(Path(name))
        target = pick(draw, *COMMANDS)
        args = pick(draw, *COMMANDS[target])
        path = folder / target
        path.write_bytes(damaged(draw, path.read_bytes()))
        with_folder(folder, args)


def with_folder(folder: Path, args: list[str]) -> None:
    """The command in the folder, as a user who works there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        held(folder, *args, made=MADE)
    finally:
        os.chdir(before)


# --- random rasters --------------------------------------------------------------------------------------------------------

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "complex64", "uint64", "int64")
SPECIAL = (0.0, 1.0, -1.0, 255.0, -9999.0, 1e20, -3.4028234663852886e38, 9.969209968386869e36, np.nan, np.inf, 65535.0)


def random_raster(draw: Draw, path: Path) -> Path:
    """Any number of bands and pixels of any type, with holes, odd transforms and coordinate systems."""
    bands, height, width = draw(st.integers(1, 5)), draw(st.integers(1, 45)), draw(st.integers(1, 45))
    dtype = pick(draw, *DTYPES)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    low, high = (0, 200) if np.dtype(dtype).kind == "u" else (-100, 100)
    values = rng.normal(0, 1, (bands, height, width)) * pick(draw, 0, 1, 40, 1e6) + rng.integers(low, high)
    with np.errstate(all="ignore"):
        array = values.astype(dtype)
        special = pick(draw, None, *SPECIAL)
        if special is not None:
            mask = rng.random((bands, height, width)) < pick(draw, 0.01, 0.3, 1.0)
            array[mask] = np.array(special).astype(dtype)
    transform = pick(
        draw, TRANSFORM, rasterio.Affine(10, 0, 500_000, 0, 10, 4_599_600), rasterio.Affine(0, 10, 500_000, -10, 0, 4_600_000),
        rasterio.Affine(7, 7, 500_000, 7, -7, 4_600_000), rasterio.Affine(1e-5, 0, 3, 0, -1e-5, 41), rasterio.Affine(1e9, 0, 0, 0, -1e9, 0),
        rasterio.Affine.identity(), rasterio.Affine(0, 0, 5, 0, 0, 5),
    )  # fmt: skip
    profile: dict[str, Any] = {
        "transform": transform,
        "crs": pick(draw, CRS, CRS, None, "EPSG:4326", "EPSG:3857", "EPSG:4978", "EPSG:5773"),
    }
    nodata = pick(draw, None, 0, 255, -9999, 1e20)
    if nodata is not None and (np.dtype(dtype).kind in "fc" or np.iinfo(dtype).min <= nodata <= np.iinfo(dtype).max):
        profile["nodata"] = nodata
    write_image(path, array, **profile)
    with rasterio.open(path, "r+") as file:
        if draw(st.booleans()):
            file.descriptions = tuple(pick(draw, "red", "", "1", "red", "nir", "ü水") for _ in range(bands))
        if draw(st.booleans()):
            file.scales = (pick(draw, 1.0, 0.0001, 0.0),) * bands
            file.offsets = (pick(draw, 0.0, -0.1, 1000.0),) * bands
    return path


EXTRAS = [
    ["--confidence"], ["--probabilities", "--margin"], ["--entropy"], ["--polygons", "shapes.gpkg"], ["--polygons", "shapes.geojson"], ["--areas", "table.csv"],
    ["--areas", "table.json"], ["--picture", "pic.png"], ["--save-references", "refs2.safetensors"], ["--abstain", "0.9"], ["--method", "nearest"],
    ["--method", "vote"], ["--method", "logistic"], ["--priors", "equal"], ["--overlap", "last"], ["--outside", "skip"], ["--brush", "3"], ["--bands", "1"],
    ["--nodata", "0"], ["--json"],
]  # fmt: skip


@fuzz(0.2)
def test_random_rasters(data):
    draw = data.draw
    with TemporaryDirectory() as name:
        folder = copy_of_world(Path(name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            random_raster(draw, folder / "random.tif")
        command = pick(
            draw, ["segment", "random.tif", "--raw", "-l", "labels.csv", "-o", "out.tif"], ["segment", "random.tif", "--raw", "-l", "random.csv", "-o", "out.tif"],
            ["info", "random.tif"], ["segment", "image.tif", "--raw", "-l", "random.tif", "-o", "out.tif"], ["evaluate", "map.tif", "-t", "random.tif"],
            ["labels", "check", "random.tif", "--scene", "image.tif"], ["train", "random.tif", "-o", "trained.safetensors", "--steps", "1", "--patch-size", "7"],
        )  # fmt: skip
        with rasterio.open(folder / "random.tif") as file:
            at = [file.transform @ (file.width * share, file.height * share) for share in (0.1, 0.9)]
        (folder / "random.csv").write_text("x,y,class\n" + "".join(f"{x},{y},{name}\n" for (x, y), name in zip(at, "ab", strict=True)))
        with_folder(folder, [*command, *(flags(draw, EXTRAS) if command[0] == "segment" else [])])


# --- random labels ---------------------------------------------------------------------------------------------------------

NUMBER = st.one_of(
    st.integers(-50, 50), st.floats(-1e3, 1e3), st.sampled_from([np.nan, np.inf, 1e300, 500_005, 4_599_995, None, "x", True])
)
PAIR = st.one_of(
    st.tuples(st.floats(500_000, 500_400), st.floats(4_599_600, 4_600_000)).map(list),
    st.lists(NUMBER, min_size=0, max_size=4),
    st.just([500_055, 4_599_945]),
)
GEOMETRY = st.one_of(
    st.none(),
    st.builds(dict, type=st.just("Point"), coordinates=PAIR),
    st.builds(dict, type=st.just("MultiPoint"), coordinates=st.lists(PAIR, max_size=3)),
    st.builds(dict, type=st.just("LineString"), coordinates=st.lists(PAIR, max_size=4)),
    st.builds(
        dict, type=st.just("Polygon"), coordinates=st.lists(st.lists(PAIR, max_size=6).map(lambda ring: ring + ring[:1]), max_size=2)
    ),
    st.builds(dict, type=st.just("GeometryCollection"), geometries=st.just([])),
    st.builds(dict, type=st.sampled_from(["Curve", "point", "", None, 3]), coordinates=PAIR),
)
CLASS = st.one_of(
    st.sampled_from(["dark", "light", "Dark ", "", " ", None, 1, 2, 0, -1, 256, 1.5, True, [], {}, "ü水", "a" * 300, "\x07"]),
    st.text(max_size=5),
)
FEATURE = st.one_of(
    st.builds(
        lambda geometry, name, value, extra: {"type": "Feature", "geometry": geometry, "properties": {name: value, **extra}},
        GEOMETRY, st.sampled_from(["class", "class", "label", "Class", "name", "x"]), CLASS,
        st.dictionaries(st.sampled_from(["color", "brush_px", "id", "fill"]), st.one_of(NUMBER, st.sampled_from(["#ff0000", "red", "#12", []])), max_size=2),
    ),
    st.sampled_from([None, 3, {}, {"type": "Feature"}, {"type": "Feature", "geometry": {"type": "Point"}, "properties": None}]),
)  # fmt: skip


@fuzz(0.2)
def test_random_labels(data):
    draw = data.draw
    with TemporaryDirectory() as name:
        folder = copy_of_world(Path(name))
        if draw(st.booleans()):
            path = "random.geojson"
            crs = pick(draw, CRS, CRS, "EPSG:4326", "nonsense", None, 5)
            member = {} if crs is None else {"crs": {"type": "name", "properties": {"name": crs}}}
            features = draw(st.lists(FEATURE, max_size=5))
            (folder / path).write_text(
                json.dumps({"type": pick(draw, "FeatureCollection", "FeatureCollection", "Feature", None), "features": features, **member})
            )
        else:
            path = "random.csv"
            header = pick(draw, "x,y,class", "x,y,class", "lon,lat,class", "class,x", "x;y;class", "", "x,y,class,brush_px", "X,Y,label")
            cell = st.one_of(NUMBER.map(str), CLASS.map(str), st.sampled_from(["500055", "4599945", '"', "dark"]))
            rows = draw(st.lists(st.lists(cell, max_size=5), max_size=5))
            encoding = pick(draw, "utf-8", "utf-8-sig", "utf-16", "latin-1")
            text = header + "\n" + "\n".join(",".join(row) for row in rows)
            (folder / path).write_bytes(text.encode(encoding, errors="replace"))
        command = pick(
            draw, ["segment", "image.tif", "--raw", "-l", path, "-o", "out.tif"], ["evaluate", "map.tif", "-t", path], ["labels", "convert", path, "out.gpkg"],
            ["labels", "convert", path, "out.shp"], ["labels", "convert", path, "out.geojson"], ["labels", "check", path, "--scene", "image.tif"],
        )  # fmt: skip
        more = [
            ["--overlap", "last"],
            ["--outside", "skip"],
            ["--labels-crs", CRS],
            ["--class-property", "label"],
            ["--brush", "5"],
            ["--names", "0=land,1=water"],
        ]
        with_folder(folder, [*command, *flags(draw, more)])


# --- options ---------------------------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.sampled_from(["", "0", "-1", "nan", "1e400", "x", "image.tif", "labels.csv", "model.safetensors", "series", "nowhere/x.csv", "a" * 300 + ".tif", "EPSG:0", "2020-01-05",
                     "1,2", "red", "0=a,1=b", "1,2,3,4", "2GiB", "1MiB", "256", "map.tif", ".", "~", "out.tif", "map.tif,image.tif", "\u200b", "project"]),
    st.integers(-3, 3000).map(str),
)  # fmt: skip


@fuzz(0.15)
def test_random_options(data):
    from pixelkin.cli import cli
    from pixelkin.cli.words import command_of

    draw = data.draw
    base = pick(
        draw, ["segment", "image.tif", "--raw", "-l", "labels.csv", "-o", "out.tif"], ["segment", "series", "--raw", "-l", "labels.csv", "-o", "out"],
        ["segment", "project", "-o", "out"], ["evaluate", "map.tif", "-t", "labels.csv"], ["labels", "convert", "labels.csv", "out.gpkg"],
        ["labels", "check", "labels.csv", "--scene", "image.tif"], ["info", "image.tif"], ["embed", "image.tif", "-m", "model.safetensors", "-o", "arch.zarr"],
        ["train", "image.tif", "-o", "trained.safetensors", "--steps", "1", "--patch-size", "7"],
    )  # fmt: skip
    command = command_of(cli, base)
    assert command is not None
    # No clusters, no network, no long training.
    left = {
        "--workers",
        "--scheduler",
        "--stac",
        "--steps",
        "--preset",
        "--threads",
        "--device",
        "--checkpoint",
        "--log",
        "--help",
        "--version",
    }
    options = [p for p in command.params if p.param_type_name == "option" and not left & set(p.opts)]
    args = list(base)
    for option in draw(st.lists(st.sampled_from(options), max_size=3)):
        args += [option.opts[0]] if getattr(option, "is_flag", False) else [option.opts[0], draw(VALUES)]
    with TemporaryDirectory() as name:
        folder = copy_of_world(Path(name))
        before = Path.cwd()
        os.chdir(folder)
        try:
            held(folder, *args, made=("",))  # wherever the options say
        finally:
            os.chdir(before)


# --- Python ----------------------------------------------------------------------------------------------------------------


@fuzz(0.07)
def test_random_calls(data):
    """Arrays, windows and labels of any shape: an error of ours, or an answer."""
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = draw(st.lists(st.integers(0, 40), min_size=1, max_size=4))
    array = (rng.normal(0, 50, shape) + 100).astype(pick(draw, *DTYPES[:8]))
    rows, cols = (draw(st.lists(st.integers(-3, 45), min_size=0, max_size=6)) for _ in range(2))
    corner = [draw(st.integers(-5, 45)) for _ in range(4)] if draw(st.booleans()) else None
    with no_longer_than(LONGEST_S):
        try:
            scene = pk.ArrayScene(array, crs=pick(draw, None, CRS), transform=tuple(TRANSFORM)[:6])
            labels = LabelledPixels.from_arrays(rows, cols, draw(st.lists(st.integers(-1, 300), min_size=0, max_size=6)))
            segmenter = pk.Segmenter(
                None, method=pick(draw, None, "nearest", "vote", "logistic", "magic"), abstain=pick(draw, 0.0, 0.5, 2.0, -1.0)
            )
            segmenter.fit(scene, labels)
            window = None if corner is None else Window(*corner)
            result = segmenter.predict(scene, window)
            assert result.classes.shape == result.confidence.shape == result.valid.shape
            assert ((result.confidence >= 0) & (result.confidence <= 1)).all()
            assert set(np.unique(result.classes)) <= {0, *labels.legend.ids}
            segmenter.remove(scene, rows[:1], cols[:1])
            segmenter.suggest(scene, k=draw(st.integers(-1, 4)))
        except PkError:
            pass


# --- the same, however it is stored ----------------------------------------------------------------------------------------

LAYOUTS: dict[str, dict[str, Any]] = {
    "strips.tif": {}, "tiles.tif": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}, "pixel.tif": {"interleave": "pixel"},
    "band.tif": {"interleave": "band"}, "big.tif": {"BIGTIFF": "YES"}, "cog.tif": {"driver": "COG"}, "a.img": {"driver": "HFA"}, "a.dat": {"driver": "ENVI"},
    "a.bil": {"driver": "EHdr"}, "a.pix": {"driver": "PCIDSK"}, "a.ers": {"driver": "ERS"}, "int.tif": {"dtype": "int16"}, "wide.tif": {"dtype": "uint32"},
    "float.tif": {"dtype": "float32"}, "double.tif": {"dtype": "float64"}, "a.png": {"driver": "PNG"},
}  # fmt: skip


def names_of(folder: Path, image: str, labels: str) -> np.ndarray:
    """The map of an image by labels, as names: ids follow the order in which a file names its classes."""
    for old in folder.glob("out.*"):
        old.unlink()
    with_folder(folder, ["segment", image, "--raw", "-l", labels, "-o", "out.tif"])
    result = read_map(folder / "out.tif")
    named = {"1": "dark", "2": "light"}  # a raster of ids knows no names
    names = np.array(["", *(named.get(name, name) for name in result.legend.names)])
    return names[result.classes]


@fuzz(0.03)
def test_the_same_pixels_and_marks_give_the_same_map(data):
    draw = data.draw
    with TemporaryDirectory() as name:
        folder = copy_of_world(Path(name))
        image = pixels(draw(st.integers(0, 2**16)))
        image[:, draw(st.integers(0, SIZE - 1))] += 9
        expected = None
        layouts = draw(st.lists(st.sampled_from(list(LAYOUTS)), min_size=6, max_size=6, unique=True))
        kinds = ("csv", "geojson", "gpkg", "shp", "tif", "fgb")
        for number, layout in enumerate(layouts):
            profile = {"dtype": "uint8", **LAYOUTS[layout]}
            write_image(folder / layout, image.astype(profile["dtype"]), **profile)
            found = names_of(folder, layout, f"labels.{kinds[number % 6]}")
            expected = found if expected is None else expected
            np.testing.assert_array_equal(found, expected, err_msg=layout)


def test_shapes_mark_what_their_pixels_mark():
    """Lines and boxes of whole pixels, in six formats, against the raster of them."""
    with TemporaryDirectory() as name:
        folder = copy_of_world(Path(name))
        frame = points()
        squares = frame.set_geometry([affine_transform(p.buffer(4.9, cap_style="square"), (1, 0, 0, 1, 0, 0)) for p in frame.geometry])
        expected = names_of(folder, "image.tif", "labels.tif")
        for kind, driver in (("gpkg", "GPKG"), ("shp", None), ("fgb", "FlatGeobuf"), ("geojson", "GeoJSON")):
            made = squares.to_crs("EPSG:4326") if kind == "geojson" else squares
            made.to_file(folder / f"squares.{kind}", **({"driver": driver} if driver else {}))
            np.testing.assert_array_equal(names_of(folder, "image.tif", f"squares.{kind}"), expected)
        assert len(MARKS) == len(geopandas.read_file(folder / "squares.gpkg"))
