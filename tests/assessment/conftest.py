import numpy as np
import pytest

from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, Legend

UTM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


@pytest.fixture(scope="session")
def make_map():
    """Build a map of the classes given, on 10 m pixels in UTM unless told otherwise."""

    def build(classes, *, names=("water", "land", "ice"), valid=None, transform=UTM, crs="EPSG:32631"):
        classes = np.asarray(classes, np.uint8)
        valid = np.ones(classes.shape, bool) if valid is None else np.asarray(valid, bool)
        return Segmentation(classes, valid.astype(np.float32), valid, Legend.from_names(names), Grid(*classes.shape, transform, crs))

    return build
