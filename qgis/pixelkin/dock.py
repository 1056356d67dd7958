"""The panel: choose a raster, add classes, mark on the canvas, and the map comes back as a layer."""

from qgis.core import Qgis, QgsFeature, QgsGeometry, QgsMapLayerProxyModel, QgsPointXY, QgsProject, QgsSettings, QgsVectorLayer
from qgis.gui import QgsDockWidget, QgsMapLayerComboBox
from qgis.PyQt.QtCore import QCoreApplication, Qt, QTimer
from qgis.PyQt.QtGui import QColor, QIcon, QKeySequence, QPixmap
from qgis.PyQt.QtWidgets import (
    QAction,
    QApplication,
    QButtonGroup,
    QCheckBox,
    QColorDialog,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from . import program
from .geometry import PixelFrame
from .install import InstallTask
from .labelling import Labelling
from .live_layer import LiveLayer
from .map_tool import KINDS, MarkTool
from .marks_layer import MarksLayer

_COLORS = ("#1f78b4", "#33a02c", "#e31a1c", "#ff7f00", "#6a3d9a", "#b15928", "#a6cee3", "#b2df8a", "#fb9a99")
_VIEW_SETTLES_MS = 80


def tr(text):
    """A text in the language of QGIS."""
    return QCoreApplication.translate("pixelkin", text)


class Dock(QgsDockWidget):
    """The panel and what it has open: at most one raster."""

    def __init__(self, iface):
        """An empty panel."""
        super().__init__(tr("pixelkin"), iface.mainWindow())
        self.setObjectName("pixelkin")
        self._iface, self._canvas = iface, iface.mapCanvas()
        self._labelling = self._frame = self._marks = self._scene = None
        self._classes, self._live, self._task = [], {}, None
        self._tool = MarkTool(self._canvas)
        self._tool.drawn.connect(self._drawn)
        self._settle = QTimer(self, singleShot=True, interval=_VIEW_SETTLES_MS)
        self._settle.timeout.connect(self._ask_for_view)
        self._canvas.extentsChanged.connect(self._settle.start)
        QgsProject.instance().layersWillBeRemoved.connect(self._layers_go)
        self._build()
        self._enable(False)

    # --- widgets

    def _build(self):
        body = QWidget()
        column = QVBoxLayout(body)
        self.rasters = QgsMapLayerComboBox()
        self.rasters.setFilters(QgsMapLayerProxyModel.RasterLayer)
        self.open_button = QPushButton(tr("Open"))
        self.open_button.clicked.connect(self.open)
        column.addLayout(_row(self.rasters, self.open_button))
        self.train_box = QCheckBox(tr("Learn from the image in the background (better maps)"))
        self.train_box.setChecked(True)
        column.addWidget(self.train_box)
        self.classes = QListWidget()
        self.classes.currentRowChanged.connect(self._class_chosen)
        self.classes.itemDoubleClicked.connect(self._recolor)
        column.addWidget(QLabel(tr("Classes (keys 1 to 9; double-click for a colour)")))
        column.addWidget(self.classes)
        self.new_class = QLineEdit(placeholderText=tr("New class"))
        self.new_class.returnPressed.connect(self.add_class)
        column.addWidget(self.new_class)
        self.kinds = QButtonGroup(self)
        kinds = QHBoxLayout()
        for index, (kind, text) in enumerate(zip(KINDS, (tr("Point"), tr("Scribble"), tr("Box"), tr("Polygon")))):
            button = QToolButton(text=text, checkable=True, checked=index == 0)
            self.kinds.addButton(button, index)
            kinds.addWidget(button)
            button.clicked.connect(lambda _, kind=kind: self.mark_with(kind))
        column.addLayout(kinds)
        self.undo_button, self.redo_button = QPushButton(tr("Undo")), QPushButton(tr("Redo"))
        self.undo_button.clicked.connect(lambda: self._labelling.undo())
        self.redo_button.clicked.connect(lambda: self._labelling.redo())
        column.addLayout(_row(self.undo_button, self.redo_button))
        self.confidence_box = QCheckBox(tr("Confidence layer"))
        self.confidence_box.toggled.connect(self._confidence_toggled)
        self.suggest_button = QPushButton(tr("Suggest pixels to mark"))
        self.suggest_button.clicked.connect(lambda: self._labelling.suggest())
        column.addLayout(_row(self.confidence_box, self.suggest_button))
        self.more = QToolButton(text=tr("More"), popupMode=QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more)
        for text, slot in (
            (tr("Mark with the features of the active layer"), self.mark_with_active_layer),
            (tr("Settings: where is pixelkin?"), self._choose_program),
            (tr("Install pixelkin in an environment of its own"), self._install),
            (tr("Copy diagnostics"), self._copy_diagnostics),
        ):
            menu.addAction(text, slot)
        self.more.setMenu(menu)
        column.addWidget(self.more)
        self.status = QLabel(tr("Choose a raster and click Open."), wordWrap=True)
        column.addWidget(self.status)
        self.log = QPlainTextEdit(readOnly=True, visible=False)
        column.addWidget(self.log)
        self.setWidget(body)
        for number in range(1, 10):
            action = QAction(self)
            action.setShortcut(QKeySequence(str(number)))
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            action.triggered.connect(lambda _, row=number - 1: self.classes.setCurrentRow(row) if row < self.classes.count() else None)
            self._canvas.addAction(action)
            self.classes.addAction(action)

    def _enable(self, is_open):
        for widget in (self.classes, self.new_class, self.undo_button, self.redo_button, self.confidence_box, self.suggest_button):
            widget.setEnabled(is_open)
        for button in self.kinds.buttons():
            button.setEnabled(is_open)

    def _say(self, text, *, is_problem=False):
        self.status.setText(text)
        if is_problem:
            self._iface.messageBar().pushMessage("pixelkin", text, level=Qgis.MessageLevel.Warning)

    # --- opening and closing

    def open(self):
        """Open the chosen raster: a server starts, and its project's marks and map come as layers."""
        layer = self.rasters.currentLayer()
        if layer is None or layer.dataProvider().name() != "gdal":
            self._say(tr("Choose a raster layer that is a file; layers of servers have to be saved first."), is_problem=True)
            return
        self.close_project()
        self._raster = layer.id()
        self._crs = layer.crs()
        self._say(tr("Starting pixelkin ..."))
        self._labelling = Labelling(layer.source().split("|")[0], train=self.train_box.isChecked(), parent=self)
        self._labelling.opened.connect(self._opened)
        self._labelling.changed.connect(self._changed)
        self._labelling.marks.connect(self._show_marks)
        self._labelling.tiles.connect(self._show_tiles)
        self._labelling.suggested.connect(self._show_suggestions)
        self._labelling.failed.connect(lambda text: self._say(text, is_problem=True))

    def close_project(self):
        """End the server; the marks stay in its project, the layers go."""
        if self._labelling is None:
            return
        labelling, self._labelling = self._labelling, None
        labelling.close()
        layers = (
            [live.layer.id() for live in self._live.values()] + [layer.id() for layer in self._marks.layers.values()] if self._marks else []
        )
        live, self._live, self._marks, self._scene = self._live, {}, None, None
        QgsProject.instance().removeMapLayers([layer for layer in layers if QgsProject.instance().mapLayer(layer)])
        for one in live.values():
            one.close()
        self._canvas.unsetMapTool(self._tool)
        self._enable(False)
        self._say(tr("Choose a raster and click Open."))

    def shut_down(self):
        """The plugin is unloaded."""
        QgsProject.instance().layersWillBeRemoved.disconnect(self._layers_go)
        self._canvas.extentsChanged.disconnect(self._settle.start)
        self.close_project()

    def _layers_go(self, ids):
        if self._labelling is None:
            return
        if self._raster in ids:
            self._say(tr("The raster was removed, so its panel is closed. The marks are kept beside the file."))
            QTimer.singleShot(0, self.close_project)
        for name in [name for name, live in self._live.items() if live.layer.id() in ids]:
            del self._live[name]  # whoever removes the map does not want it; Open brings it back

    def _opened(self, info):
        self._scene = info["scenes"][0]
        self._frame = PixelFrame(self._scene, self._crs)
        self._marks = MarksLayer(self._frame, self._crs, self._labelling.edit, tr)
        self._live = {"classes": LiveLayer(self._frame, self._crs.toWkt(), tr("pixelkin map"))}
        QgsProject.instance().addMapLayers([*(layer for layer in self._marks.layers.values()), self._live["classes"].layer])
        self._enable(True)
        self._changed(info)
        self.mark_with(KINDS[max(0, self.kinds.checkedId())])
        self._settle.start()

    # --- what the server says

    def _changed(self, info):
        row = self.classes.currentRow()
        self._classes = info["classes"]
        self.classes.blockSignals(True)
        self.classes.clear()
        for number, entry in enumerate(self._classes, 1):
            pixels = QPixmap(12, 12)
            pixels.fill(QColor(entry["color"]))
            key = f"{number}  " if number <= 9 else ""
            self.classes.addItem(QListWidgetItem(QIcon(pixels), f"{key}{entry['name']}  ({entry['marks']})"))
        self.classes.blockSignals(False)
        self.classes.setCurrentRow(min(max(row, 0), self.classes.count() - 1))
        self.undo_button.setEnabled(info["can_undo"])
        self.redo_button.setEnabled(info["can_redo"])
        if "classes" in self._live:
            self._live["classes"].show_classes(self._classes)
        self._say(info["map"]["reason"] or info["model"]["message"] or tr("The map is up to date."))

    def _show_marks(self, marks):
        if self._marks is not None:
            self._marks.show(marks, self._classes, self._scene["id"])

    def _show_tiles(self, layer, level, tiles):
        if layer in self._live:
            self._live[layer].write(level, tiles)

    def _show_suggestions(self, suggestions):
        layer = QgsVectorLayer("Point?field=score:double", tr("Suggested pixels"), "memory")
        layer.setCrs(self._crs)
        features = []
        for suggestion in suggestions:
            feature = QgsFeature(layer.fields())
            feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(*self._frame.to_map(suggestion["col"] + 0.5, suggestion["row"] + 0.5))))
            feature.setAttributes([suggestion["score"]])
            features.append(feature)
        layer.dataProvider().addFeatures(features)
        for old in QgsProject.instance().mapLayersByName(layer.name()):
            QgsProject.instance().removeMapLayer(old.id())
        QgsProject.instance().addMapLayer(layer)

    # --- what the user does

    def add_class(self):
        """Add the class that was typed."""
        name = self.new_class.text().strip()
        if name:
            color = _COLORS[len(self._classes) % len(_COLORS)]
            self._labelling.edit([{"op": "add_class", "name": name, "color": color}])
            self.new_class.clear()
            self._canvas.setFocus()

    def mark_with(self, kind):
        """Draw points, scribbles, boxes or polygons from now on."""
        self._tool.kind = kind
        self._canvas.setMapTool(self._tool)

    def _class_chosen(self, row):
        if 0 <= row < len(self._classes):
            self._tool.show_in(self._classes[row]["color"])

    def _recolor(self, item):
        entry = self._classes[self.classes.row(item)]
        color = QColorDialog.getColor(QColor(entry["color"]), self)
        if color.isValid():
            self._labelling.edit([{"op": "update_class", "id": entry["id"], "color": color.name()}])

    def _drawn(self, kind, points):
        row = self.classes.currentRow()
        if self._labelling is None or not 0 <= row < len(self._classes):
            self._say(tr("Add a class first, then mark pixels of it."), is_problem=True)
            return
        crs = self._canvas.mapSettings().destinationCrs()
        pixels = [list(self._frame.from_canvas(point, crs)) for point in points]
        if not any(0 <= col < self._frame.width and 0 <= row < self._frame.height for col, row in pixels):
            self._say(tr("That is outside the image."))
            return
        if kind == "box":
            (left, top), (right, bottom) = pixels
            pixels = [[left, top], [right, top], [right, bottom], [left, bottom]]
        shapes = {
            "point": lambda: {"type": "Point", "coordinates": pixels[0]},
            "scribble": lambda: {"type": "LineString", "coordinates": pixels},
            "box": lambda: {"type": "Polygon", "coordinates": [[*pixels, pixels[0]]]},
            "polygon": lambda: {"type": "Polygon", "coordinates": [[*pixels, pixels[0]]]},
        }
        edit = {
            "op": "add_mark",
            "scene": self._scene["id"],
            "class_id": self._classes[row]["id"],
            "kind": kind,
            "geometry": shapes[kind](),
        }
        self._labelling.edit([edit])

    def mark_with_active_layer(self):
        """Turn the features of the active vector layer into marks, their class by a field that is asked for."""
        layer = self._iface.activeLayer()
        if self._marks is None or not isinstance(layer, QgsVectorLayer):
            self._say(tr("Open a raster, then choose a vector layer in the layer list."), is_problem=True)
            return
        field, is_chosen = QInputDialog.getItem(self, "pixelkin", tr("Field with the class"), [f.name() for f in layer.fields()], 0, False)
        if is_chosen:
            self.mark_with_layer(layer, field)

    def mark_with_layer(self, layer, field):
        """Turn the features of a vector layer into marks."""
        from qgis.core import QgsFeatureRequest

        request = QgsFeatureRequest().setDestinationCrs(self._crs, QgsProject.instance().transformContext())
        edits = self._marks.edits_of(layer.getFeatures(request), field)
        for start in range(0, len(edits), 1000):
            self._labelling.edit(edits[start : start + 1000])

    def _confidence_toggled(self, wanted):
        if wanted and "confidence" not in self._live:
            live = LiveLayer(self._frame, self._crs.toWkt(), tr("pixelkin confidence"))
            live.show_confidence()
            self._live["confidence"] = live
            QgsProject.instance().addMapLayer(live.layer)
        elif not wanted and "confidence" in self._live:
            live = self._live.pop("confidence")
            QgsProject.instance().removeMapLayer(live.layer.id())
            live.close()
        self._ask_for_view()

    def _ask_for_view(self):
        if self._labelling is None or not self._live or self._frame is None:
            return
        box = self._frame.extent_in_pixels(self._canvas.extent(), self._canvas.mapSettings().destinationCrs())
        if box is None:
            return
        level, tiles = next(iter(self._live.values())).wanted(box, self._scene["levels"])
        self._labelling.show(list(self._live), level, tiles)

    # --- the program

    def _choose_program(self):
        text, is_chosen = QInputDialog.getText(
            self,
            "pixelkin",
            tr("Path of the program pixelkin; empty to search for it"),
            text=str(QgsSettings().value(program.SETTING, "") or ""),
        )
        if is_chosen:
            QgsSettings().setValue(program.SETTING, text.strip())

    def _install(self):
        source, is_chosen = QInputDialog.getText(
            self,
            "pixelkin",
            tr("What to install: a package name, or a wheel file. This downloads some hundred megabytes."),
            text="pixelkin[web]",
        )
        if not is_chosen:
            return
        self.log.clear()
        self.log.setVisible(True)
        self._task = InstallTask(source)
        self._task.line.connect(self.log.appendPlainText)
        self._task.ended.connect(lambda text, is_problem: self._say(text, is_problem=is_problem))
        self._task.start()

    def _copy_diagnostics(self):
        QApplication.clipboard().setText(program.diagnostics())
        self._say(tr("Diagnostics are on the clipboard."))


def _row(*widgets):
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row
