"""A tile of ready-made vectors of 128 numbers, as wide as one of Sentinel-2, mapped within a memory budget: rate and peak memory.

    python -m benchmarks.embedding_tile [--rows 1024] [--memory 2GiB]

The vectors are generated, int8 with a scale a pixel as TESSERA's are, and repeat after 512 rows. --rows 10980 maps a whole tile, of 15 GB.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTH, BANDS, REPEAT = 10_980, 128, 512
NAME = "grid_0.00_0.00_2024.npy"


def write_tile(path: Path, rows: int) -> None:
    """Patches of 32 x 32 pixels of twelve kinds, with noise."""
    rng = np.random.default_rng(0)
    out = np.lib.format.open_memmap(path, "w+", np.int8, (rows, WIDTH, BANDS))
    kinds = rng.integers(-90, 90, (12, BANDS))
    for row in range(0, min(rows, REPEAT), 32):
        height = min(32, rows - row)
        patch = kinds[rng.integers(0, 12, -(-WIDTH // 32))].repeat(32, 0)[:WIDTH]
        out[row : row + height] = np.clip(patch + rng.normal(0, 12, (height, WIDTH, BANDS)).astype(np.float32), -127, 127)
    for row in range(REPEAT, rows, REPEAT):
        out[row : row + REPEAT] = out[: min(REPEAT, rows - row)]
    out.flush()
    np.save(path.with_name(f"{path.stem}_scales.npy"), rng.uniform(0.01, 0.03, (rows, WIDTH)).astype(np.float32))


def main() -> None:
    """Generate, map with the command line in a process of its own, and say what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        path = folder / NAME
        # In a process of its own: memory that this one had before it starts another counts for that one.
        writer = multiprocessing.get_context("spawn").Process(target=write_tile, args=(path, options.rows))
        writer.start()
        writer.join()
        rng = np.random.default_rng(1)
        marks = rng.integers(0, (WIDTH, options.rows), (24, 2))
        lines = [f"{x + 0.5},{y + 0.5},{'ab'[i % 2]}" for i, (x, y) in enumerate(marks.tolist())]
        (folder / "marks.csv").write_text("\n".join(["x,y,class", *lines]) + "\n")
        start = time.perf_counter()
        command = [
            "segment",
            str(path),
            "--labels",
            str(folder / "marks.csv"),
            "--out",
            str(folder / "map.tif"),
            "--memory",
            options.memory,
            "--overwrite",
        ]
        process = subprocess.Popen([sys.executable, "-m", "pixelkin", *command])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit("the tile was not mapped")
        seconds = time.perf_counter() - start
        peak = usage.ru_maxrss / 2**20
        megapixels = options.rows * WIDTH / 1e6
        print(
            f"{options.rows} x {WIDTH} pixels of {BANDS} numbers: {seconds:.0f} s, {megapixels / seconds:.3f} Mpx/s, peak memory {peak:.2f} GiB of {options.memory}"
        )


if __name__ == "__main__":
    main()
