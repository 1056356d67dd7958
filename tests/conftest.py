"""What all rooms' tests share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# One profile everywhere: the same examples on every run, and no time limit on a busy machine.
settings.register_profile("pixelkin", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("pixelkin")


@pytest.fixture(scope="session")
def imagery() -> Path:
    """The folder of real imagery; skips, visibly, where it is absent."""
    folder = Path(os.environ.get("PIXELKIN_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real imagery is not at {folder}; set PIXELKIN_DATA")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200914)
