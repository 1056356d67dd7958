"""Where maps are written: all files of one name come from one run.

A run writes into a hidden folder first. Its files take their places when all of them are there, and those of an earlier run of
that name go, whatever their formats and images. A run that fails or is called off changes nothing.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError
from ..files import refused, replacing

_FILES = (
    "{}.tif",
    "{}.tif.aux.xml",
    "{}_confidence.tif",
    "{}_confidence.tif.aux.xml",
    "{}_similarity.tif",
    "{}_similarity.tif.aux.xml",
    "{}.gpkg",
    "{}_areas.csv",
)
_RUNS = ".runs.json"
"""In the folder: the files of each run, by name."""


class Exports:
    """A folder of maps."""

    def __init__(self, folder: Path, *, remembers: bool = True) -> None:
        """Look at a folder, which need not be there yet.

        Args:
            folder: Where the files go.
            remembers: Keep a list of each run's files in the folder, so that a later run of that name replaces all of them, and
                not only those of the images that it maps.
        """
        self.folder = folder
        self._remembers = remembers

    def earlier(self, name: str, stems: Iterable[str]) -> list[Path]:
        """Files that a run would take the place of: of the run of this name, and of maps called as its own."""
        names = [*(self.folder / file for file in self._runs().get(name, ())), *self.files(stems)]
        return [file for file in dict.fromkeys(names) if file.exists()]

    def files(self, stems: Iterable[str]) -> list[Path]:
        """All that maps called so may be."""
        return [self.folder / pattern.format(stem) for stem in stems for pattern in _FILES]

    def require_free(self, name: str, stems: Iterable[str], *, replace: bool, fix: str) -> None:
        """OutputError, which ends with how to replace them, where there are such files and they are not to be replaced."""
        there = [] if replace else self.earlier(name, stems)
        if there:
            more = f" and {len(there) - 1} more" if len(there) > 1 else ""
            raise OutputError(
                f"{there[0].name}{more} of an earlier run are in {self.folder}, expected a new name. Choose another name, or {fix}."
            )

    @contextmanager
    def run(self, name: str, stems: Sequence[str], *, replace: bool, fix: str) -> Iterator[Path]:
        """A hidden folder whose files take the place of those of the run of this name, when the block ends well.

        Args:
            name: Of the run; '' for the one that has none.
            stems: What the names of its maps begin with.
            replace: Take the place of files that are there.
            fix: How to ask for that, for the message.

        Raises:
            OutputError: Files are there and replace is False, or the disk refuses it.
        """
        self.require_free(name, stems, replace=replace, fix=fix)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=".run-", dir=self.folder))
        except OSError as exc:
            raise refused(self.folder, exc) from exc
        try:
            yield aside
            # Asked again: another run may have come in between.
            self.require_free(name, stems, replace=replace, fix=fix)
            self._publish(name, stems, aside)
        except OutputError:
            raise
        except OSError as exc:
            raise refused(self.folder, exc) from exc
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _publish(self, name: str, stems: Sequence[str], aside: Path) -> None:
        made = sorted(path.name for path in aside.iterdir())
        gone = [path for path in self.earlier(name, stems) if path.name not in made]
        # Noted before anything moves: whatever a crash leaves of both runs, the next one of this name takes away.
        self._note(name, [*made, *(path.name for path in gone)])
        for path in gone:
            path.unlink(missing_ok=True)
        for file in made:
            (aside / file).replace(self.folder / file)
        self._note(name, made)

    def _runs(self) -> Mapping[str, list[str]]:
        try:
            runs = json.loads((self.folder / _RUNS).read_text(encoding="utf-8")) if self._remembers else {}
            return {str(name): [Path(file).name for file in files] for name, files in runs.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _note(self, name: str, files: list[str]) -> None:
        if not self._remembers:
            return
        with replacing(self.folder / _RUNS, overwrite=True) as path:
            path.write_text(json.dumps({**self._runs(), name: files}, indent=1), encoding="utf-8")
