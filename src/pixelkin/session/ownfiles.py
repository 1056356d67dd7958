"""Files that somebody sends to the server: what they are goes by their content, and must be what their name says.

GDAL goes by the content alone: a virtual dataset or the description of a service, whatever it is called, makes it read other files of this machine or ask the network.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError

_BEGINNINGS = {
    ".geojson": rb"[{\[]",
    ".json": rb"[{\[]",
    ".kml": rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(\w+:)?kml\b",
    ".gpkg": rb"SQLite format 3\0",
    ".fgb": rb"fgb",
    ".shp": rb"\0\0\x27\x0a",
    ".zip": rb"PK",
    ".tif": rb"II|MM",
    ".tiff": rb"II|MM",
}
"""Of files of a kind, behind a byte order mark and white space."""
_ELSEWHERE = (b"VRTData", b"gdal_streamed_alg")
"""What a virtual dataset says, whatever its suffix: one in XML, and one in JSON, which names a command of GDAL to run."""
_LOOKED_AT = 1 << 16


def require_own_data(path: Path) -> None:
    """Refuse a file that is not what its suffix says, and one that refers to others; InputError."""
    with path.open("rb") as file:
        head = file.read(_LOOKED_AT)
    if any(word in head for word in _ELSEWHERE):
        raise InputError(
            "the file is a virtual dataset, which refers to other files, expected data of its own. Convert it to GeoJSON or GeoTIFF."
        )
    suffix = path.suffix.lower()
    beginning = _BEGINNINGS.get(suffix)
    if beginning is not None and not re.match(beginning, head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n"), re.DOTALL):
        raise InputError(
            f"{path.name} cannot be read: it does not begin as files with suffix {suffix!r} do, expected data of that kind. Save it anew."
        )
