"""Which rooms may touch the outside world, and how quickly the package starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

OUTSIDE = ("rasterio", "geopandas", "dask", "fastapi", "matplotlib", "click")


def loaded(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(m.split('.')[0] for m in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_pixelkin_loads_neither_torch_nor_gdal():
    assert not loaded("import pixelkin") & {"torch", "numpy", *OUTSIDE}


@pytest.mark.parametrize("room", ["types", "scene", "model", "similarity", "training", "segmenter"])
def test_pure_rooms_open_no_files(room):
    assert not loaded(f"import pixelkin.{room}") & set(OUTSIDE)


def test_every_public_name_is_there():
    import pixelkin

    for name in pixelkin.__all__:
        assert getattr(pixelkin, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pixelkin.nothing
