"""The labelling page in a notebook cell."""

from __future__ import annotations

import html
import threading
import time
from pathlib import Path
from types import TracebackType

import numpy as np

from ..crs import same_grid
from ..errors import InputError, PkError
from ..scene import Scene, Series, as_scenes
from ..session.errors import ProjectError
from ..session.project import Project, is_project, open_project
from ..session.session import Session
from ..types import LabelledPixels
from .server import _listen, make_server
from .settings import WebSettings


class LabellingPage:
    """A labelling page that runs beside your code; a notebook shows it where this is a cell's last value."""

    def __init__(self, session: Session, *, height_px: int) -> None:
        self.session = session
        """The session behind the page: labels, jobs, map."""
        self._height_px = height_px
        listener = _listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        """The page's address on this machine."""
        self._server = make_server(session, WebSettings(in_notebook=True))
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="pixelkin-web", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    def labels(self, scene_id: str | None = None) -> LabelledPixels:
        """The pixels labelled so far; of the first scene unless another is named."""
        return self.session.state.labelled_pixels(scene_id or next(iter(self.session.project.scenes)))

    def close(self) -> None:
        """End the page; labels are in the project folder."""
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self.session.close()

    def __enter__(self) -> LabellingPage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _repr_html_(self) -> str:
        url = html.escape(self.url, quote=True)
        return f'<iframe src="{url}" title="pixelkin labelling page" width="100%" height="{self._height_px}" style="border:0"></iframe>'


def label(
    source: Scene | Series | str | Path, *, project: str | Path | None = None, height_px: int = 720, train: bool = True
) -> LabellingPage:
    """Label an image in a notebook cell.

    Args:
        source: A scene, a series, or the path of a raster, a folder of dates or a project.
        project: Project folder. Default: `<image>.pixelkin` beside a file, `<name>.pixelkin` here for an array.
        height_px: Height of the frame.
        train: Train an encoder in the background where the project has none.

    Returns:
        The running page. Its `labels()` are what has been marked; `close()` ends it.

    Raises:
        InputError: height_px is below 100.
        ProjectError: The project folder belongs to another image.
    """
    if height_px < 100:
        raise InputError(f"height_px is {height_px}, expected at least 100.")
    if isinstance(source, str | Path):
        return LabellingPage(Session(open_project([source], project=project), train=train), height_px=height_px)
    scenes = as_scenes(source)
    path = getattr(scenes[0], "path", None)
    folder = Path(project) if project is not None else Path(path).with_suffix(".pixelkin") if path else Path(f"{scenes[0].name}.pixelkin")
    opened = Project.open(folder) if is_project(folder) else Project.create(folder, scenes)
    try:
        _require_same(opened, scenes)
    except PkError:
        opened.close()
        raise
    return LabellingPage(Session(opened, train=train), height_px=height_px)


def _is_same(old: Scene, new: Scene) -> bool:
    return old.fingerprint == new.fingerprint or (
        same_grid(old.grid, new.grid)
        and old.bands == new.bands
        and all(np.array_equal(a, b, equal_nan=True) for a, b in zip(old.read(), new.read(), strict=True))
    )


def _require_same(project: Project, scenes: list[Scene]) -> None:
    kept = list(project.scenes.values())
    if len(kept) != len(scenes) or not all(map(_is_same, kept, scenes)):
        raise ProjectError(f"{project.folder} is a project of other images. Name another folder with project=..., or delete it.")
