"""A strip of a large photograph, mapped by pretrained features within a memory budget: rate and peak memory.

    python -m benchmarks.photo_tile [--rows 512] [--width 30000] [--memory 2GiB]

Red, green and blue are generated. Blocks are described and forgotten one by one, so that memory does not depend on how many rows there are: --rows 30000 maps the whole image.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio


def write_strip(path: Path, rows: int, width: int) -> None:
    """Patches of 32 x 32 pixels of twelve colours, with noise."""
    rng = np.random.default_rng(0)
    colours = rng.integers(20, 236, (12, 3))
    grid = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 4_600_000)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=rows, width=width, dtype="uint8", tiled=True, transform=grid, crs="EPSG:32631", photometric="RGB"
    ) as file:  # fmt: skip
        file.descriptions = ("red", "green", "blue")
        for row in range(0, rows, 256):
            height = min(256, rows - row)
            kinds = rng.integers(0, 12, (-(-height // 32), -(-width // 32))).repeat(32, 0).repeat(32, 1)[:height, :width]
            noisy = colours[kinds].transpose(2, 0, 1) + rng.normal(0, 12, (3, height, width)).astype(np.float32)
            file.write(noisy.clip(0, 255).astype(np.uint8), window=((row, row + height), (0, width)))


def main() -> None:
    """Generate, map with the command line in a process of its own, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--width", type=int, default=30_000)
    parser.add_argument("--memory", default="2GiB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        image, marks, out = (Path(made) / name for name in ("image.tif", "marks.csv", "map.tif"))
        write_strip(image, options.rows, options.width)
        at = np.random.default_rng(1).integers(0, (options.width, options.rows), (60, 2))
        lines = [f"{500_000 + (x + 0.5) / 2},{4_600_000 - (y + 0.5) / 2},{'abc'[i % 3]}" for i, (x, y) in enumerate(at.tolist())]
        marks.write_text("\n".join(["x,y,class", *lines]) + "\n")
        command = ["segment", image, "--labels", marks, "--out", out, "--memory", options.memory, "--features", "bands,pretrained"]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pixelkin", *map(str, command)], check=True)
        seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    size = options.rows * options.width / 1e6
    print(
        f"{options.rows} x {options.width} x 3 by pretrained features: {seconds:.0f} s, {size / seconds:.3f} Mpx/s, {(used.ru_utime + used.ru_stime) / size:.1f} CPU s a Mpx, "
        f"peak memory {used.ru_maxrss / 2**20:.2f} GiB of {options.memory}"
    )


if __name__ == "__main__":
    main()
