"""A page as PDF, printed by a browser that the machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..errors import OutputError

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
_PATIENCE_S = 120


def find_browser() -> str:
    """A browser that prints without a window: that of the variable PIXELKIN_CHROMIUM, or one of the usual names and places.

    Raises:
        OutputError: There is none.
    """
    named = os.environ.get("PIXELKIN_CHROMIUM")
    for name in (named,) if named else (*_BROWSERS, *_PLACES):
        found = shutil.which(name)
        if found:
            return found
    raise OutputError(
        f"no browser is there to write a PDF ({named or 'Chromium, Chrome or Edge'}), expected one. Write .html and print it from any browser, "
        "or name one in PIXELKIN_CHROMIUM."
    )


def print_pdf(page: Path, path: Path) -> None:
    """Print an HTML page of this machine as PDF; `path` is written over.

    Raises:
        OutputError: There is no browser, or it fails.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            find_browser(), "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}",
            "--no-pdf-header-footer", f"--print-to-pdf={path.absolute()}",
        ]  # fmt: skip
        # In containers all runs as root, where Chromium's sandbox refuses to start; the page is our own.
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")
        try:
            ran = subprocess.run([*command, page.absolute().as_uri()], capture_output=True, timeout=_PATIENCE_S, check=False)
            said = ran.stderr.decode(errors="replace").strip().splitlines()
        except (OSError, subprocess.TimeoutExpired) as exc:
            said = [str(exc)]
        if not path.is_file() or not path.stat().st_size:
            raise OutputError(
                f"the browser {command[0]} wrote no PDF: {said[-1] if said else 'it said nothing'}. Write .html and print it."
            )
