"""From a click on the canvas of QGIS to the repainted map, at 1 Mpx: python -m benchmarks.qgis [FOLDER OF IMAGERY].

The journey of tests/qgis in a real QGIS on a virtual screen, on 1000 x 1000 pixels of real imagery (vegas, beside its mirror images), with its own pretrained features.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import rasterio
from tests.qgis import conftest

JOURNEY = Path(conftest.__file__).with_name("journey.py")
SIDE, MARKS, TIMED = 1000, 14, 8


def main(imagery: Path) -> None:
    """Make the image, mark it in QGIS, print quantiles."""
    with tempfile.TemporaryDirectory(prefix="pixelkin-qgis-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        image = folder / "image.tif"
        with rasterio.open(imagery / "vegas" / "image.tif") as source, rasterio.open(imagery / "vegas" / "classes.tif") as classes:
            profile, names = source.profile, source.descriptions
            pixels, truth = (np.pad(one, ((0, 0), (0, 350), (0, 500)), mode="symmetric") for one in (source.read(), classes.read()))
        with rasterio.open(image, "w", **{**profile, "width": SIDE, "height": SIDE}) as target:
            target.write(pixels)
            target.descriptions = names
        rng = np.random.default_rng(4)
        inner = truth[0, 20:-20, 20:-20]
        points = {
            name: (rng.permutation(np.argwhere(inner == i))[:MARKS, ::-1] + 20).tolist()
            for i, name in ((1, "building"), (2, "road"), (3, "tree"))
        }
        run = conftest.qgis.__wrapped__(SimpleNamespace(mktemp=lambda _: Path(tempfile.mkdtemp(dir=folder))))
        out = folder / "out"
        out.mkdir()
        run(
            "xvfb-run", "-a", "-s", "-screen 0 1400x900x24", "qgis.bin", "--nologo", "--noversioncheck", "--code", JOURNEY,
            JOURNEY_OUT=str(out), JOURNEY_IMAGE=str(image), JOURNEY_POINTS=json.dumps(points), JOURNEY_TIMED=str(TIMED),
            QT_QPA_PLATFORM="xcb", timeout=500,
        )  # fmt: skip
        told = json.loads((out / "told.json").read_text())
        if "repaint_s" not in told:
            sys.exit(told["error"])
        written, shown = (1000 * np.array(told["repaint_s"])).T
        for what, times in (("layer written and repaint asked for", written), ("canvas shows it", shown)):
            print(f"{what}: median {np.median(times):.0f} ms, 90 % {np.quantile(times, 0.9):.0f} ms, of {len(times)} clicks")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PIXELKIN_DATA", "../shared/data")))
