"""The rehearsal of Potsdam: files of the size and layout that ISPRS hands out, generated, and `reproduce all` on them, unattended.

    python -m benchmarks.potsdam [--folder FOLDER] [--budget smoke]

38 tiles of 6000 x 6000 x 4 with labels of 24 take 8.1 GB, what is prepared 1.3 GB. The generated surfaces say nothing of accuracy; what is measured is
whether everything runs to its end, how long each part takes and how much disk it needs. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from pixelkin.experiments.potsdam import LEGEND, POTSDAM
from pixelkin.types import UInt8Array

BLOCK = 60
"""Side of an object in pixels, 3 m; cars are as large as houses, which does not matter here."""


def classes_of_tile(side: int, rng: np.random.Generator) -> UInt8Array:
    """Objects in a chessboard of random classes, cars and clutter rare as they are."""
    cells = rng.choice(np.arange(1, 7, dtype=np.uint8), (-(-side // BLOCK), -(-side // BLOCK)), p=(0.28, 0.26, 0.22, 0.15, 0.04, 0.05))
    return cells.repeat(BLOCK, 0).repeat(BLOCK, 1)[:side, :side]


def image_of(classes: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Four bands: a colour for each class, another brightness for each object, and noise."""
    colors = np.random.default_rng(6).integers(40, 200, (7, 4)).astype(np.float32)
    side = len(classes)
    light = rng.normal(0, 12, (-(-side // BLOCK), -(-side // BLOCK))).astype(np.float32).repeat(BLOCK, 0).repeat(BLOCK, 1)[:side, :side]
    bands = [np.clip(colors[classes, band] + light + rng.normal(0, 15, classes.shape).astype(np.float32), 0, 255) for band in range(4)]
    return np.stack(bands).astype(np.uint8)


def write(path: Path, data: UInt8Array, west: float) -> None:
    """Uncompressed, as the files are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "height": data.shape[1],
        "width": data.shape[2],
        "count": len(data),
        "dtype": "uint8",
        "crs": "EPSG:32633",
    }
    with rasterio.open(path, "w", **profile, transform=Affine(0.05, 0, west, 0, -0.05, 5_800_000)) as out:
        out.write(data)


def generate(folder: Path, tiles: Sequence[str]) -> None:
    """Tiles that are there are kept."""
    painted = np.zeros((256, 3), np.uint8)
    for entry in LEGEND:
        painted[entry.id] = entry.color
    for number, tile in enumerate(tiles):
        image = folder / "4_Ortho_RGBIR" / f"top_potsdam_{tile}_RGBIR.tif"
        label = folder / "5_Labels_for_participants" / f"top_potsdam_{tile}_label.tif"
        if image.exists() and (label.exists() or tile in POTSDAM.unlabelled):
            continue
        rng = np.random.default_rng(number)
        classes = classes_of_tile(POTSDAM.tile_px, rng)
        if tile in POTSDAM.labelled:
            write(label, painted[classes].transpose(2, 0, 1), 300 * number)
        write(image, image_of(classes, rng), 300 * number)


def size_of(folder: Path) -> float:
    """GB of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def main() -> None:
    """Generate, run the command line in a process of its own, and say what each part took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--budget", default="smoke")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        start = time.perf_counter()
        generate(folder / "isprs", (*POTSDAM.labelled, *POTSDAM.unlabelled))
        print(f"generated in {time.perf_counter() - start:.0f} s: {size_of(folder / 'isprs'):.1f} GB", flush=True)
        out = folder / "results"
        start, began = time.perf_counter(), time.time()
        command = [
            sys.executable,
            "-m",
            "pixelkin",
            "reproduce",
            "all",
            "--data",
            str(folder / "isprs"),
            "--budget",
            options.budget,
            "--out",
            str(out),
        ]
        code = subprocess.run(command, check=False).returncode
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(
            f"reproduce all --budget {options.budget}: exit {code}, {time.perf_counter() - start:.0f} s, at most {memory:.1f} GiB of memory"
        )
        for name in ("potsdam", "cache"):
            print(f"{name}: {size_of(out / name):.2f} GB")
        # Each part's last file, in the order in which they were written.
        ended = {"preparing": out / "potsdam" / "dataset.json"} | {path.stem: path for path in out.glob("*.json")}
        for name, path in sorted(ended.items(), key=lambda part: part[1].stat().st_mtime):
            print(f"{name}: {path.stat().st_mtime - began:.0f} s")
            began = path.stat().st_mtime


if __name__ == "__main__":
    main()
