"""Kill a run over its whole life, many times, and compare tiles and maps with those of an undisturbed one.

Run: python benchmarks/scale_kills.py [--kills 200] [--out report.json]. Prints JSON.

A start that has tiles to do is killed some time after its first new one, and a start that has none some time while it writes the final files, so
that several kills fall on every map; one start in ten is killed at any moment from its very beginning.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import pixelkin as pk
from pixelkin.raster import read_map
from pixelkin.scale import segment
from pixelkin.types import LabelledPixels
from scale import make_raster

TILE = 256


class Child:
    """Work in a fork: a fresh start of Python for each kill would take most of the time."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                work()
                os._exit(0)
            except BaseException as exc:
                print(f"{type(exc).__name__}: {exc}", flush=True)
                os._exit(1)

    def alive(self) -> bool:
        """False once it has ended; then `code` is its exit code."""
        if self.code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if found else None
        return self.code is None

    def wait(self) -> int:
        """Its exit code."""
        while self.alive():
            time.sleep(0.001)
        assert self.code is not None
        return self.code


def make_map(path: Path, out: Path, kept: Path | None = None) -> None:
    """The run under test. References, threads and open files are made here: a fork must not inherit them."""
    scene = pk.open_scene(path)
    rows, cols = np.random.default_rng(0).integers(0, min(scene.grid.shape), (2, 24))
    segmenter = pk.Segmenter(method="nearest", workers=1).fit(scene, LabelledPixels.from_arrays(rows, cols, np.arange(24) % 4 + 1))

    def keep(told: Any) -> None:
        if kept is not None and told.tiles_done == told.tiles:
            shutil.copytree(folder_of(out), kept)

    segment(scene, segmenter, out, tile=TILE, layers=["confidence"], progress=keep)


def folder_of(out: Path) -> Path:
    """Where a run keeps its tiles."""
    return out.with_name(f".{out.name}.run")


def tiles_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Finished tiles; the numbers change where one is written again."""
    found = {}
    with suppress(FileNotFoundError):  # the run is tidying up
        for path in folder.glob("*/*.zip"):
            found[str(path.relative_to(folder))] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def content(path: Path) -> list[tuple[str, int]] | None:
    """Arrays of a tile and their checksums, None where it is damaged; bytes differ by the time that zip notes."""
    try:
        with zipfile.ZipFile(path) as archive:
            return None if archive.testzip() else [(info.filename, info.CRC) for info in archive.infolist()]
    except zipfile.BadZipFile:
        return None


def compare(ours: Path, theirs: Path) -> None:
    """Raise where two maps differ."""
    first, second = read_map(ours), read_map(theirs)
    np.testing.assert_array_equal(first.classes, second.classes)
    np.testing.assert_array_equal(first.valid, second.valid)
    np.testing.assert_array_equal(first.confidence, second.confidence)


def time_of(path: Path, out: Path, tiles: int) -> tuple[float, float, float]:
    """Seconds to the first tile, from there to the last, and from there to the end of an undisturbed run."""
    began, moments = time.monotonic(), {}
    child = Child(lambda: make_map(path, out))
    while child.alive():
        there = len(tiles_of(folder_of(out)))
        for name, enough in (("first", there > 0), ("last", there == tiles)):
            if enough:
                moments.setdefault(name, time.monotonic() - began)
        time.sleep(0.002)
    return moments["first"], moments["last"] - moments["first"], time.monotonic() - began - moments["last"]


def main() -> None:
    """Kill until there were enough."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    source, began = random.Random(0), time.monotonic()
    kills: Counter[str] = Counter()
    report: Counter[str] = Counter(
        dict.fromkeys(("starts", "maps", "maps_that_differ", "tiles_that_differ", "tiles_lost", "left_behind"), 0)
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = make_raster(folder / "scene.tif", arguments.side)
        count = (-(-arguments.side // TILE)) ** 2
        assert Child(lambda: make_map(path, folder / "whole.tif", folder / "kept")).wait() == 0
        wanted = {tile: content(folder / "kept" / tile) for tile in tiles_of(folder / "kept")}
        assert len(wanted) == count
        setting_out, among_tiles, writing = time_of(path, folder / "timed.tif", count)
        while kills.total() < arguments.kills:
            report["maps"] += 1
            out = folder / f"map{report['maps']}.tif"
            there: dict[str, tuple[int, int]] = {}
            while not out.exists():
                report["starts"] += 1
                child = Child(lambda out=out: make_map(path, out))
                if source.random() < 0.1:
                    time.sleep(source.uniform(0, setting_out + among_tiles))
                elif len(there) == count:
                    time.sleep(source.uniform(0, 2 * (setting_out + writing)))
                else:
                    while child.alive() and len(tiles_of(folder_of(out))) <= len(there):
                        time.sleep(0.002)
                    time.sleep(source.uniform(0, among_tiles / 5))
                if not child.alive():
                    assert child.code == 0, "a start failed by itself"
                    break
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
                now = tiles_of(folder_of(out))
                phase = (
                    "tidying"
                    if out.exists()
                    else "final_files"
                    if len(now) == count
                    else "among_tiles"
                    if len(now) > len(there)
                    else "before_a_new_tile"
                )
                kills[phase] += 1
                report["tiles_that_differ"] += sum(content(folder_of(out) / tile) != wanted[tile] for tile in now)
                if phase != "tidying":
                    report["tiles_lost"] += sum(now.get(tile) != stamp for tile, stamp in there.items())
                    there = now
            if phase != "tidying":  # else what was finished is still being removed
                report["left_behind"] += len(list(folder.glob(f".{out.name}*")))
            report["maps_that_differ"] += Child(lambda out=out: compare(out, folder / "whole.tif")).wait() != 0
            for old in folder.glob(f"*{out.stem}*"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    seconds = {"to_first_tile": setting_out, "among_tiles": among_tiles, "final_files": writing, "all": time.monotonic() - began}
    text = json.dumps(
        {"side": arguments.side, "tiles_of_a_map": count, "kills": kills.total(), "killed": dict(kills), **report, "seconds": seconds},
        indent=1,
    )
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
