"""`pixelkin doctor`."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from .options import json_option, print_json

_PACKAGES = (
    "pixelkin",
    "torch",
    "numpy",
    "rasterio",
    "geopandas",
    "shapely",
    "scikit-learn",
    "safetensors",
    "fastapi",
    "distributed",
    "localtileserver",
)


@click.command("doctor")
@json_option
def doctor_command(as_json: bool) -> None:
    """Check this installation: versions, devices, GDAL drivers, and a self-test of some seconds."""
    facts = inspect()
    checks = self_test()
    if as_json:
        print_json({**facts, "checks": checks})
    else:
        for name, value in facts.items():
            click.echo(f"{name:<18}{value}")
        for name, outcome in checks.items():
            click.echo(f"{'ok  ' if outcome == 'ok' else 'FAIL'}  {name}" + ("" if outcome == "ok" else f": {outcome}"))
    if any(outcome != "ok" for outcome in checks.values()):
        sys.exit(1)


def inspect() -> dict[str, Any]:
    """Versions and devices."""
    import rasterio
    import torch
    from rasterio.drivers import raster_driver_extensions

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    drivers = sorted(set(raster_driver_extensions().values()))
    return {
        "python": platform.python_version(),
        **{name: installed(name) for name in _PACKAGES},
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "CUDA": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "MPS": "yes" if torch.backends.mps.is_available() else "none",
        "GDAL": rasterio.__gdal_version__,
        "GDAL drivers": ", ".join(drivers),
    }


def self_test() -> dict[str, str]:
    """Train a tiny model, compare the dense engine with the literal algorithm, write and read a map: 'ok' or what went wrong, each."""
    import numpy as np

    from ..features import collect, embed, stack_of
    from ..model import ModelConfig, Network, Standardisation
    from ..model.model import Model
    from ..raster import read_map
    from ..scene import ArrayScene
    from ..segmenter import Segmenter
    from ..similarity import MutualInformation, literal
    from ..training import train
    from ..types import LabelledPixels

    rng = np.random.default_rng(0)
    data = np.repeat(np.repeat(rng.integers(0, 255, (3, 8, 8)), 8, 1), 8, 2) + rng.integers(0, 9, (3, 64, 64))
    scene = ArrayScene(data.astype(np.float32), crs="EPSG:32631", transform=(10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))
    labels = LabelledPixels.from_arrays([3, 40], [5, 50], [1, 2])

    def trains() -> None:
        train(scene, patch_size=7, steps=3, device="cpu")

    def equals_the_literal_algorithm() -> None:
        model = Model(Network(ModelConfig(bands=scene.bands, patch_size=9)), Standardisation.estimate(data.reshape(3, -1), scene.bands))
        measure = MutualInformation(model, "local")
        dense = measure.distances(
            measure.project(embed(model, scene, scene.grid.window)),
            measure.prepare(collect(stack_of(model), scene, labels)),
            absolute=True,
        )
        asked = np.array([[0, 0], [30, 20], [63, 63]])
        expected = literal.distances(model, scene, asked, np.stack([labels.rows, labels.cols], 1))
        np.testing.assert_allclose(dense.numpy()[:, asked[:, 0], asked[:, 1]], expected, rtol=1e-4)

    def writes_and_reads_a_map() -> None:
        result = Segmenter(None).fit(scene, labels).predict(scene)
        with tempfile.TemporaryDirectory() as folder:
            np.testing.assert_array_equal(read_map(result.write(Path(folder) / "map.tif")).classes, result.classes)

    def outcome(check: Callable[[], None]) -> str:
        # Whatever goes wrong in a self-test is its result.
        try:
            check()
        except Exception as exc:
            return f"{type(exc).__name__}: {exc}"
        return "ok"

    return {check.__name__.replace("_", " "): outcome(check) for check in (trains, equals_the_literal_algorithm, writes_and_reads_a_map)}
