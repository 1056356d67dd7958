"""Run inside QGIS by `qgis --code`: marks pixels on the canvas with the mouse, as a person would, and writes down what happened."""

import json
import os
import time
import traceback
from pathlib import Path

from osgeo import gdal
from qgis.core import QgsFeature, QgsGeometry, QgsPointXY, QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, Qt, QTimer
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication
from qgis.utils import iface, plugins

OUT = Path(os.environ["JOURNEY_OUT"])
IMAGE = os.environ["JOURNEY_IMAGE"]
told = {}


def until(condition, what, seconds=60):
    """Let QGIS work until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s; the panel says: {panel().status.text()}")
        QApplication.processEvents()
        time.sleep(0.01)


def panel():
    return plugins["pixelkin"]._dock


def shoot(name):
    iface.mainWindow().grab().save(str(OUT / f"{name}.png"))


def pixel(col, row):
    """The place on the canvas of a pixel of the image."""
    frame = panel()._frame
    point = iface.mapCanvas().getCoordinateTransform().transform(QgsPointXY(*frame.to_map(col + 0.5, row + 0.5)))
    return QPoint(round(point.x()), round(point.y()))


def click(col, row):
    QTest.mouseClick(iface.mapCanvas().viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixel(col, row))


def drag(*pixels):
    target = iface.mapCanvas().viewport()
    QTest.mousePress(target, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixel(*pixels[0]))
    for one in pixels[1:]:
        QTest.mouseMove(target, pixel(*one))
        QApplication.processEvents()
    QTest.mouseRelease(target, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixel(*pixels[-1]))


def marks():
    return sum(entry["marks"] for entry in panel()._classes)


def mapped():
    file = gdal.Open(panel()._live["classes"]._path)
    return file.ReadAsArray() if file is not None else None


def journey():
    layer = QgsRasterLayer(IMAGE, "image")
    QgsProject.instance().addMapLayer(layer)
    iface.mapCanvas().setDestinationCrs(layer.crs())
    iface.mapCanvas().setExtent(layer.extent())
    plugins["pixelkin"]._action.setChecked(True)
    dock = panel()
    dock.train_box.setChecked(False)
    dock.rasters.setLayer(layer)
    QTest.mouseClick(dock.open_button, Qt.MouseButton.LeftButton)
    until(lambda: dock.classes.isEnabled(), "the server answers")
    iface.mapCanvas().setExtent(layer.extent())
    until(lambda: not iface.mapCanvas().isDrawing(), "the canvas is drawn")
    for name in ("building", "road", "tree"):
        QTest.keyClicks(dock.new_class, name)
        QTest.keyClick(dock.new_class, Qt.Key.Key_Return)
        until(lambda name=name: any(entry["name"] == name for entry in dock._classes), f"class {name}")
    points = json.loads(os.environ["JOURNEY_POINTS"])
    timed = int(os.environ.get("JOURNEY_TIMED", "1"))  # clicks a class
    for row, (_, pixels) in enumerate(points.items()):
        dock.classes.setCurrentRow(row)
        for place in pixels[:-timed]:
            before = marks()
            click(*place)
            until(lambda before=before: marks() == before + 1, "a click is a mark")
    until(lambda: mapped().any(), "the map is there")
    # Time from the click to the layer that is written, and to the canvas that shows it.
    painted, shown = [], []
    dock._live["classes"].layer.repaintRequested.connect(lambda: painted.append(time.monotonic()))
    iface.mapCanvas().mapCanvasRefreshed.connect(lambda: shown.append(time.monotonic()))
    times, before = [], marks()
    for row, (_, pixels) in enumerate(points.items()):
        dock.classes.setCurrentRow(row)
        for place in pixels[-timed:]:
            until(lambda: not iface.mapCanvas().isDrawing(), "the canvas is drawn")
            painted.clear()
            start = time.monotonic()
            click(*place)
            until(lambda: painted, "the layer is painted anew")
            until(lambda: shown and shown[-1] > painted[0], "the canvas shows it")
            times.append((painted[0] - start, next(at for at in shown if at > painted[0]) - start))
            before += 1
            until(lambda before=before: marks() == before, "the last click is a mark")
    told["repaint_s"] = times
    shoot("marked")
    told["marks"] = marks()
    QTest.mouseClick(dock.undo_button, Qt.MouseButton.LeftButton)
    until(lambda: marks() == told["marks"] - 1, "undo")
    QTest.mouseClick(dock.redo_button, Qt.MouseButton.LeftButton)
    until(lambda: marks() == told["marks"], "redo")
    until(lambda: dock._marks.layers["Point"].featureCount() == told["marks"], "marks are a vector layer")
    # Another way: a feature drawn in the vector layer is a mark.
    lines = dock._marks.layers["LineString"]
    lines.startEditing()
    feature = QgsFeature(lines.fields())
    feature.setGeometry(
        QgsGeometry.fromPolylineXY([QgsPointXY(*dock._frame.to_map(30.5, 30.5)), QgsPointXY(*dock._frame.to_map(40.5, 30.5))])
    )
    feature.setAttributes(["road", "scribble", 1.0, None])
    lines.addFeature(feature)
    lines.commitChanges(False)  # saved, and edited on
    until(lambda: marks() == told["marks"] + 1, "a feature of the vector layer is a mark")
    lines.deleteFeatures([f.id() for f in lines.getFeatures()])
    lines.commitChanges()
    until(lambda: marks() == told["marks"], "a feature deleted in the vector layer is a mark less")
    dock.mark_with("box")
    drag((100, 100), (104, 104))
    until(lambda: marks() == told["marks"] + 1, "a box is a mark")
    QTest.mouseClick(dock.undo_button, Qt.MouseButton.LeftButton)
    until(lambda: marks() == told["marks"], "undo the box")
    dock.mark_with("polygon")
    for place in ((200, 200), (210, 200), (210, 210)):
        click(*place)
    QTest.mouseClick(iface.mapCanvas().viewport(), Qt.MouseButton.RightButton, Qt.KeyboardModifier.NoModifier, pixel(205, 205))
    until(lambda: marks() == told["marks"] + 1, "a polygon is a mark")
    QTest.mouseClick(dock.undo_button, Qt.MouseButton.LeftButton)
    until(lambda: marks() == told["marks"], "undo the polygon")
    dock.mark_with("point")
    dock.confidence_box.setChecked(True)
    until(lambda: "confidence" in dock._live and gdal.Open(dock._live["confidence"]._path).ReadAsArray().any(), "confidence is there")
    dock.confidence_box.setChecked(False)
    QTest.mouseClick(dock.suggest_button, Qt.MouseButton.LeftButton)
    until(lambda: QgsProject.instance().mapLayersByName("Suggested pixels"), "suggestions")
    told["suggestions"] = QgsProject.instance().mapLayersByName("Suggested pixels")[0].featureCount()
    # The whole image at full resolution, as it is when the view settles.
    until(lambda: (mapped() > 0).mean() > 0.99, "the whole map is there")
    import numpy as np

    np.save(OUT / "map.npy", mapped())
    (OUT / "marks.geojson").write_bytes(dock._labelling._server._ask(f"/api/labels/export?scene={dock._scene['id']}&format=geojson"))
    shoot("done")
    # The server is killed in the middle of the work: said, nothing is lost, and Open goes on.
    dock._labelling._server._process.kill()
    click(50, 50)
    until(lambda: "has ended" in dock.status.text(), "the end of the server is said")
    told["after the kill"] = dock.status.text()
    QTest.mouseClick(dock.open_button, Qt.MouseButton.LeftButton)
    until(lambda: dock._labelling is not None and marks() >= told["marks"], "the marks are still there")
    told["marks after the kill"] = marks()
    # The raster goes: so does the panel's project.
    QgsProject.instance().removeMapLayer(layer.id())
    until(lambda: dock._labelling is None, "the panel closes with its raster")
    told["layers left"] = [
        one.name() for one in QgsProject.instance().mapLayers().values() if isinstance(one, (QgsRasterLayer, QgsVectorLayer))
    ]
    told["ok"] = True


def main():
    try:
        journey()
    except BaseException:
        told["error"] = traceback.format_exc()
        shoot("error")
    (OUT / "told.json").write_text(json.dumps(told))
    if panel() is not None:
        panel().close_project()
    os._exit(0 if "ok" in told else 1)


QTimer.singleShot(2000, main)
