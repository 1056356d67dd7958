"""A real cluster of processes: the same bits, also when workers are killed."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from pixelkin.errors import InputError, OutputError
from pixelkin.scale import segment
from pixelkin.scale.dask import connect

from .test_segment import require_same


@pytest.fixture(scope="module")
def client():
    with connect(workers=2) as client:
        yield client


def pid() -> int:
    return os.getpid()


def test_the_same_bits_from_a_cluster(tmp_path, client, scene, segmenter, whole):
    told = []
    out = segment(scene, segmenter, tmp_path / "map.tif", tile=256, client=client, layers=["confidence"], progress=told.append)
    require_same(out, whole)
    assert [one.tiles_done for one in told] == list(range(1, 13))


def test_workers_killed_in_mid_run_lose_nothing(tmp_path, client, scene, segmenter, whole):
    killed = set()

    def kill(progress):
        if progress.tiles_done in (2, 6):
            victim = sorted(set(client.run(pid, on_error="ignore").values()))[0]
            killed.add(victim)
            os.kill(victim, signal.SIGKILL)

    out = segment(scene, segmenter, tmp_path / "map.tif", tile=256, client=client, layers=["confidence"], progress=kill)
    assert len(killed) == 2
    require_same(out, whole)


def test_a_run_begun_on_threads_ends_on_a_cluster(tmp_path, client, scene, segmenter, whole):
    def interrupt(_):
        raise KeyboardInterrupt

    out = tmp_path / "map.tif"
    with pytest.raises(KeyboardInterrupt):
        segment(scene, segmenter, out, tile=256, layers=["confidence"], progress=interrupt)
    told = []
    require_same(segment(scene, segmenter, out, client=client, layers=["confidence"], progress=told.append), whole)
    assert told[0].tiles_done > 1


def test_names_of_tasks_follow_from_the_inputs(tmp_path, client, scene, segmenter):
    def names() -> set[str]:
        seen: set[str] = set()
        segment(
            scene, segmenter, tmp_path / "map.tif", tile=512, client=client, overwrite=True,
            progress=lambda _: seen.update(key for keys in client.has_what().values() for key in keys),
        )  # fmt: skip
        return seen

    kernels = [{name for name in names() if name.startswith("pixelkin-kernel")} for _ in range(2)]
    assert kernels[0] == kernels[1]
    assert len(kernels[0]) == 1


def test_an_error_of_a_tile_reaches_the_caller(tmp_path, client, scene, segmenter, scene_path):
    lost = replace(scene, path=str(scene_path) + ".gone")
    with pytest.raises(InputError, match="does not exist"):
        segment(lost, segmenter, tmp_path / "map.tif", tile=256, client=client)


def test_exactly_one_cluster_is_named():
    with pytest.raises(InputError, match="expected exactly one of them"), connect():
        pass
    with pytest.raises(InputError, match="expected exactly one of them"), connect(scheduler="tcp://127.0.0.1:1", workers=2):
        pass


def test_a_running_scheduler_is_used(tmp_path, client, scene, segmenter, whole):
    with connect(scheduler=client.scheduler.address) as second:
        require_same(segment(scene, segmenter, tmp_path / "map.tif", tile=512, client=second), whole, confidence=False)


def test_what_is_there_is_not_overwritten(tmp_path, client, scene, segmenter):
    (tmp_path / "map.tif").write_bytes(b"precious")
    with pytest.raises(OutputError, match="is there already"):
        segment(scene, segmenter, tmp_path / "map.tif", client=client)
