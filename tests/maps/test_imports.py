import subprocess
import sys

import pytest

import pixelkin.maps


def test_importing_the_room_loads_nothing_heavy():
    heavy = "{'matplotlib', 'geopandas', 'pandas', 'rasterio', 'sklearn', 'pyproj', 'torch'}"
    code = f"import sys, pixelkin.maps; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", pixelkin.maps.__all__)
def test_every_public_name_is_there(name):
    assert getattr(pixelkin.maps, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'pixelkin.maps' has no attribute 'nothing'"):
        _ = pixelkin.maps.nothing
