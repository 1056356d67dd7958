"""Sentinel-2 products, generated in the layout of the SAFE format with JPEG 2000 bands."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from pixelkin.errors import InputError, MissingFileError, OutputError, RasterError
from pixelkin.experiments.sentinel2 import crop_series, open_products, open_safe
from pixelkin.raster import open_scene
from pixelkin.types import Window

BANDS = {"B04": 1000, "B03": 2000, "B02": 3000, "B08": 4000}
SIZE = 40


def digital_numbers(band: str) -> np.ndarray:
    """1000 times the band's place, plus 40 row + col: a pixel says which band and where it is."""
    row, col = np.mgrid[:SIZE, :SIZE]
    return (BANDS[band] + SIZE * row + col).astype(np.uint16)


def product(
    folder: Path, date: str = "20200202", level: str = "L2A", baseline: str = "0400", offset: int | None = -1000, hole: int = 0
) -> Path:
    """A product with bands at 10 m and one at 20 m that must not be taken; `hole` rows of no-data at the top."""
    safe = folder / f"S2A_MSI{level}_{date}T105221_N{baseline}_R051_T31TDG_{date}T134536.SAFE"
    images = safe / "GRANULE" / f"{level}_T31TDG_A024101_{date}T105327" / "IMG_DATA"
    tag = "BOA_ADD_OFFSET" if level == "L2A" else "RADIO_ADD_OFFSET"
    rows = "" if offset is None else "".join(f'<{tag} band_id="{i}">{offset if i != 7 else offset - 5}</{tag}>' for i in range(13))
    safe.mkdir(parents=True)
    (safe / f"MTD_MSI{level}.xml").write_text(f'<n1:Product xmlns:n1="https://example.com"><Image>{rows}</Image></n1:Product>')
    for band in BANDS:
        name = f"R10m/T31TDG_{date}T105221_{band}_10m.jp2" if level == "L2A" else f"T31TDG_{date}T105221_{band}.jp2"
        data = digital_numbers(band)
        data[:hole] = 0
        write(images / name, data)
        if level == "L2A":
            write(images / f"R20m/T31TDG_{date}T105221_{band}_20m.jp2", data[::2, ::2] * 0 + 7)
    return safe


def write(path: Path, data: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        height=data.shape[0],
        width=data.shape[1],
        count=1,
        dtype="uint16",
        crs="EPSG:32631",
        transform=Affine(10, 0, 400_000, 0, -10, 4_700_000),
        QUALITY=100,
        REVERSIBLE="YES",
    ) as out:
        out.write(data, 1)


@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_bands_are_read_in_order_with_the_offset_taken_off(tmp_path, level):
    scene = open_safe(product(tmp_path, level=level))
    assert scene.bands == ("red", "green", "blue", "nir")
    assert scene.date == dt.date(2020, 2, 2)
    assert scene.grid.crs == "EPSG:32631"
    pixels = scene.read(Window(3, 5, 2, 4))
    for data, band in zip(pixels.data, BANDS, strict=True):
        # The metadata of the test give the near infrared another offset, so that a mix-up of bands shows.
        expected = digital_numbers(band)[3:5, 5:9].astype(int) - (1005 if band == "B08" else 1000)
        np.testing.assert_array_equal(data, np.maximum(expected, 1))
    assert pixels.valid.all()


def test_products_before_baseline_0400_have_no_offset(tmp_path):
    scene = open_safe(product(tmp_path, baseline="0213", offset=None))
    np.testing.assert_array_equal(scene.read().data[0], digital_numbers("B04"))


def test_no_data_is_zero_before_the_offset_and_dark_is_not_no_data(tmp_path):
    scene = open_safe(product(tmp_path, hole=2))
    pixels = scene.read()
    assert not pixels.valid[:2].any()
    assert pixels.valid[2:].all()
    # 1000 + 40 * 2 in the file.
    assert pixels.data[0, 2, 0] == 80
    dark = open_safe(product(tmp_path / "dark")).read(Window(0, 0, 1, 1))
    assert dark.valid.all()
    assert dark.data[0, 0, 0] == 1


def test_a_zip_archive_is_a_product_too(tmp_path):
    safe = product(tmp_path / "a")
    archive = shutil.make_archive(str(tmp_path / "z" / safe.stem), "zip", safe.parent, safe.name)
    np.testing.assert_array_equal(open_safe(archive).read().data, open_safe(safe).read().data)
    assert open_products(tmp_path / "z").dates == (dt.date(2020, 2, 2),)


def test_what_a_product_lacks_is_named(tmp_path):
    safe = product(tmp_path)
    next(safe.rglob("*_B08_10m.jp2")).unlink()
    (safe / "MTD_MSIL2A.xml").unlink()
    with pytest.raises(MissingFileError, match=r"lacks IMG_DATA/\.\.\._B08_10m\.jp2, MTD_MSIL2A\.xml"):
        open_safe(safe)
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").touch()
    with pytest.raises(RasterError, match=r"not a Sentinel-2 product"):
        open_safe(tmp_path / "holiday")


def test_a_new_baseline_without_offsets_is_refused(tmp_path):
    with pytest.raises(RasterError, match=r"has no offsets.*baseline is 0510"):
        open_safe(product(tmp_path, baseline="0510", offset=None))


def test_products_make_a_series_by_date(tmp_path):
    for date in ("20210615", "20200202"):
        product(tmp_path, date)
    series = open_products(tmp_path)
    assert series.dates == (dt.date(2020, 2, 2), dt.date(2021, 6, 15))
    product(tmp_path, "20210615", level="L1C")
    with pytest.raises(RasterError, match=r"both of 2021-06-15"):
        open_products(tmp_path)


def test_the_crop_keeps_place_values_and_the_fullest_dates(tmp_path):
    for day in range(1, 7):
        product(tmp_path / "in", f"202002{day:02d}", hole={2: 30, 5: SIZE}.get(day, 0))
    window = Window(10, 4, 24, 30)
    paths = crop_series(open_products(tmp_path / "in"), tmp_path / "out", window=window, dates=3)
    # Day 2 is holed and day 5 is empty; of the four others, three spread evenly are kept.
    assert [path.stem for path in paths] == ["2020-02-01", "2020-02-04", "2020-02-06"]
    series = open_scene(tmp_path / "out")
    assert series.bands == ("red", "green", "blue", "nir")
    assert series.grid.shape == (24, 30)
    assert series.grid.transform == (10, 0, 400_040, 0, -10, 4_699_900)
    np.testing.assert_array_equal(series.scenes[0].read().data[2], digital_numbers("B02")[10:34, 4:34] - 1000)
    with pytest.raises(OutputError, match=r"is the image that is read"):
        crop_series(series, tmp_path / "out")
    with pytest.raises(InputError, match=r"reaches past the image of 24 x 30"):
        crop_series(series, tmp_path / "new", window=Window(0, 0, 25, 30))


def test_the_default_window_is_the_centre_and_few_dates_are_all_kept(tmp_path, caplog):
    for date in ("20210615", "20200202"):
        product(tmp_path / "in", date, hole=5)
    paths = crop_series(open_products(tmp_path / "in"), tmp_path / "out")
    assert len(paths) == 2
    assert "fewer than the 12 asked for" in caplog.text
    pixels = open_scene(paths[0]).read()
    assert pixels.valid.shape == (SIZE, SIZE)
    np.testing.assert_array_equal(pixels.valid[:, 0], np.arange(SIZE) >= 5)


def test_a_folder_of_dated_rasters_is_a_series(imagery):
    series = open_products(imagery / "boadella")
    assert len(series) == 10
