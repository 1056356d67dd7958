"""Written maps: what is in them, and what is left behind when writing fails."""

from __future__ import annotations

import datetime as dt
import errno
import os
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import rasterio
import rasterio.env
import rasterio.shutil
from hypothesis import HealthCheck, given, settings
from rasterio.enums import ColorInterp

from pixelkin.errors import MissingFileError, OutputError, RasterError, ShapeError
from pixelkin.raster import MapWriter, open_scene, read_map, write_map
from pixelkin.raster import writer as writer_module
from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, Legend, LegendClass, Window

GRID = Grid(40, 50, (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:32631")
LEGEND = Legend(
    (LegendClass(3, "eau & <étang>", (0, 114, 178)), LegendClass(1, "野菜", (230, 159, 0)), LegendClass(7, 'bare "soil"', (1, 2, 3)))
)
PROVENANCE = {"model": "ab12", "labels": "cd = 34; ü", "seed": "0"}


def make_segmentation(grid: Grid = GRID, legend: Legend = LEGEND, seed: int = 0) -> Segmentation:
    """Random classes, with no data in a tenth of the pixels and an abstention (class 0, valid) in some."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(np.array([0, *legend.ids], np.uint8), grid.shape)
    valid = rng.random(grid.shape) > 0.1
    confidence = np.where(valid, rng.random(grid.shape), 0).astype(np.float32)
    return Segmentation(np.where(valid, classes, np.uint8(0)), confidence, valid, legend, grid, PROVENANCE)


def crop(segmentation: Segmentation, window: Window) -> Segmentation:
    part = window.slices
    return Segmentation(
        segmentation.classes[part],
        segmentation.confidence[part],
        segmentation.valid[part],
        segmentation.legend,
        segmentation.grid.crop(window),
        segmentation.provenance,
    )


def assert_same(result: Segmentation, expected: Segmentation) -> None:
    for name in ("classes", "confidence", "valid"):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name), err_msg=name)
        assert getattr(result, name).dtype == getattr(expected, name).dtype
    assert (result.legend, result.grid, dict(result.provenance)) == (expected.legend, expected.grid, dict(expected.provenance))


def digest(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestRoundTrip:
    def test_with_confidence_nothing_is_lost(self, tmp_path):
        expected = make_segmentation()
        assert write_map(expected, tmp_path / "map.tif", confidence=True) == tmp_path / "map.tif"
        assert_same(read_map(tmp_path / "map.tif"), expected)

    def test_without_confidence_classes_are_kept(self, tmp_path):
        expected = make_segmentation()
        write_map(expected, str(tmp_path / "map.tif"))
        result = read_map(tmp_path / "map.tif")
        np.testing.assert_array_equal(result.classes, expected.classes)
        np.testing.assert_array_equal(result.valid, expected.classes != 0)
        assert not result.confidence.any()

    def test_the_method_of_a_segmentation_writes_the_same(self, tmp_path):
        expected = make_segmentation()
        expected.write(tmp_path / "map.tif", confidence=True)
        assert_same(read_map(tmp_path / "map.tif"), expected)

    @pytest.mark.parametrize(
        "grid",
        [
            Grid(1, 1, (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:32631"),
            Grid(3, 600, (1e-4, 0.0, 2.5, 0.0, -1e-4, 42.0), "EPSG:4326"),  # north first by its authority
            Grid(600, 3, (10.0, 0.0, 4e6, 0.0, -10.0, 3e6), "EPSG:3035"),  # the same, projected
            Grid(20, 30, (9.0, 1.5, 500_000.0, 1.5, -9.0, 4_600_000.0), "EPSG:32631"),  # turned
            Grid(20, 30, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None),
            Grid(20, 30, (1 / 3, 0.0, 0.1 + 0.2, 0.0, -1 / 3, 1e7 / 3), "EPSG:3857"),
        ],
    )
    def test_every_kind_of_grid(self, tmp_path, grid):
        expected = make_segmentation(grid)
        write_map(expected, tmp_path / "map.tif", confidence=True)
        assert_same(read_map(tmp_path / "map.tif"), expected)

    def test_a_crs_without_code(self, tmp_path, coordinates, write_raster):
        laea = "+proj=laea +lat_0=41.5 +lon_0=2.5 +datum=WGS84 +units=m"
        grid = open_scene(write_raster(tmp_path / "a.tif", coordinates(), crs=laea)).grid
        write_map(make_segmentation(grid), tmp_path / "map.tif")
        assert rasterio.crs.CRS.from_wkt(read_map(tmp_path / "map.tif").grid.crs) == rasterio.crs.CRS.from_string(laea)

    @settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        names=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4, unique=True),
        provenance=st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3),
    )
    def test_every_text_survives(self, tmp_path, names, provenance):
        grid = Grid(2, 3, GRID.transform, GRID.crs)
        drawn = make_segmentation(grid, Legend.from_names(names))
        expected = Segmentation(drawn.classes, drawn.confidence, drawn.valid, drawn.legend, grid, provenance)
        write_map(expected, tmp_path / "map.tif", overwrite=True, confidence=True)
        assert_same(read_map(tmp_path / "map.tif"), expected)

    def test_control_characters_do_not_break_the_sidecar(self, tmp_path):
        write_map(make_segmentation(legend=Legend.from_names(["a\x00b\x1b", "c\ufffe"])), tmp_path / "map.tif")
        names = [category.text or "" for category in ET.parse(tmp_path / "map.tif.aux.xml").getroot().iter("Category")]
        assert names == ["", "a b ", "c "]


class TestFile:
    @pytest.fixture
    def path(self, tmp_path):
        return write_map(make_segmentation(Grid(1300, 1100, GRID.transform, GRID.crs)), tmp_path / "map.tif", confidence=True)

    def test_both_files_are_cloud_optimized(self, path):
        for file in (path, path.with_name("map_confidence.tif")):
            with rasterio.open(file) as dataset:
                assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
                assert dataset.block_shapes == [(512, 512)]
                assert dataset.overviews(1) == [2, 4]

    def test_what_gdal_sees(self, path):
        with rasterio.open(path) as dataset:
            assert (dataset.count, dataset.dtypes, dataset.nodata, dataset.descriptions) == (1, ("uint8",), 0, ("class",))
            assert dataset.colorinterp == (ColorInterp.palette,)
            colors = dataset.colormap(1)
            assert {entry.id: colors[entry.id] for entry in LEGEND} == {entry.id: (*entry.color, 255) for entry in LEGEND}
            assert colors[0][3] == 0
            assert dataset.tags()["TIFFTAG_SOFTWARE"] == "pixelkin"
            assert set(np.unique(dataset.read(1, out_shape=(325, 275)))) <= {0, *LEGEND.ids}
        with rasterio.open(path.with_name("map_confidence.tif")) as dataset:
            assert (dataset.count, dataset.dtypes, dataset.descriptions) == (1, ("float32",), ("confidence",))
            assert np.isnan(dataset.nodata)

    def test_gdal_finds_the_names_of_the_classes(self, path, tmp_path):
        """GDAL's VRT driver writes down all that it knows of a file: an independent reader of names and attribute table."""
        rasterio.shutil.copy(path, tmp_path / "seen.vrt", driver="VRT")
        band = ET.parse(tmp_path / "seen.vrt").getroot().find("VRTRasterBand")
        names = [category.text or "" for category in band.find("CategoryNames")]
        assert names == ["", "野菜", "", "eau & <étang>", "", "", "", 'bare "soil"']
        sidecar = ET.parse(f"{path}.aux.xml").getroot()
        rows = [[cell.text for cell in row] for row in sidecar.iter("Row")]
        assert rows[0] == ["3", "eau & <étang>", "0", "114", "178"]

    def test_overviews_take_the_majority(self, tmp_path):
        grid = Grid(1024, 1024, GRID.transform, GRID.crs)
        classes = np.full(grid.shape, 3, np.uint8)
        classes[::2, ::2] = 1  # one pixel in four
        seg = Segmentation(classes, np.ones(grid.shape, np.float32), classes > 0, LEGEND, grid)
        with rasterio.open(write_map(seg, tmp_path / "map.tif"), overview_level=0) as dataset:
            assert np.unique(dataset.read(1)).tolist() == [3]

    def test_the_same_map_gives_the_same_bytes(self, tmp_path):
        folders = [tmp_path / "a", tmp_path / "b"]
        for folder in folders:
            folder.mkdir()
            write_map(make_segmentation(Grid(700, 600, GRID.transform, GRID.crs)), folder / "map.tif", confidence=True)
        first, second = map(digest, folders)
        assert first == second
        assert set(first) == {"map.tif", "map.tif.aux.xml", "map_confidence.tif"}


def test_writing_leaves_gdals_cache_as_it_was(tmp_path):
    before = rasterio.env.get_gdal_config("GDAL_CACHEMAX")
    write_map(make_segmentation(), tmp_path / "map.tif")
    assert rasterio.env.get_gdal_config("GDAL_CACHEMAX") == before


class TestTiles:
    @pytest.mark.parametrize("order", ["forward", "backward", "threads", "small", "rows"])
    def test_any_order_and_size_gives_the_same_bytes(self, tmp_path, order):
        expected = make_segmentation()
        write_map(expected, tmp_path / "whole.tif", confidence=True)
        height, width = {"small": (7, 3), "rows": (1, 50)}.get(order, (16, 16))
        windows = [Window(r, c, min(height, 40 - r), min(width, 50 - c)) for r in range(0, 40, height) for c in range(0, 50, width)]
        if order == "backward":
            windows.reverse()
        with (
            MapWriter(tmp_path / "tiles.tif", GRID, LEGEND, provenance=PROVENANCE, layers=["confidence"]) as writer,
            ThreadPoolExecutor(4 if order == "threads" else 1) as pool,
        ):
            list(pool.map(lambda window: writer.write(crop(expected, window), window), windows))
        for ending in (".tif", ".tif.aux.xml", "_confidence.tif"):
            assert (tmp_path / f"tiles{ending}").read_bytes() == (tmp_path / f"whole{ending}").read_bytes()

    def test_what_was_never_written_is_no_data(self, tmp_path):
        window = Window(10, 20, 5, 6)
        with MapWriter(tmp_path / "map.tif", GRID, LEGEND, layers=["confidence"]) as writer:
            writer.write(crop(make_segmentation(), window), window)
        result = read_map(tmp_path / "map.tif")
        assert not np.delete(result.valid, slice(10, 15), axis=0).any()
        np.testing.assert_array_equal(result.classes[window.slices], make_segmentation().classes[window.slices])

    def test_no_data_is_zero_whatever_the_segmenter_left_there(self, tmp_path):
        seg = make_segmentation()
        dirty = Segmentation(np.full_like(seg.classes, 3), np.ones_like(seg.confidence), seg.valid, LEGEND, GRID)
        result = read_map(write_map(dirty, tmp_path / "map.tif", confidence=True))
        np.testing.assert_array_equal(result.classes, np.where(seg.valid, 3, 0))
        np.testing.assert_array_equal(result.confidence, seg.valid)

    def test_a_tile_of_the_wrong_size(self, tmp_path):
        with (
            pytest.raises(ShapeError, match=r"segmentation has shape \(40, 50\), expected \(5, 6\). Write each"),
            MapWriter(tmp_path / "map.tif", GRID, LEGEND) as writer,
        ):
            writer.write(make_segmentation(), Window(0, 0, 5, 6))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("window", [Window(36, 0, 5, 6), Window(0, 45, 5, 6), Window(-1, 0, 5, 6), Window(0, -1, 5, 6)])
    def test_a_tile_past_the_edge(self, tmp_path, window):
        tile = crop(make_segmentation(), Window(0, 0, 5, 6))
        with (
            pytest.raises(OutputError, match=r"reaches past the map of 40 x 50 pixels"),
            MapWriter(tmp_path / "map.tif", GRID, LEGEND) as writer,
        ):
            writer.write(tile, window)

    def test_a_tile_of_other_classes(self, tmp_path):
        with (
            pytest.raises(OutputError, match=r"the tile has classes \['a'\], expected \['eau & <étang>', .* as in the map"),
            MapWriter(tmp_path / "map.tif", GRID, LEGEND) as writer,
        ):
            writer.write(make_segmentation(legend=Legend.from_names(["a"])), GRID.window)


class TestRefusals:
    def test_an_existing_file_is_refused_before_any_work(self, tmp_path):
        (tmp_path / "map.tif").write_bytes(b"mine")
        with pytest.raises(
            OutputError, match=r"map.tif is there already, expected a new name. Choose another name, or replace it with overwrite=True.$"
        ):
            MapWriter(tmp_path / "map.tif", GRID, LEGEND)
        assert (tmp_path / "map.tif").read_bytes() == b"mine"

    def test_an_existing_confidence_is_refused_too(self, tmp_path):
        (tmp_path / "map_confidence.tif").write_bytes(b"mine")
        with pytest.raises(OutputError, match=r"map_confidence.tif is there already"):
            write_map(make_segmentation(), tmp_path / "map.tif", confidence=True)
        write_map(make_segmentation(), tmp_path / "map.tif")
        assert (tmp_path / "map_confidence.tif").read_bytes() == b"mine"

    def test_a_file_that_appears_meanwhile_is_kept(self, tmp_path):
        with pytest.raises(OutputError, match=r"is there already"), MapWriter(tmp_path / "map.tif", GRID, LEGEND):
            (tmp_path / "map.tif").write_bytes(b"mine")
        assert digest(tmp_path) == {"map.tif": b"mine"}

    def test_overwrite_replaces_all_that_belongs_to_a_map(self, tmp_path):
        write_map(make_segmentation(seed=1), tmp_path / "map.tif", confidence=True)
        (tmp_path / "map_confidence.tif.aux.xml").write_text("<PAMDataset/>")
        expected = make_segmentation(legend=Legend.from_names(["a", "b"]))
        write_map(expected, tmp_path / "map.tif", overwrite=True, confidence=True)
        assert_same(read_map(tmp_path / "map.tif"), expected)
        assert not (tmp_path / "map_confidence.tif.aux.xml").exists()
        write_map(expected, tmp_path / "map.tif", overwrite=True)
        assert set(digest(tmp_path)) == {"map.tif", "map.tif.aux.xml"}  # the old confidence would pass for the new map's

    def test_a_confidence_file_that_is_not_ours_stays(self, tmp_path):
        (tmp_path / "map_confidence.tif").write_bytes(b"mine")
        write_map(make_segmentation(), tmp_path / "map.tif")
        write_map(make_segmentation(), tmp_path / "map.tif", overwrite=True)
        assert (tmp_path / "map_confidence.tif").read_bytes() == b"mine"

    def test_no_folder(self, tmp_path):
        with pytest.raises(OutputError, match=r"none is not there. Make the folder first.$"):
            MapWriter(tmp_path / "none" / "map.tif", GRID, LEGEND)

    def test_another_format(self, tmp_path):
        with pytest.raises(OutputError, match=r"map.png does not end in .tif, and a map is written as GeoTIFF. Name it map.tif.$"):
            MapWriter(tmp_path / "map.png", GRID, LEGEND)


class TestNothingIsLeftBehind:
    @pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()])
    def test_an_error_or_ctrl_c_between_tiles(self, tmp_path, error):
        write_map(make_segmentation(seed=1), tmp_path / "map.tif", confidence=True)
        before = digest(tmp_path)

        def work() -> None:
            with MapWriter(tmp_path / "map.tif", GRID, LEGEND, overwrite=True, layers=["confidence"]) as writer:
                writer.write(make_segmentation(), GRID.window)
                raise error

        with pytest.raises(type(error)):
            work()
        assert digest(tmp_path) == before

    @pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()])
    def test_an_error_or_ctrl_c_while_finishing(self, tmp_path, monkeypatch, error):
        def copy(*args, **options):
            Path(args[1]).write_bytes(b"half")
            raise error

        monkeypatch.setattr(rasterio.shutil, "copy", copy)
        with pytest.raises(type(error)):
            write_map(make_segmentation(), tmp_path / "map.tif")
        assert list(tmp_path.iterdir()) == []

    def test_ctrl_c_while_space_is_reserved(self, tmp_path, monkeypatch):
        def interrupt(*args):
            raise KeyboardInterrupt

        monkeypatch.setattr(writer_module, "_write_at", interrupt)
        with pytest.raises(KeyboardInterrupt), MapWriter(tmp_path / "map.tif", GRID, LEGEND, layers=["confidence"]):
            pass
        assert list(tmp_path.iterdir()) == []


class TestFullDisk:
    """A limit on the size of files makes the operating system refuse data just as a full disk does, at any byte we like."""

    @pytest.fixture
    def limit(self):
        resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

        def set_limit(size: int) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

        yield set_limit
        set_limit(hard)

    @pytest.mark.parametrize("confidence", [False, True])
    def test_at_every_size_the_map_is_whole_or_not_there(self, tmp_path, limit, confidence):
        grid = Grid(700, 600, GRID.transform, GRID.crs)
        expected = make_segmentation(grid)
        write_map(expected, tmp_path / "probe.tif", confidence=confidence)
        final = max(file.stat().st_size for file in tmp_path.iterdir())
        raw = 700 * 600 * (4 if confidence else 1)
        for file in tmp_path.iterdir():
            file.unlink()
        sizes = sorted({0, 1, 4096, raw // 2, raw - 1, raw, final - 70_000, final - 5000, final - 1, final, 4 * raw})
        outcomes = {}
        for size in sizes:
            limit(size)
            try:
                write_map(expected, tmp_path / "map.tif", confidence=confidence)
            except OutputError as error:
                outcomes[size] = str(error)
            finally:
                limit(-1)
            if size in outcomes:
                assert list(tmp_path.iterdir()) == []
            else:
                np.testing.assert_array_equal(read_map(tmp_path / "map.tif").classes, expected.classes)
                for file in tmp_path.iterdir():
                    file.unlink()
        assert {0, 1, 4096, raw // 2, raw - 1} <= set(outcomes)
        assert 4 * raw not in outcomes
        for message in outcomes.values():
            assert "map.tif cannot be written: " in message
            assert message.endswith(f"{tmp_path}: free some space there or choose another folder.")
            assert "\n" not in message

    def test_too_little_space_is_found_before_the_first_tile(self, tmp_path, limit):
        limit(1000)
        with (
            pytest.raises(
                OutputError, match=r"map.tif cannot be written: File too large. Nothing was left behind; the map needs up to 1 MB in"
            ),
            MapWriter(tmp_path / "map.tif", GRID, LEGEND),
        ):
            pytest.fail("the tiles would be computed for nothing")

    def test_the_space_is_taken_and_not_only_promised(self, tmp_path):
        if not hasattr(os, "posix_fallocate"):
            pytest.skip("this system cannot reserve space")
        with MapWriter(tmp_path / "map.tif", GRID, LEGEND):
            (raw,) = tmp_path.glob(".map.tif.*/classes.raw")
            assert raw.stat().st_blocks * 512 >= 40 * 50

    def test_the_systems_word_for_a_full_disk(self, tmp_path, monkeypatch):
        def full(*args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(writer_module, "_write_at", full)
        with pytest.raises(OutputError, match=r"map.tif cannot be written: No space left on device. Nothing was left behind"):
            write_map(make_segmentation(), tmp_path / "map.tif")

    def test_a_file_that_gdal_silently_damaged_is_never_published(self, tmp_path, monkeypatch):
        copy = rasterio.shutil.copy

        def damaging(source, target, **options):
            copy(source, target, **options)
            with Path(target).open("r+b") as file:
                file.truncate(Path(target).stat().st_size - 100)

        monkeypatch.setattr(rasterio.shutil, "copy", damaging)
        with pytest.raises(OutputError, match=r"map.tif cannot be written: "):
            write_map(make_segmentation(), tmp_path / "map.tif")
        assert list(tmp_path.iterdir()) == []


class TestReadMap:
    def test_missing(self, tmp_path):
        with pytest.raises(MissingFileError, match=r"map.tif does not exist"):
            read_map(tmp_path / "map.tif")

    def test_confidence_is_missing(self, tmp_path):
        write_map(make_segmentation(), tmp_path / "map.tif", confidence=True)
        (tmp_path / "map_confidence.tif").unlink()
        with pytest.raises(MissingFileError, match=r"map_confidence.tif does not exist"):
            read_map(tmp_path / "map.tif")

    def test_another_raster(self, tmp_path, coordinates, write_raster):
        with pytest.raises(
            RasterError, match=r"a.tif is not a map that pixelkin wrote, expected the tag PIXELKIN_LEGEND. Read other label rasters"
        ):
            read_map(write_raster(tmp_path / "a.tif", coordinates(1, dtype="uint8")))

    def test_the_confidence_is_not_the_map(self, tmp_path):
        write_map(make_segmentation(), tmp_path / "map.tif", confidence=True)
        with pytest.raises(RasterError, match=r"map_confidence.tif is not a map"):
            read_map(tmp_path / "map_confidence.tif")

    def test_cut_short(self, tmp_path):
        path = write_map(make_segmentation(Grid(600, 600, GRID.transform, GRID.crs)), tmp_path / "map.tif")
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 2000)
        with pytest.raises(RasterError, match=r"map.tif cannot be read: .* cut short: write or copy it again.$"):
            read_map(path)

    @pytest.mark.parametrize(
        ("tag", "text"),
        [
            ("PIXELKIN_LEGEND", "[{"),
            ("PIXELKIN_LEGEND", "3"),
            ("PIXELKIN_LEGEND", '[{"id": 3, "name": "a"}]'),
            ("PIXELKIN_LEGEND", '[{"id": 0, "name": "a", "color": [0, 0, 0]}]'),
            ("PIXELKIN_LEGEND", '[{"id": 3, "name": "a", "color": [0, 0, 999]}]'),
            ("PIXELKIN_PROVENANCE", "{"),
            ("PIXELKIN_PROVENANCE", "[]"),
        ],
    )
    def test_damaged_tags(self, tmp_path, tag, text):
        path = write_map(make_segmentation(), tmp_path / "map.tif")
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
            dataset.update_tags(**{tag: text})
        with pytest.raises(RasterError, match=r"map.tif has damaged tags.*expected legend and provenance .* Write the map again"):
            read_map(path)

    def test_a_legend_that_lacks_classes_of_the_map(self, tmp_path):
        path = write_map(make_segmentation(), tmp_path / "map.tif")
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
            dataset.update_tags(PIXELKIN_LEGEND='[{"id": 3, "name": "a", "color": [0, 0, 0]}, {"id": 7, "name": "b", "color": [0, 0, 0]}]')
        with pytest.raises(RasterError, match=r"map.tif has pixels of class 1, which its legend does not name \(ids \[3, 7\]\)"):
            read_map(path)

    def test_a_map_opens_as_a_scene(self, tmp_path):
        expected = make_segmentation()
        scene = open_scene(write_map(expected, tmp_path / "2020-02-02_map.tif"))
        assert scene.date == dt.date(2020, 2, 2)
        assert scene.bands == ("class",)
        np.testing.assert_array_equal(scene.read().valid, expected.classes != 0)
