"""The file that labels are kept in: a GeoPackage, which QGIS opens, with tables of our own beside those of the standard."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import shapely

SCHEMA_VERSION = 1
_GPKG_APPLICATION_ID = 0x47504B47
_GPKG_USER_VERSION = 10300
_SCHEMA = """
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
  z TINYINT NOT NULL, m TINYINT NOT NULL, CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE marks (fid INTEGER PRIMARY KEY, geom GEOMETRY, mark_id TEXT NOT NULL UNIQUE, scene TEXT NOT NULL, class TEXT NOT NULL, class_id INTEGER NOT NULL,
  kind TEXT NOT NULL, brush_px REAL NOT NULL, pixel_geometry TEXT NOT NULL);
CREATE INDEX marks_class ON marks (class_id);
CREATE TABLE classes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, color TEXT NOT NULL, key TEXT, position INTEGER NOT NULL);
CREATE TABLE pixelkin_state (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE pixelkin_journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, title TEXT NOT NULL, changes TEXT NOT NULL, undone INTEGER NOT NULL);
CREATE INDEX pixelkin_journal_undone ON pixelkin_journal (undone, seq);
CREATE TABLE pixelkin_requests (key TEXT PRIMARY KEY, since INTEGER NOT NULL, revision INTEGER NOT NULL, title TEXT NOT NULL);
CREATE TABLE pixelkin_touched (revision INTEGER NOT NULL, mark_id TEXT NOT NULL);
CREATE INDEX pixelkin_touched_revision ON pixelkin_touched (revision);
INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('classes', 'attributes', 'classes');
INSERT INTO pixelkin_state VALUES ('schema', 1), ('revision', 0), ('order', 0);
"""


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Add what stores of earlier releases lack: who drew a mark, and which images were reviewed. Those releases still read the store."""
    if "author" not in {row[1] for row in connection.execute("PRAGMA table_info(marks)")}:
        connection.execute("ALTER TABLE marks ADD COLUMN author TEXT NOT NULL DEFAULT ''")
    connection.execute("CREATE TABLE IF NOT EXISTS pixelkin_reviews (scene TEXT PRIMARY KEY, reviewer TEXT NOT NULL)")


def geometry_blob(geometry: shapely.Geometry, srs_id: int) -> bytes:
    """A geometry in GeoPackage's binary form: header without envelope, then little-endian WKB."""
    return struct.pack("<2sBBi", b"GP", 0, 0b0000_0001, srs_id) + bytes(shapely.to_wkb(geometry, byte_order=1))


def create_store(path: Path, crs: str | None, title: str) -> None:
    """Make an empty store.

    Args:
        path: File to make; it must not exist.
        crs: The CRS of the layer that other programs see, or None for an image without one.
        title: Description of the layer.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA application_id = {_GPKG_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_GPKG_USER_VERSION}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        srs_id = _add_reference_systems(connection, crs)
        connection.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) VALUES ('marks', 'features', 'marks', ?, ?)",
            (title, srs_id),
        )
        connection.execute("INSERT INTO gpkg_geometry_columns VALUES ('marks', 'geom', 'GEOMETRY', ?, 0, 0)", (srs_id,))
        connection.execute("COMMIT")
    finally:
        connection.close()


def _add_reference_systems(connection: sqlite3.Connection, crs: str | None) -> int:
    """Fill the table of CRSs that GeoPackage asks for; returns the id of the layer's."""
    import pyproj

    rows = [
        ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined Cartesian coordinate reference system"),
        ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic coordinate reference system"),
        (
            "WGS 84 geodetic",
            4326,
            "EPSG",
            4326,
            pyproj.CRS.from_epsg(4326).to_wkt("WKT1_GDAL"),
            "longitude/latitude on the WGS 84 ellipsoid",
        ),
    ]
    srs_id = -1
    if crs is not None:
        system = pyproj.CRS.from_user_input(crs)
        authority = system.to_authority(min_confidence=100)
        is_epsg = authority is not None and authority[0] == "EPSG"
        srs_id = int(authority[1]) if authority is not None and is_epsg else 100_000
        if srs_id != 4326:
            rows.append((system.name, srs_id, "EPSG" if is_epsg else "NONE", srs_id, system.to_wkt("WKT1_GDAL"), ""))
    connection.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", rows)
    return srs_id
