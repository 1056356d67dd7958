"""What tests need beside Python: where it is missing they skip, visibly, but where `CI` is set they fail."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

CHROMIUM = Path(os.environ.get("PIXELKIN_CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium"))


def missing(what: str) -> NoReturn:
    """Skip for want of something, or fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} It must be there where CI is set.", pytrace=False)
    pytest.skip(what)


def require_chromium() -> None:
    """Chromium, where browsers are driven."""
    if not CHROMIUM.exists():
        missing(f"{CHROMIUM} is not there: install chromium, or name another one in PIXELKIN_CHROMIUM.")
