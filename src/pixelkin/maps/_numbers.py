"""How numbers are written to JSON and CSV."""

from __future__ import annotations

import json
import math
from typing import Any


def number_or_none(value: float) -> float | None:
    """The number, or None where it is not one: JSON and CSV have no NaN."""
    return None if math.isnan(value) else value


def dump_json(value: Any) -> str:
    """Indented JSON text; a NaN that got this far is our bug, so it raises ValueError."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
