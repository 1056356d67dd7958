"""What people do with a map: how good it is, and how large each class is.

Names load their module when first used, so importing this package loads neither matplotlib nor geopandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .accuracy import Score, score
    from .areas import AreaEstimate, AreaEstimates, AreaTable, ClassArea, area_table, cell_areas, estimate_areas, write_area_table

_HOME = {
    "Score": "accuracy",
    "score": "accuracy",
    "AreaEstimate": "areas",
    "AreaEstimates": "areas",
    "AreaTable": "areas",
    "ClassArea": "areas",
    "area_table": "areas",
    "cell_areas": "areas",
    "estimate_areas": "areas",
    "write_area_table": "areas",
}

__all__ = [
    "AreaEstimate",
    "AreaEstimates",
    "AreaTable",
    "ClassArea",
    "Score",
    "area_table",
    "cell_areas",
    "estimate_areas",
    "score",
    "write_area_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
