"""What people do with a map: how good it is, how large each class is, polygons, pictures, and areas over time.

Names load their module when first used, so importing this package loads neither matplotlib nor geopandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .accuracy import Score, score
    from .areas import (
        AreaCounter,
        AreaTable,
        ClassArea,
        area_table,
        write_area_table,
    )
    from .cells import cell_areas
    from .change import Change, find_change, write_since, write_transitions
    from .colours import colorize, colorize_confidence, display_bands, rgb, stretch, stretch_limits
    from .estimates import AreaEstimate, AreaEstimates, estimate_areas
    from .figure import confusion_figure, series_figure
    from .levels import at_level, names_at_level, sum_to_level
    from .panels import overview
    from .polygons import polygonize, write_polygons, write_polygons_of
    from .series import SeriesRow, SeriesTable, series_table, write_series_table

_HOME = {
    "Score": "accuracy",
    "score": "accuracy",
    "AreaCounter": "areas",
    "AreaEstimate": "estimates",
    "AreaEstimates": "estimates",
    "AreaTable": "areas",
    "ClassArea": "areas",
    "area_table": "areas",
    "cell_areas": "cells",
    "estimate_areas": "estimates",
    "write_area_table": "areas",
    "Change": "change",
    "find_change": "change",
    "write_since": "change",
    "write_transitions": "change",
    "colorize": "colours",
    "colorize_confidence": "colours",
    "display_bands": "colours",
    "rgb": "colours",
    "stretch": "colours",
    "stretch_limits": "colours",
    "confusion_figure": "figure",
    "at_level": "levels",
    "names_at_level": "levels",
    "sum_to_level": "levels",
    "overview": "panels",
    "series_figure": "figure",
    "polygonize": "polygons",
    "write_polygons": "polygons",
    "write_polygons_of": "polygons",
    "SeriesRow": "series",
    "SeriesTable": "series",
    "series_table": "series",
    "write_series_table": "series",
}

__all__ = [
    "AreaCounter",
    "AreaEstimate",
    "AreaEstimates",
    "AreaTable",
    "Change",
    "ClassArea",
    "Score",
    "SeriesRow",
    "SeriesTable",
    "area_table",
    "at_level",
    "cell_areas",
    "colorize",
    "colorize_confidence",
    "confusion_figure",
    "display_bands",
    "estimate_areas",
    "find_change",
    "names_at_level",
    "overview",
    "polygonize",
    "rgb",
    "score",
    "series_figure",
    "series_table",
    "stretch",
    "stretch_limits",
    "sum_to_level",
    "write_area_table",
    "write_polygons",
    "write_polygons_of",
    "write_series_table",
    "write_since",
    "write_transitions",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
