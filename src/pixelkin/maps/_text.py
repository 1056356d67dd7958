"""Tables as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(value: float, digits: int = 3) -> str:
    """A number with a fixed count of digits; '-' where it is 0/0, which is not 0."""
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def percent(share: float) -> str:
    """A share in [0, 1] as per cent with one digit; '-' where it is 0/0."""
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns wide enough for their longest cell: the first one left-aligned, the others right-aligned."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, ["-" * width for width in widths], *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
