"""What the built page consists of."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import missing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def static() -> Path:
    from .conftest import STATIC

    if not (STATIC / "index.html").exists():
        missing("The labelling page is not built: run `pip install -e .`, or `npm ci && npm run build` in frontend/.")
    return STATIC


def test_the_page_weighs_at_most_180_kb(static: Path) -> None:
    weight = sum(len(gzip.compress(path.read_bytes())) for path in static.rglob("*") if path.is_file())
    assert weight <= 180_000


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(static: Path) -> None:
    page = (static / "index.html").read_text()
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), "an inline script breaks the Content-Security-Policy"
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    for path in static.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:|//|data:)|@import", path.read_text())


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "frontend" / "package-lock.json").read_text()


def test_the_page_was_built_from_these_sources(static: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path; from hatch_build import up_to_date; print(up_to_date(Path({str(ROOT)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip("hatchling is not installed here")
    if not (static / "sources.sha256").exists():
        pytest.skip("the page was built by hand, without the build hook")
    assert done.stdout.strip() == "True", "frontend/ changed since the page was built: run `pip install -e .`"
