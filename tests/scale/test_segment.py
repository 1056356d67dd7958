"""One map, however it is computed, and however often the run is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

import pixelkin as pk
from pixelkin.errors import InputError, ModelError, NotFittedError, OutputError
from pixelkin.raster import read_map
from pixelkin.scale import segment
from pixelkin.scale.manifest import Run
from pixelkin.scene import ArrayScene, Series
from pixelkin.types import LabelledPixels, Window


def require_same(path: Path, whole: pk.Segmentation, *, confidence: bool = True) -> None:
    result = read_map(path)
    np.testing.assert_array_equal(result.classes, whole.classes)
    if confidence:
        np.testing.assert_array_equal(result.confidence.view(np.uint32), whole.confidence.view(np.uint32))
        np.testing.assert_array_equal(result.valid, whole.valid)
    assert result.legend == whole.legend
    assert result.grid == whole.grid
    assert result.provenance == whole.provenance


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("tile", "workers"), [(256, 1), (256, 3), (512, 2), (1024, 2), (2048, 1), (None, None)])
def test_the_same_bits_from_any_tile_size_and_number_of_threads(tmp_path, scene, segmenter, whole, tile, workers):
    out = segment(scene, segmenter, tmp_path / "map.tif", tile=tile, workers=workers, layers=["confidence"])
    require_same(out, whole)
    assert not hidden(tmp_path)


def test_without_a_model_too(tmp_path, scene, labels):
    raw = pk.Segmenter(None).fit(scene, labels)
    require_same(segment(scene, raw, tmp_path / "map.tif", tile=256, layers=["confidence"]), raw.predict(scene))


def test_a_series_gives_a_map_a_date(tmp_path, segmenter, scene):
    dates = [replace(scene, name=f"2020-0{month}-01", date=np.datetime64(f"2020-0{month}-01").astype(object)) for month in (1, 2)]
    out = segment(Series(tuple(dates)), segmenter, tmp_path / "maps")
    assert sorted(path.name for path in out.glob("*.tif")) == ["2020-01-01.tif", "2020-02-01.tif"]
    require_same(out / "2020-02-01.tif", segmenter.predict(dates[1]), confidence=False)
    assert not hidden(out)
    with pytest.raises(OutputError, match=r"2020-01-01.tif is there already"):
        segment(Series(tuple(dates)), segmenter, tmp_path / "maps")


def test_a_series_goes_on_with_the_date_it_had_come_to(tmp_path, segmenter, scene):
    dates = [replace(scene, name=f"2020-0{month}-01", date=np.datetime64(f"2020-0{month}-01").astype(object)) for month in (1, 2)]
    seen: list[str] = []

    def stop_at_second(progress):
        seen.append(progress.name)
        if progress.name == "2020-02-01":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment(Series(tuple(dates)), segmenter, tmp_path / "maps", progress=stop_at_second)
    seen.clear()
    segment(Series(tuple(dates)), segmenter, tmp_path / "maps", progress=lambda progress: seen.append(progress.name))
    assert set(seen) == {"2020-02-01"} or not seen
    assert len(list((tmp_path / "maps").glob("*.tif"))) == 2


def test_progress_counts_tiles(tmp_path, scene, segmenter):
    told = []
    segment(scene, segmenter, tmp_path / "map.tif", tile=512, progress=told.append)
    assert [one.tiles_done for one in told] == [1, 2, 3, 4]
    assert {one.tiles for one in told} == {4}
    assert told[-1].seconds_left == 0


def test_ctrl_c_keeps_what_is_finished_and_the_next_run_goes_on(tmp_path, scene, segmenter, whole):
    def interrupt(progress):
        if progress.tiles_done == 3:
            raise KeyboardInterrupt

    out = tmp_path / "map.tif"
    with pytest.raises(KeyboardInterrupt):
        segment(scene, segmenter, out, tile=256, layers=["confidence"], progress=interrupt)
    assert not out.exists()
    told = []
    segment(scene, segmenter, out, layers=["confidence"], progress=told.append)
    assert told[0].tiles == 12  # the tile size is the unfinished run's
    assert told[0].tiles_done == 4
    require_same(out, whole)
    assert not hidden(tmp_path)


def unfinished(out, scene, segmenter, **options):
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment(scene, segmenter, out, tile=256, progress=interrupt, **options)


def test_changed_inputs_are_refused_by_name(tmp_path, scene, segmenter, model, labels, whole):
    out = tmp_path / "map.tif"
    unfinished(out, scene, segmenter)
    others = {
        "references": (scene, pk.Segmenter(model).fit(scene, labels.take(np.arange(6))), {}),
        "method": (scene, pk.Segmenter(model, method="vote").fit(scene, labels), {}),
        "fingerprint": (replace(scene, source="another file"), segmenter, {}),
        "layers": (scene, segmenter, {"layers": ["confidence"]}),
        "tile": (scene, segmenter, {"tile": 512}),
    }
    for what, (other_scene, other_segmenter, options) in others.items():
        with pytest.raises(OutputError, match=rf"unfinished run with other inputs \([^)]*\b{what}\b[^)]* changed\)"):
            segment(other_scene, other_segmenter, out, **options)
    segment(scene, segmenter, out, tile=512, resume=False)
    require_same(out, whole, confidence=False)


def test_a_damaged_tile_is_done_again(tmp_path, scene, segmenter, whole):
    out = tmp_path / "map.tif"
    unfinished(out, scene, segmenter)
    (tile,) = list((tmp_path / ".map.tif.run").glob("*/*.zip"))[:1]
    data = bytearray(tile.read_bytes())
    data[len(data) // 2] ^= 0xFF
    tile.write_bytes(data)
    require_same(segment(scene, segmenter, out), whole, confidence=False)


def test_a_folder_without_a_manifest_is_not_trusted(tmp_path, scene, segmenter, whole):
    (tmp_path / ".map.tif.run" / "0").mkdir(parents=True)
    (tmp_path / ".map.tif.run" / "0" / "0.zip").write_bytes(b"from nowhere")
    require_same(segment(scene, segmenter, tmp_path / "map.tif", tile=256), whole, confidence=False)


def test_a_damaged_manifest_is_refused(tmp_path, scene, segmenter):
    out = tmp_path / "map.tif"
    unfinished(out, scene, segmenter)
    (tmp_path / ".map.tif.run" / "manifest.json").write_text("{")
    with pytest.raises(OutputError, match=r"not a manifest that can be read .* resume=False"):
        segment(scene, segmenter, out)


def test_two_runs_of_one_target_at_a_time_are_refused(tmp_path, scene, segmenter):
    out = tmp_path / "map.tif"
    with Run(out, {"tile": 256}), pytest.raises(OutputError, match="is being made by another process"):
        segment(scene, segmenter, out, tile=256)


def test_a_full_disk_keeps_what_is_finished(tmp_path, scene, segmenter, whole, monkeypatch):
    out = tmp_path / "map.tif"
    original, count = os.fsync, 0

    def full(file: int) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise OSError(28, "No space left on device")
        original(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"No space left on device\. Finished tiles are kept"):
        segment(scene, segmenter, out, tile=256)
    monkeypatch.undo()
    told = []
    require_same(segment(scene, segmenter, out, progress=told.append), whole, confidence=False)
    assert told[0].tiles_done == 3


def test_what_is_there_is_not_overwritten(tmp_path, scene, segmenter, whole):
    out = tmp_path / "map.tif"
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="is there already"):
        segment(scene, segmenter, out)
    assert out.read_bytes() == b"precious"
    require_same(segment(scene, segmenter, out, overwrite=True), whole, confidence=False)


def test_what_cannot_work_is_refused_before_anything_is_made(tmp_path, scene, segmenter, model):
    with pytest.raises(NotFittedError, match="no labels yet"):
        segment(scene, pk.Segmenter(model), tmp_path / "map.tif")
    with pytest.raises(ModelError, match="the model expects"):
        segment(pk.ArrayScene(np.ones((2, 9, 9), np.uint8)), segmenter, tmp_path / "map.tif")
    with pytest.raises(InputError, match="memory is 100 MiB, expected at least"):
        segment(scene, segmenter, tmp_path / "map.tif", memory="100MiB")
    assert list(tmp_path.iterdir()) == []


def test_no_more_tiles_are_read_than_are_under_way(tmp_path, scene, segmenter):
    """Backpressure: reading may not run ahead of what is computed and written."""
    from pixelkin.scale.kernel import TileKernel
    from pixelkin.scale.local import run_local

    reads: list[Window] = []

    class Watched:
        def __getattr__(self, name):
            return getattr(scene, name)

        def read(self, window=None):
            reads.append(window)
            return scene.read(window)

    windows = [Window(row, col, 256, 256) for row in (0, 256) for col in (0, 256, 512)]
    kernel = TileKernel(Watched(), scene.fingerprint, segmenter, ())
    for finished, _ in enumerate(run_local(kernel, windows, in_flight=2), 1):
        assert len(reads) <= finished + 2
    assert len(reads) == 6


SCRIPT = """
import json, pathlib, sys
import pixelkin as pk
from pixelkin.scale import segment
folder, out = pathlib.Path(sys.argv[1]), sys.argv[2]
scene = pk.open_scene(json.loads((folder / "scene.json").read_text()))
segmenter = pk.Segmenter(pk.load(folder / "model.safetensors"), workers=2)
segmenter.references = pk.References.load(folder / "references.safetensors")
print("go", flush=True)
segment(scene, segmenter, out, tile=256, layers=["confidence"])
print("done", flush=True)
"""


def test_killed_at_random_moments_it_goes_on_and_gives_the_same_bits(tmp_path, saved, whole):
    out = tmp_path / "map.tif"
    source = random.Random(4)
    kills = 0
    while not out.exists():
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, saved, out], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "go\n"
        if kills < 4:
            time.sleep(source.uniform(0.02, 0.5))
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        process.stdout.close()
        assert process.returncode in (0, -signal.SIGKILL)
    require_same(out, whole)
    with rasterio.open(out) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    manifest = tmp_path / ".map.tif.run" / "manifest.json"
    assert not manifest.exists() or json.loads(manifest.read_text())


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_killed_between_its_last_renames_it_goes_on_and_leaves_nothing(tmp_path, saved, whole, renames):
    """Of confidence, sidecar and map; then before the tiles are removed."""
    out = tmp_path / "map.tif"
    killed = SCRIPT.replace(
        "segment(scene,",
        f"""
import os, signal
replace, done = pathlib.Path.replace, 0
def replace_and_die(path, target):
    global done
    if pathlib.Path(target).name.startswith("map"):
        if done == {renames}:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
    return replace(path, target)
pathlib.Path.replace = replace_and_die
if {renames} == 3:
    import shutil
    shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL) if done == 3 else None
segment(scene,""",
    )
    process = subprocess.run([sys.executable, "-c", killed, saved, out], stdout=subprocess.PIPE, text=True)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "map_confidence.tif").exists() == (renames > 0)
    assert out.exists() == (renames == 3)
    subprocess.run([sys.executable, "-c", SCRIPT, saved, out], stdout=subprocess.PIPE, check=True)
    require_same(out, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.tif", "map.tif.aux.xml", "map_confidence.tif"]


def test_a_map_of_other_references_is_not_taken_for_what_a_killed_run_left(tmp_path, scene, segmenter, labels):
    raw = pk.Segmenter(None).fit(scene, labels)
    out = segment(scene, raw, tmp_path / "map.tif", tile=256)
    with Run(out, {"tile": 256}):
        pass
    with pytest.raises(OutputError, match=r"map\.tif is there already"):
        segment(scene, segmenter, out, tile=256)


def test_threads_that_nobody_asked_for_are_as_many_as_the_memory_is_enough_for(monkeypatch, tmp_path):
    """A machine of many cores maps within the default memory."""
    scene = ArrayScene(np.random.default_rng(0).normal(size=(3, 64, 64)).astype(np.float32), bands=("red", "green", "blue"))
    segmenter = pk.Segmenter(workers=64).fit(scene, LabelledPixels.from_arrays([3, 40], [5, 50], [1, 2]))
    expected = segmenter.predict(scene).classes
    segment(scene, segmenter, tmp_path / "map.tif", memory="2GiB")
    np.testing.assert_array_equal(read_map(tmp_path / "map.tif").classes, expected)
    with pytest.raises(InputError, match="64 workers"):
        segment(scene, segmenter, tmp_path / "other.tif", memory="2GiB", workers=64)
