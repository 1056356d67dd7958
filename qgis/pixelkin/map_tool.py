"""Marks drawn on the canvas: points, scribbles, boxes, polygons."""

from qgis.core import QgsPointXY, QgsWkbTypes
from qgis.gui import QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor

KINDS = ("point", "scribble", "box", "polygon")


class MarkTool(QgsMapTool):
    """Tells the corners of each mark, in the canvas's coordinates, once it is drawn."""

    drawn = pyqtSignal(str, list)

    def __init__(self, canvas):
        """A tool that draws points, until `kind` says otherwise."""
        super().__init__(canvas)
        self.kind = "point"
        self._points = []
        self._band = None
        self.setCursor(Qt.CursorShape.CrossCursor)

    def show_in(self, color):
        """Draw in the colour of a class."""
        self._color = QColor(color)

    _color = QColor("#ff0000")

    def canvasPressEvent(self, event):  # noqa: N802 - Qt's name
        """A point is done; a scribble or box begins; a polygon gets a corner, or with the right button its end."""
        if event.button() == Qt.MouseButton.RightButton:
            if self.kind == "polygon" and len(self._points) >= 3:
                self._finish()
            return
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if self.kind == "point":
            self._points = [event.mapPoint()]
            self._finish()
            return
        if self.kind != "polygon":
            self._points = []
        self._points.append(event.mapPoint())
        self._draw(event.mapPoint())

    def canvasMoveEvent(self, event):  # noqa: N802 - Qt's name
        """A scribble grows; a box or polygon is shown as it would be."""
        if not self._points:
            return
        if self.kind == "scribble" and event.buttons() & Qt.MouseButton.LeftButton:
            self._points.append(event.mapPoint())
        self._draw(event.mapPoint())

    def canvasReleaseEvent(self, event):  # noqa: N802 - Qt's name
        """A scribble or a box is done."""
        if event.button() != Qt.MouseButton.LeftButton or not self._points or self.kind not in ("scribble", "box"):
            return
        self._points.append(event.mapPoint())
        self._finish()

    def canvasDoubleClickEvent(self, _event):  # noqa: N802 - Qt's name
        """A polygon is done."""
        if self.kind == "polygon" and len(self._points) >= 3:
            self._finish()

    def keyPressEvent(self, event):  # noqa: N802 - Qt's name
        """Escape drops what is half drawn."""
        if event.key() == Qt.Key.Key_Escape and self._points:
            self._clear()
            event.accept()

    def deactivate(self):
        """Another tool was chosen."""
        self._clear()
        super().deactivate()

    def _finish(self):
        points, kind = self._points, self.kind
        self._clear()
        self.drawn.emit(kind, points)

    def _draw(self, at):
        self._clear(points=False)
        area = self.kind in ("box", "polygon")
        self._band = QgsRubberBand(
            self.canvas(), QgsWkbTypes.GeometryType.PolygonGeometry if area else QgsWkbTypes.GeometryType.LineGeometry
        )
        self._band.setColor(self._color)
        self._band.setFillColor(QColor(self._color.red(), self._color.green(), self._color.blue(), 60))
        self._band.setWidth(2)
        if self.kind == "box":
            first = self._points[0]
            corners = [first, QgsPointXY(at.x(), first.y()), at, QgsPointXY(first.x(), at.y())]
        else:
            corners = [*self._points, at]
        for corner in corners:
            self._band.addPoint(corner)

    def _clear(self, *, points=True):
        if points:
            self._points = []
        if self._band is not None:
            self.canvas().scene().removeItem(self._band)
            self._band = None
