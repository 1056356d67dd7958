"""Pictures of maps, drawn with matplotlib's own objects: no global state, so threads may draw at the same time."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from pixelkin.types import AnyArray, Color, Grid, LabelledPixels, UInt8Array

from ..files import replacing, require_suffix
from ._text import number
from .accuracy import Score
from .series import SeriesTable

_DPI = 150
_PANEL_PIXELS = 1000  # longest side of a panel's image: about what a panel has in the picture
_NO_DATA_STYLE: dict[str, Any] = {"facecolor": "#eeeeee", "edgecolor": "#b5b5b5", "hatch": "////", "linewidth": 0.0}
_INK = "#333333"


def confusion_figure(score: Score, path: str | Path, *, title: str | None = None, overwrite: bool = False) -> Path:
    """Draw a confusion matrix as PNG: rows = truth, columns = predicted, shaded by the share of each row.

    Returns:
        The path written.

    Raises:
        OutputError: The suffix is not .png, the file is there and overwrite is False, or the disk refuses it.
    """
    path = picture_target(path)
    names = score.legend.names
    counts = score.confusion if score.undecided else score.confusion[:, :-1]
    columns = [*names, "undecided"] if score.undecided else list(names)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)

    cell = 1.05
    figure = Figure(figsize=(cell * len(columns) + 3.4, cell * 0.75 * len(names) + 2.6), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row in range(len(names)):
        for column in range(len(columns)):
            share = f"\n{100 * shares[row, column]:.0f} %" if totals[row, 0] else ""
            axes.text(
                column,
                row,
                f"{counts[row, column]:,}{share}",
                ha="center",
                va="center",
                fontsize=8.5,
                color="white" if shares[row, column] > 0.55 else _INK,
            )
    wrapped = [textwrap.fill(name, 14) for name in columns]
    columns_text = [f"{name}\nuser's {number(score.users_accuracy[i], 2)}" if i < len(names) else name for i, name in enumerate(wrapped)]
    rows_text = [f"{wrapped[i]}\nproducer's {number(score.producers_accuracy[i], 2)}" for i in range(len(names))]
    axes.set_xticks(range(len(columns)), columns_text, fontsize=8.5)
    axes.set_yticks(range(len(names)), rows_text, fontsize=8.5)
    axes.set_xlabel("predicted (columns)", color=_INK)
    axes.set_ylabel("truth (rows; per cent of the row)", color=_INK)
    axes.tick_params(length=0, labelcolor=_INK)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    summary = f"accuracy {number(score.accuracy)}   mean IoU {number(score.miou)}   {int(score.confusion.sum()):,} pixels"
    axes.set_title(f"{title}\n{summary}" if title else summary, fontsize=11, color=_INK)
    return _save(figure, path, overwrite=overwrite)


COUNTED = "Pixels counted on the maps, without their error; for intervals: pixelkin sample, then evaluate"
"""Title of a chart of areas that no sample has checked."""


def series_figure(table: SeriesTable, path: str | Path, *, title: str | None = None, overwrite: bool = False) -> Path:
    """Draw the area of each class over time as PNG; a hollow marker is a date with less than 95 % of its pixels valid.

    Args:
        table: Areas.
        path: File, `.png`.
        title: Default says that areas are counted on the maps, which err: there is no interval without a sample.
        overwrite: Replace a file that is there.

    Returns:
        The path written.

    Raises:
        OutputError: The suffix is not .png, the file is there and overwrite is False, or the disk refuses it.
    """
    path = picture_target(path)
    in_pixels = any(math.isnan(row.hectares) for row in table)
    figure = Figure(figsize=(9, 4.6), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name in dict.fromkeys(row.name for row in table):
        rows = [row for row in table if row.name == name]
        color = _hex(rows[0].color)
        dates = [float(date2num(row.date)) for row in rows]  # type: ignore[no-untyped-call]
        values = [float(row.pixels) if in_pixels else row.hectares for row in rows]
        axes.plot(dates, values, color=color, linewidth=1.8, zorder=2)
        faces = [color if row.valid_share >= 0.95 else "white" for row in rows]
        axes.scatter(dates, values, s=34, c=faces, edgecolors=color, linewidths=1.5, zorder=3)
    handles = [Line2D([], [], color=_hex(color), marker="o", label=name) for name, color in {row.name: row.color for row in table}.items()]
    if any(row.valid_share < 0.95 for row in table):
        handles.append(
            Line2D([], [], color=_INK, marker="o", markerfacecolor="white", linestyle="", label="less than 95 % of the image has data")
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), frameon=False, fontsize=9, labelcolor=_INK)
    days = (max(row.date for row in table) - min(row.date for row in table)).days
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=8))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%Y-%m-%d" if days < 100 else "%Y-%m"))  # type: ignore[no-untyped-call]
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("pixels" if in_pixels else "area, hectares", color=_INK)
    axes.tick_params(color=_INK, labelcolor=_INK, labelsize=9)
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title or COUNTED, fontsize=10, color=_INK)
    return _save(figure, path, overwrite=overwrite)


@dataclass(frozen=True)
class _View:
    """How a grid is drawn: coordinates of its edges, proportions, and what a unit is worth."""

    left: float
    right: float
    bottom: float
    """Coordinate of the last row's outer edge."""
    top: float
    kind: str
    """'geographic', 'projected' or 'pixels'."""
    crs_name: str
    metres_per_x: float
    """Metres a unit of x at the image's centre; NaN where unknown."""
    metres_per_y: float
    xy: Callable[[float, float], tuple[float, float]]
    """Drawing coordinates of a pixel's centre."""

    @classmethod
    def of(cls, grid: Grid) -> _View:
        a, b, c, d, e, f = grid.transform
        array = cls(0, grid.width, grid.height, 0, "pixels", "", math.nan, math.nan, lambda row, col: (col + 0.5, row + 0.5))
        if grid.crs is None or b or d:
            # A rotated grid is drawn as its array: coordinates would not run along the axes.
            return array
        crs = pyproj.CRS.from_user_input(grid.crs)
        right, bottom = c + a * grid.width, f + e * grid.height
        name = grid.crs if len(grid.crs) <= 20 else crs.name
        if crs.is_geographic:
            geod = crs.get_geod()
            assert geod is not None  # what makes a CRS geographic
            x, y = (c + right) / 2, (f + bottom) / 2
            east = geod.inv(x - abs(a) / 2, y, x + abs(a) / 2, y)[2] / abs(a)
            north = geod.inv(x, y - abs(e) / 2, x, y + abs(e) / 2)[2] / abs(e)
            if not (math.isfinite(east) and math.isfinite(north)):
                return array  # metres that are taken for degrees
            return cls(c, right, bottom, f, "geographic", name, float(east), float(north), grid.xy)
        metres = crs.axis_info[0].unit_conversion_factor if crs.axis_info else math.nan
        return cls(c, right, bottom, f, "projected", name, metres, metres, grid.xy)

    @property
    def height_over_width(self) -> float:
        """Of the image as drawn: a degree of latitude is longer than one of longitude."""
        return abs(self.top - self.bottom) / abs(self.right - self.left) * self._aspect

    @property
    def _aspect(self) -> float:
        return self.metres_per_y / self.metres_per_x if self.kind == "geographic" else 1.0

    def draw(
        self,
        axes: Axes,
        image: UInt8Array,
        title: str,
        *,
        nearest: bool = False,
    ) -> None:
        """Show an RGBA image over the hatching that stands for no data."""
        left, low = min(self.left, self.right), min(self.bottom, self.top)
        width, height = abs(self.right - self.left), abs(self.top - self.bottom)
        axes.add_patch(Rectangle((left, low), width, height, zorder=0, **_NO_DATA_STYLE))
        axes.imshow(
            image, extent=(self.left, self.right, self.bottom, self.top), interpolation="nearest" if nearest else "antialiased", zorder=1
        )
        axes.set_xlim(left, left + width)
        axes.set_ylim((low + height, low) if self.kind == "pixels" else (low, low + height))
        axes.set_aspect(self._aspect)
        axes.set_title(title, fontsize=10.5, color=_INK, loc="left")
        axes.spines[:].set_color("#999999")
        axes.spines[:].set_linewidth(0.6)
        axes.tick_params(color="#999999", labelcolor=_INK, labelsize=8, length=3)

    def tick(self, panels: AnyArray) -> None:
        """A few coordinates along the left and the lower edge of the panels, shape (row, col) of axes."""
        x_ticks, x_formatter = self._ticks(self.left, self.right, "E", "W")
        y_ticks, y_formatter = self._ticks(self.bottom, self.top, "N", "S")
        for axes in panels.flat:
            axes.xaxis.set_major_locator(FixedLocator(x_ticks))
            axes.xaxis.set_major_formatter(x_formatter)
            axes.yaxis.set_major_locator(FixedLocator(y_ticks))
            axes.yaxis.set_major_formatter(y_formatter)
        if self.kind != "geographic":
            for axes in panels[-1]:
                axes.set_xlabel("column" if self.kind == "pixels" else f"x, {self.crs_name}", fontsize=8, color=_INK)
            for axes in panels[:, 0]:
                axes.set_ylabel("row" if self.kind == "pixels" else f"y, {self.crs_name}", fontsize=8, color=_INK)
        for axes in panels[:, 0]:
            axes.tick_params(axis="y", labelrotation=90)
            for text in axes.get_yticklabels():
                text.set_verticalalignment("center")

    def _ticks(self, start: float, end: float, positive: str, negative: str) -> tuple[list[float], FuncFormatter]:
        low, high = min(start, end), max(start, end)
        ticks = [float(tick) for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
        decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)) if len(ticks) > 1 else 4
        if self.kind == "geographic":
            return ticks, FuncFormatter(lambda value, _: f"{abs(value):.{decimals}f}° {positive if value >= 0 else negative}")
        return ticks, FuncFormatter(lambda value, _: f"{value:,.{decimals}f}")

    def scale_bar(self, axes: Axes) -> None:
        """A bar of a round length in metres in the lower left corner; none where a unit's length is not known."""
        if math.isnan(self.metres_per_x):
            return
        width = abs(self.right - self.left)
        length_m = _round_down(0.28 * width * self.metres_per_x)
        fraction = length_m / (width * self.metres_per_x)
        outline = [withStroke(linewidth=4.5, foreground="black"), Normal()]
        axes.plot(
            [0.04, 0.04 + fraction],
            [0.045, 0.045],
            transform=axes.transAxes,
            color="white",
            linewidth=2.5,
            solid_capstyle="butt",
            path_effects=outline,
        )
        text = f"{length_m / 1000:,.6g} km" if length_m >= 1000 else f"{length_m:,.6g} m"
        axes.text(
            0.04 + fraction / 2,
            0.06,
            text,
            transform=axes.transAxes,
            color="white",
            fontsize=9,
            ha="center",
            va="bottom",
            path_effects=[withStroke(linewidth=2.2, foreground="black")],
        )


def _mark(axes: Axes, view: _View, labels: LabelledPixels) -> None:
    """Marked pixels in their class colours, large enough to see: rings of black and white stand out from any image."""
    size = 46.0 if len(labels) <= 150 else 20.0 if len(labels) <= 1000 else 6.0
    edge = 0.8 if size > 10 else 0.3
    for entry in labels.legend:
        chosen = labels.classes == entry.id
        xy = [view.xy(row, col) for row, col in zip(labels.rows[chosen].tolist(), labels.cols[chosen].tolist(), strict=True)]
        if not xy:
            continue
        x, y = zip(*xy, strict=True)
        axes.scatter(
            x,
            y,
            s=size,
            color=_hex(entry.color),
            edgecolors="black",
            linewidths=edge,
            zorder=3,
            path_effects=[withStroke(linewidth=3 * edge, foreground="white"), Normal()],
        )


def _round_down(value: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return power * max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9))


def _extent(hectares: float, pixels: int) -> str:
    if math.isnan(hectares):
        return f"{pixels:,} pixels"
    return f"{hectares:,.0f} ha" if hectares >= 100 else f"{hectares:,.3g} ha"


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def picture_target(path: str | Path) -> Path:
    """The path, where its suffix is that of pictures; else OutputError."""
    return require_suffix(Path(path), (".png",), "a picture")


def _save(figure: Figure, path: Path, *, overwrite: bool) -> Path:
    with replacing(path, overwrite=overwrite) as temporary:
        # Neither date nor version in the file: the same inputs give the same bytes.
        figure.savefig(temporary, metadata={"Software": None})
    return path
