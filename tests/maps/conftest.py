import numpy as np
import pytest

from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, Legend

UTM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


def _make_map(classes, *, legend=None, valid=None, transform=UTM, crs="EPSG:32631"):
    classes = np.asarray(classes, np.uint8)
    valid = np.ones(classes.shape, bool) if valid is None else np.asarray(valid, bool)
    legend = legend or Legend.from_names(f"class {i}" for i in range(1, max(2, int(classes.max())) + 1))
    return Segmentation(classes, valid.astype(np.float32), valid, legend, Grid(*classes.shape, transform, crs))


@pytest.fixture(scope="session")
def make_map():
    """Build a map of the classes given: 10 m pixels in UTM unless told otherwise; 0 is undecided where valid."""
    return _make_map
