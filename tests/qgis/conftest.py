"""Real QGIS, where the system has one: `make qgis-install` brings it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def qgis(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command of QGIS with the plugin in a profile of its own, and pixelkin from this environment on its PATH."""
    # Debian's /usr/bin/qgis_process is a wrapper that hands on an option that this version does not know.
    if shutil.which("qgis_process.bin") is None:
        pytest.skip("QGIS is not installed: make qgis-install (Debian, 1.2 GB)")
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    plugins = home / "profiles" / "default" / "python" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "pixelkin").symlink_to(ROOT / "qgis" / "pixelkin")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")},
        "HOME": str(home),
        "QGIS_CUSTOM_CONFIG_PATH": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PATH": f"{program(home)}{os.pathsep}/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
    }

    def run(*command: str | Path, timeout: float = 240, **more: str) -> subprocess.CompletedProcess[str]:
        env = {"QT_QPA_PLATFORM": "offscreen", **environment, **more}
        return subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, timeout=timeout, check=False)

    enabled = run("qgis_process.bin", "plugins", "enable", "pixelkin")
    assert enabled.returncode == 0, enabled.stdout + enabled.stderr
    return run


def program(home: Path) -> Path:
    """A folder with a program pixelkin that runs this checkout, whatever environment QGIS hands on."""
    folder = home / "bin"
    folder.mkdir()
    script = folder / "pixelkin"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT / "src"} exec {sys.executable} -m pixelkin "$@"\n')
    script.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def vegas(imagery: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A copy of a real image, and some sixty marks on it as a layer."""
    import geopandas
    from shapely.geometry import Point

    folder = tmp_path_factory.mktemp("vegas")
    image = folder / "image.tif"
    shutil.copy(imagery / "vegas" / "image.tif", image)
    with rasterio.open(imagery / "vegas" / "classes.tif") as source:
        truth, transform, crs = source.read(1), source.transform, source.crs
    rng = np.random.default_rng(3)
    rows, names = [], []
    for class_id, name in ((1, "building"), (2, "road"), (3, "tree")):
        for row, col in rng.permutation(np.argwhere(truth == class_id))[:20]:
            rows.append(Point(*(transform @ (col + 0.5, row + 0.5))))
            names.append(name)
    marks = folder / "marks.gpkg"
    geopandas.GeoDataFrame({"kind of surface": names}, geometry=rows, crs=crs).to_file(marks, layer="marks")
    return image, marks
