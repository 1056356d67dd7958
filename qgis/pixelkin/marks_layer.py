"""Marks as an ordinary vector layer, both ways: what is drawn on the canvas shows in it, and what is edited in it is marked."""

import uuid

from qgis.core import QgsCategorizedSymbolRenderer, QgsFeature, QgsRendererCategory, QgsSymbol, QgsVectorLayer

_FIELDS = "field=class:string(100)&field=kind:string(10)&field=brush_px:double&field=id:string(80)"
_SHAPES = {"Point": "point", "LineString": "scribble", "Polygon": "polygon"}


class MarksLayer:
    """Three layers, of points, lines and polygons: a layer of QGIS has one kind of geometry."""

    def __init__(self, frame, crs, edit, tr):
        """Empty layers.

        Args:
            frame: The image's PixelFrame.
            crs: Its CRS.
            edit: Told edits as the server wants them, when somebody saves changes of a layer.
            tr: Translates a text.
        """
        self._frame, self._edit = frame, edit
        self._class_ids, self._scene = {}, None
        self._quiet = False
        names = {"Point": tr("Marks: points"), "LineString": tr("Marks: lines"), "Polygon": tr("Marks: areas")}
        self.layers = {}
        for shape, name in names.items():
            layer = QgsVectorLayer(f"{shape}?{_FIELDS}", name, "memory")
            layer.setCrs(crs)
            layer.committedFeaturesAdded.connect(lambda _, features, shape=shape: self._added(features, shape))
            layer.beforeCommitChanges.connect(lambda *_, layer=layer: self._changing(layer))
            self.layers[shape] = layer

    def show(self, marks, classes, scene):
        """Fill the layers anew; a layer that somebody is editing is left alone until it is saved."""
        self._scene = scene
        self._class_ids = {entry["name"]: entry["id"] for entry in classes}
        names = {entry["id"]: entry["name"] for entry in classes}
        self._quiet = True
        try:
            for shape, layer in self.layers.items():
                if layer.isEditable():
                    continue
                features = []
                for mark in marks:
                    if mark["geometry"]["type"].removeprefix("Multi") != shape or mark["class_id"] not in names:
                        continue
                    feature = QgsFeature(layer.fields())
                    feature.setGeometry(self._frame.geometry_from_pixels(mark["geometry"]))
                    feature.setAttributes([names[mark["class_id"]], mark["kind"], mark["brush_px"], mark["id"]])
                    features.append(feature)
                layer.dataProvider().truncate()
                layer.dataProvider().addFeatures(features)
                layer.setRenderer(self._renderer(layer, classes))
                layer.updateExtents()
                layer.triggerRepaint()
        finally:
            self._quiet = False

    @staticmethod
    def _renderer(layer, classes):
        categories = []
        for entry in classes:
            symbol = QgsSymbol.defaultSymbol(layer.geometryType())
            symbol.setColor(_color(entry["color"]))
            categories.append(QgsRendererCategory(entry["name"], symbol, entry["name"]))
        return QgsCategorizedSymbolRenderer("class", categories)

    def _changing(self, layer):
        """Marks that were moved, given another class, or deleted in the layer."""
        if self._quiet:
            return
        buffer = layer.editBuffer()
        before = {f.id(): f["id"] for f in layer.dataProvider().getFeatures()}
        edits = [{"op": "delete_mark", "id": before[fid]} for fid in buffer.deletedFeatureIds() if before.get(fid)]
        touched = set(buffer.changedGeometries()) | set(buffer.changedAttributeValues())
        for fid in touched:
            feature = layer.getFeature(fid)
            class_id = self._class_ids.get(feature["class"])
            if before.get(fid) and class_id:
                shapes = list(self._frame.geometry_to_pixels(feature.geometry()))
                edits.append({"op": "update_mark", "id": before[fid], "class_id": class_id, "geometry": shapes[0]})
        if edits:
            self._edit(edits)

    def _added(self, features, shape):
        if self._quiet:
            return
        edits, ids, layer = [], {}, self.layers[shape]
        for feature in features:
            own = self.edits_of([feature], "class", shape)
            marked = [edit["id"] for edit in own if edit["op"] == "add_mark"]
            if marked:
                # Known at once: who goes on editing may delete or move it before the marks are shown anew.
                ids[feature.id()] = {layer.fields().indexOf("id"): marked[0]}
            edits += own
        layer.dataProvider().changeAttributeValues(ids)
        self._edit(edits)

    def edits_of(self, features, field, shape=None):
        """Edits that mark with features of any layer in the image's CRS: new classes first, then the marks; none where a feature names no class."""
        edits, fresh = [], set()
        taken = set(self._class_ids.values())
        for feature in features:
            name = str(feature[field] or "").strip()
            if not name:
                continue
            if name not in self._class_ids and name not in fresh:
                fresh.add(name)
                class_id = next(number for number in range(1, 256) if number not in taken)
                taken.add(class_id)
                self._class_ids[name] = class_id
                edits.append({"op": "add_class", "name": name, "id": class_id})
            for geometry in self._frame.geometry_to_pixels(feature.geometry()):
                kind = _SHAPES[geometry["type"]]
                mark = {
                    "id": str(uuid.uuid4()),
                    "scene": self._scene,
                    "class_id": self._class_ids[name],
                    "kind": kind,
                    "geometry": geometry,
                }
                edits.append({"op": "add_mark", **mark})
        return edits


def _color(text):
    from qgis.PyQt.QtGui import QColor

    return QColor(text)
