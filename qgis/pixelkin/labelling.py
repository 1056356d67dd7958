"""A project being labelled from QGIS: asks the server in one thread of its own, so that QGIS never waits."""

import queue
import threading

from qgis.PyQt.QtCore import QObject, pyqtSignal

from . import program
from .server import Server, ServerError

_POLL_S = 1.0


class Labelling(QObject):
    """What the panel shows. All methods return at once; answers come as signals."""

    opened = pyqtSignal(dict)
    """The project, once the server answers."""
    changed = pyqtSignal(dict)
    """The project after a change of marks, classes or model."""
    marks = pyqtSignal(list)
    tiles = pyqtSignal(str, int, dict)
    """Layer, level and tiles of the map of the newest revision."""
    suggested = pyqtSignal(list)
    failed = pyqtSignal(str)
    """A message for the user."""

    def __init__(self, image, project=None, *, train=True, parent=None):
        """Start a server for a raster; `opened` or `failed` follows."""
        super().__init__(parent)
        self._start = (image, project, train)
        self._server = None
        self._scene = None
        self._revision = -1
        self._wanted = None
        self._is_mapped = self._was_mapped = False
        self._tasks = queue.Queue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pixelkin", daemon=True)
        self._thread.start()

    def close(self):
        """End the server."""
        self._closing.set()
        self._tasks.put(None)
        self._thread.join(30)

    def edit(self, edits):
        """Do edits, as one step of undo; the map follows."""
        self._tasks.put(lambda: self._after(self._server.post("/api/edits", {"edits": edits})))

    def undo(self):
        """Take the last step back."""
        self._tasks.put(lambda: self._after(self._server.post("/api/undo", {})))

    def redo(self):
        """Do it again."""
        self._tasks.put(lambda: self._after(self._server.post("/api/redo", {})))

    def show(self, layers, level, tiles):
        """Which layers ('classes', 'confidence') and which part of the map the canvas shows; they come now and after each change."""
        self._wanted = layers, level, tiles
        self._tasks.put(self._map)

    def suggest(self, count=5):
        """Ask which pixels would help most."""
        self._tasks.put(
            lambda: self.suggested.emit(self._server.get(f"/api/scenes/{self._scene}/suggestions?count={count}")["suggestions"])
        )

    def _work(self):
        try:
            image, project, train = self._start
            self._server = Server(image, project, train=train)
            info = self._server.get("/api/project")
            self._scene, self._revision = info["scenes"][0]["id"], info["revision"]
            self.opened.emit(info)
            self._marks()
        except (program.ProgramError, ServerError) as error:
            self.failed.emit(str(error))
        while not self._closing.is_set() and self._server is not None:
            try:
                task = self._tasks.get(timeout=_POLL_S)
            except queue.Empty:
                task = self._poll
            if task is None:
                break
            try:
                task()
            except ServerError as error:
                self.failed.emit(str(error))
                if not self._server.is_running:
                    break
        if self._server is not None:
            self._server.close()

    def _after(self, answer):
        self._revision = answer["revision"]
        self._map()
        self._tell()

    def _tell(self):
        info = self._server.get("/api/project")
        self._revision = info["revision"]
        self.changed.emit(info)
        self._marks()

    def _marks(self):
        self.marks.emit(self._server.get(f"/api/scenes/{self._scene}/marks")["marks"])

    def _poll(self):
        # A trained encoder, or a mark on the page, makes a new revision; an engine that was starting makes none.
        is_new = self._server.get("/api/health")["revision"] != self._revision
        if is_new or not self._is_mapped:
            self._map()
        if is_new or self._is_mapped != self._was_mapped:
            self._tell()
        self._was_mapped = self._is_mapped

    def _map(self):
        if self._wanted is None:
            return
        layers, level, tiles = self._wanted
        try:
            for layer in layers:
                self.tiles.emit(layer, level, self._server.tiles(self._scene, layer, self._revision, level, tiles))
            self._is_mapped = True
        except ServerError:
            # Fewer than two classes are marked, the engine is starting, or another change came first: the next look finds the map.
            self._is_mapped = False
            if not self._server.is_running:
                raise
