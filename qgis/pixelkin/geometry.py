"""Between the map's coordinates and the pixels of an image: x = column, y = row, (0, 0) the outer corner of the first pixel."""

from qgis.core import QgsCoordinateTransform, QgsGeometry, QgsPointXY, QgsProject


class PixelFrame:
    """The grid of an image as the server tells it."""

    def __init__(self, scene, crs):
        """From the server's description of a scene, and the CRS that QGIS gives the layer."""
        self.width, self.height = scene["width"], scene["height"]
        a, b, c, d, e, f = scene["transform"][:6]
        if scene["crs"] is None and (a, b, c, d, e, f) == (1, 0, 0, 0, 1, 0):
            e = -1.0  # QGIS shows an image without a place upside up by counting rows downwards
        self._forward = a, b, c, d, e, f
        det = a * e - b * d
        self._back = e / det, -b / det, -d / det, a / det
        self._crs = crs

    def to_map(self, col, row):
        """The layer's coordinates of a pixel position."""
        a, b, c, d, e, f = self._forward
        return a * col + b * row + c, d * col + e * row + f

    def to_pixel(self, x, y):
        """(column, row), as fractions, of the layer's coordinates."""
        _, _, c, _, _, f = self._forward
        p, q, r, s = self._back
        return p * (x - c) + q * (y - f), r * (x - c) + s * (y - f)

    def geo_transform(self):
        """As GDAL wants it."""
        a, b, c, d, e, f = self._forward
        return c, a, b, f, d, e

    def from_canvas(self, point, canvas_crs):
        """(column, row) of a point on the canvas."""
        return self.to_pixel(*self._transform(canvas_crs, self._crs).transform(QgsPointXY(point)))

    def extent_in_pixels(self, extent, canvas_crs):
        """(first column, first row, columns, rows) of the image that a view of the canvas shows; None where it shows none."""
        box = self._transform(canvas_crs, self._crs).transformBoundingBox(extent)
        corners = [self.to_pixel(x, y) for x in (box.xMinimum(), box.xMaximum()) for y in (box.yMinimum(), box.yMaximum())]
        left, right = (int(f(col for col, _ in corners)) for f in (min, max))
        top, bottom = (int(f(row for _, row in corners)) for f in (min, max))
        left, top, right, bottom = max(0, left), max(0, top), min(self.width, right + 1), min(self.height, bottom + 1)
        return (left, top, right - left, bottom - top) if right > left and bottom > top else None

    def geometry_to_pixels(self, geometry):
        """GeoJSON in pixel space of a geometry in the layer's CRS, one a part."""
        parts = geometry.asGeometryCollection() if geometry.isMultipart() else [geometry]
        for part in parts:
            name = part.type()
            if name == 0:
                yield {"type": "Point", "coordinates": list(self.to_pixel(*part.asPoint()))}
            elif name == 1:
                yield {"type": "LineString", "coordinates": [list(self.to_pixel(*p)) for p in part.asPolyline()]}
            elif name == 2:
                yield {"type": "Polygon", "coordinates": [[list(self.to_pixel(*p)) for p in ring] for ring in part.asPolygon()]}

    def geometry_from_pixels(self, geojson):
        """A geometry in the layer's CRS of GeoJSON in pixel space."""

        def moved(coordinates):
            if isinstance(coordinates[0], (int, float)):
                return QgsPointXY(*self.to_map(*coordinates[:2]))
            return [moved(part) for part in coordinates]

        make = {
            "Point": QgsGeometry.fromPointXY, "LineString": QgsGeometry.fromPolylineXY, "Polygon": QgsGeometry.fromPolygonXY,
            "MultiPoint": QgsGeometry.fromMultiPointXY, "MultiLineString": QgsGeometry.fromMultiPolylineXY,
            "MultiPolygon": QgsGeometry.fromMultiPolygonXY,
        }  # fmt: skip
        return make[geojson["type"]](moved(geojson["coordinates"]))

    @staticmethod
    def _transform(source, target):
        return QgsCoordinateTransform(source, target, QgsProject.instance())
