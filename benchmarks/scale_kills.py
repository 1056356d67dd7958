"""Kill a run at random moments, many times, and compare the map with that of an undisturbed one.

Run: python benchmarks/scale_kills.py [--kills 200]. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import numpy as np

import pixelkin as pk
from pixelkin.raster import read_map
from pixelkin.scale import segment
from scale import make_raster, make_segmenter


def main() -> None:
    """Fork a run, kill it, start over; a fresh start of Python for each would take most of the time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--side", type=int, default=4096)
    arguments = parser.parse_args()
    source, kills, restarts, maps, wrong, tiles_redone = random.Random(0), 0, 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = make_raster(folder / "scene.tif", arguments.side)

        def in_child(out: Path) -> int:
            child = os.fork()
            if child == 0:
                # References, threads and open files are made here: a fork must not inherit them.
                scene = pk.open_scene(path)
                segment(scene, make_segmenter(scene, 8), out, tile=256, overwrite=True, confidence=True)
                os._exit(0)
            return child

        os.waitpid(in_child(folder / "whole.tif"), 0)
        while kills < arguments.kills:
            out = folder / f"map{maps}.tif"
            while not out.exists():
                child = in_child(out)
                if kills < arguments.kills:
                    time.sleep(source.uniform(0.1, 4.0))
                    before = len(list(folder.glob(f".{out.name}.run/*/*.zip")))
                    os.kill(child, signal.SIGKILL)
                    kills += 1
                    tiles_redone += before == 0
                os.waitpid(child, 0)
                restarts += 1
            # In a child too, so that this process never starts a thread.
            check = os.fork()
            if check == 0:
                ours, theirs = read_map(out), read_map(folder / "whole.tif")
                same = np.array_equal(ours.classes, theirs.classes) and np.array_equal(ours.confidence, theirs.confidence)
                os._exit(0 if same and np.array_equal(ours.valid, theirs.valid) else 1)
            wrong += os.waitstatus_to_exitcode(os.waitpid(check, 0)[1])
            maps += 1
    print(
        json.dumps(
            {"kills": kills, "starts": restarts, "maps": maps, "maps_that_differ": wrong, "killed_before_a_first_tile": tiles_redone}
        )
    )


if __name__ == "__main__":
    main()
