"""Embeddings in Zarr decide as the imagery does."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
import zarr

import pixelkin as pk
from networks import random_model
from pixelkin.errors import InputError, MissingFileError, ModelError, OutputError, RasterError
from pixelkin.raster import read_map
from pixelkin.scale import segment
from pixelkin.scale.archive import embed
from pixelkin.scale.embedded import open_embedded_series, open_embeddings
from pixelkin.types import LabelledPixels


@pytest.fixture(scope="module")
def archives(tmp_path_factory, scene, model):
    folder = tmp_path_factory.mktemp("archives")
    return {dtype: embed(scene, model, folder / f"{dtype}.zarr", dtype=dtype) for dtype in ("int8", "float16", "float32")}


@pytest.mark.parametrize(("dtype", "least"), [("float32", 0.9999), ("float16", 0.999), ("int8", 0.98)])
@pytest.mark.parametrize("measure", ["local", "l1"])
def test_maps_from_embeddings_are_those_from_imagery(archives, scene, model, labels, dtype, least, measure):
    archive = open_embeddings(archives[dtype], model)
    labels = labels.take((labels.cols >= 8) & (labels.rows < 592))
    result = pk.Segmenter(archive.model, measure=measure).fit(archive, labels).predict(archive)
    whole = pk.Segmenter(model, measure=measure).fit(scene, labels).predict(scene)
    inner = slice(8, -8), slice(8, -8)  # past the edge, features are reflected instead of pixels
    assert (result.classes == whole.classes)[inner].mean() >= least
    np.testing.assert_array_equal(result.valid, whole.valid)
    assert result.grid == whole.grid
    if dtype == "float32":
        np.testing.assert_allclose(result.confidence[inner], whole.confidence[inner], atol=1e-4)


def test_a_label_added_over_an_archive_never_asks_for_imagery(archives, model, labels, monkeypatch):
    archive = open_embeddings(archives["int8"], model)
    monkeypatch.setattr(pk.Model, "embed", lambda *_, **__: pytest.fail("the encoder was run"))
    segmenter = pk.Segmenter(archive.model).fit(archive, labels.take(np.arange(6)))
    segmenter.add(archive, labels.take(np.arange(6, 9)))
    result = segmenter.predict(archive)
    np.testing.assert_array_equal(result.classes, pk.Segmenter(archive.model).fit(archive, labels).predict(archive).classes)


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_labels_on_one_archive_map_another_of_other_scales(tmp_path, scene, model, labels, dtype):
    pixels = scene.read().data
    darker = pk.ArrayScene((pixels // 3).astype(pixels.dtype), name="darker", transform=scene.grid.transform, crs=scene.grid.crs)
    first, second = (open_embeddings(embed(s, model, tmp_path / f"{s.name}.zarr", dtype=dtype), model) for s in (scene, darker))
    if dtype == "int8":
        assert first.attributes["scale"] != second.attributes["scale"]
    result = pk.Segmenter(first.model, measure="local").fit(first, labels).predict(second)
    whole = pk.Segmenter(model, measure="local").fit(scene, labels).predict(darker)
    assert (result.classes == whole.classes)[8:-8, 8:-8].mean() >= 0.98


def test_archives_are_mapped_tile_by_tile(tmp_path, archives, model, labels):
    archive = open_embeddings(archives["int8"], model)
    segmenter = pk.Segmenter(archive.model).fit(archive, labels)
    out = segment(archive, segmenter, tmp_path / "map.tif", tile=256)
    np.testing.assert_array_equal(read_map(out).classes, segmenter.predict(archive).classes)


def test_the_archive_says_what_it_is(archives, scene, model):
    group = zarr.open_group(str(archives["int8"]), mode="r")
    assert group.metadata.zarr_format == 3
    assert group["0"].shape == (6 + 5, *scene.grid.shape)
    assert [group[str(level)].shape[1:] for level in range(3)] == [(600, 830), (300, 415), (150, 208)]
    assert group.attrs["proj:code"] == "EPSG:32631"
    assert len(group.attrs["pixelkin"]["scale"]) == 11
    archive = open_embeddings(archives["int8"], model)
    assert (archive.name, archive.date, archive.grid) == (scene.name, scene.date, scene.grid)


def test_overviews_are_means(archives):
    group = zarr.open_group(str(archives["float32"]), mode="r")
    fine, coarse = np.asarray(group["0"]), np.asarray(group["1"])
    np.testing.assert_allclose(coarse[:, 7, 9], fine[:, 14:16, 18:20].mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)


def test_a_run_that_was_stopped_goes_on(tmp_path, model):
    rng = np.random.default_rng(0)
    big = pk.ArrayScene(rng.integers(1, 255, (3, 300, 2100), dtype=np.uint8))

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(big, model, tmp_path / "a.zarr", progress=interrupt, workers=1)
    assert not (tmp_path / "a.zarr").exists()
    told = []
    embed(big, model, tmp_path / "a.zarr", progress=told.append, workers=1)
    assert told[0].tiles_done > 1
    embed(big, model, tmp_path / "b.zarr")
    for name in ("0", "1", "valid"):
        np.testing.assert_array_equal(*(np.asarray(zarr.open_group(str(tmp_path / f"{x}.zarr"), mode="r")[name]) for x in "ab"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "b.zarr"]


def test_what_does_not_fit_is_refused(tmp_path, archives, scene, model, labels):
    with pytest.raises(ModelError, match="was made with model"):
        open_embeddings(archives["int8"], random_model(bands=3, seed=1))
    with pytest.raises(MissingFileError, match="expected an embedding archive"):
        open_embeddings(tmp_path / "none.zarr", model)
    zarr.create_group(str(tmp_path / "other.zarr"))
    with pytest.raises(RasterError, match="is not an embedding archive"):
        open_embeddings(tmp_path / "other.zarr", model)
    with pytest.raises(OutputError, match="is there already"):
        embed(scene, model, archives["int8"])
    with pytest.raises(InputError, match="model is None, expected a Model"):
        embed(scene, None, tmp_path / "none.zarr")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="dtype is 'int4'"):
        embed(scene, model, tmp_path / "x.zarr", dtype="int4")
    with pytest.raises(InputError, match="memory is 10 MiB, expected at least"):
        embed(scene, model, tmp_path / "x.zarr", memory="10MiB")
    archive = open_embeddings(archives["int8"], model)
    with pytest.raises(ModelError, match="what the measures 'local' and 'l1' need"):
        pk.Segmenter(archive.model, measure="global").fit(archive, labels)


def test_the_command_makes_an_archive(tmp_path, scene_path, model, saved):
    from click.testing import CliRunner

    from pixelkin.cli import cli

    asked = ["embed", str(scene_path), "--model", str(saved / "model.safetensors"), "--out", str(tmp_path / "a.zarr"), "--json"]
    run = CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert run.exit_code == 0
    assert open_embeddings(tmp_path / "a.zarr", model).grid.shape == (600, 830)


def test_the_command_maps_an_archive_without_the_imagery(tmp_path, archives, model, labels, capsys):
    from pixelkin.cli import main
    from pixelkin.labels import write_labels

    archive = open_embeddings(archives["int8"], model)
    model.save(tmp_path / "model.safetensors")
    write_labels(labels, archive.grid, tmp_path / "labels.geojson")
    common = ["segment", str(archives["int8"]), "--labels", str(tmp_path / "labels.geojson"), "--out", str(tmp_path / "map.tif")]
    with pytest.raises(SystemExit):
        main(common)
    assert "is an archive of embeddings, expected the model that made it" in capsys.readouterr().err
    main([*common, "--model", str(tmp_path / "model.safetensors")])
    np.testing.assert_array_equal(
        read_map(tmp_path / "map.tif").classes, pk.Segmenter(archive.model).fit(archive, labels).predict(archive).classes
    )


def test_a_series_gives_an_archive_a_date_and_is_mapped_from_one(tmp_path, scene, model):
    from pixelkin.cli import main
    from pixelkin.labels import write_labels

    pixels = scene.read().data[:, :256, :256]
    dates = [
        pk.ArrayScene((pixels // divisor).astype(pixels.dtype), name=str(day), date=day, transform=scene.grid.transform, crs=scene.grid.crs)
        for divisor, day in ((1, dt.date(2020, 5, 1)), (2, dt.date(2020, 6, 1)))
    ]
    series = pk.Series(tuple(dates))
    folder = embed(series, model, tmp_path / "archives")
    assert sorted(path.name for path in folder.iterdir()) == ["2020-05-01.zarr", "2020-06-01.zarr"]
    told = []
    embed(series, model, folder, progress=told.append)
    assert not told, "what is finished is not done again"
    with pytest.raises(OutputError, match=r"2020-05-01\.zarr is there already"):
        embed(series, model, folder, dtype="float16")
    opened = open_embedded_series(folder, model)
    assert opened.dates == series.dates
    rows, cols = np.random.default_rng(0).integers(10, 240, (2, 12))
    labels = LabelledPixels.from_arrays(rows, cols, np.arange(12) % 2 + 1)
    expected = pk.Segmenter(opened.scenes[1].model).fit(opened.scenes[0], labels).predict(opened.scenes[1])

    model.save(tmp_path / "model.safetensors")
    write_labels(labels, series.grid, tmp_path / "labels.geojson")
    main(["segment", str(folder), "--labels", str(tmp_path / "labels.geojson"), "--labels-date", "2020-05-01",
          "--model", str(tmp_path / "model.safetensors"), "--out", str(tmp_path / "maps")])  # fmt: skip
    np.testing.assert_array_equal(read_map(tmp_path / "maps" / "2020-06-01.tif").classes, expected.classes)
    with pytest.raises(MissingFileError, match="has no embedding archive"):
        open_embedded_series(tmp_path, model)
