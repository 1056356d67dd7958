"""Scale and offset of STAC assets, and what Sentinel-2 catalogs say of the offset since processing baseline 04.00."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pystac

from .sentinel2 import Scaling

_SPECTRAL = re.compile(
    r"(?:B(?:0\d|1[0-2]|8A)|coastal|blue|green|red|rededge\d{0,3}|nir(?:0[89])?|swir(?:16|22))(?:[-_].*)?", re.IGNORECASE
)
_SENTINEL_2: Scaling = (1e-4, -0.1)
_NONE: Scaling = (1.0, 0.0)


def item_scalings(item: pystac.Item, bands: Sequence[str]) -> tuple[Scaling, ...]:
    """(scale, offset) of each band of an item; (1, 0) where nothing is known.

    What the asset declares counts (`raster:bands`, or `raster:scale` of STAC 1.1), but for an offset that the item says was taken off the numbers already
    (`earthsearch:boa_offset_applied`; such items declare it all the same). A Sentinel-2 item that declares none goes by its processing baseline.
    """
    return tuple(_scaling(item, band) for band in bands)


def _scaling(item: pystac.Item, band: str) -> Scaling:
    asset = item.assets.get(band) or next((asset for asset in item.assets.values() if band in _names(asset)), None)
    if asset is None:
        return _NONE
    declared = _declared(asset)
    properties = item.properties
    applied = properties.get("earthsearch:boa_offset_applied", properties.get("sentinel:boa_offset_applied"))
    spectral = _is_sentinel_2(item) and any(_SPECTRAL.fullmatch(name) for name in (band, *_names(asset)))
    if not spectral:
        return (declared.get("scale", 1.0), declared.get("offset", 0.0))
    baseline = _baseline(properties)
    if not declared and baseline is None and applied is None:
        return _NONE
    scale = declared.get("scale", _SENTINEL_2[0])
    if applied is True:
        return (scale, 0.0)
    if baseline is not None and "offset" not in declared:
        return (scale, _SENTINEL_2[1] if baseline >= 400 else 0.0)
    return (scale, declared.get("offset", 0.0))


def _declared(asset: pystac.Asset) -> dict[str, float]:
    fields = asset.extra_fields
    first: dict[str, Any] = next(iter(fields.get("raster:bands") or fields.get("bands") or [{}]))
    found = {}
    for key in ("scale", "offset"):
        value = first.get(f"raster:{key}", first.get(key, fields.get(f"raster:{key}")))
        if value is not None:
            found[key] = float(value)
    return found


def _names(asset: pystac.Asset) -> list[str]:
    fields = asset.extra_fields
    bands = [*(fields.get("eo:bands") or []), *(fields.get("bands") or [])]
    return [str(band[key]) for band in bands for key in ("name", "common_name", "eo:common_name") if band.get(key)]


def _is_sentinel_2(item: pystac.Item) -> bool:
    properties = item.properties
    told = [item.collection_id, properties.get("platform"), properties.get("constellation")]
    return any("sentinel-2" in str(text).lower() for text in told) or any(key.startswith("s2:") for key in properties)


def _baseline(properties: dict[str, Any]) -> int | None:
    """'04.00' as 400."""
    for key in ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version"):
        match = re.fullmatch(r"(\d\d)\.?(\d\d)", str(properties.get(key, "")))
        if match:
            return int(match[1] + match[2])
    return None
