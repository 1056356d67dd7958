"""A map in a notebook: drawn on matplotlib's axes, and as HTML."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from pixelkin.segmentation import Segmentation
from pixelkin.types import Color

from .colours import colorize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE = 480
"""Pixels of the longer side of the picture in a notebook."""


def plot(segmentation: Segmentation, axes: Axes | None = None) -> Axes:
    """Draw the classes in their colours, with a legend; see `Segmentation.plot`."""
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    axes = axes or pyplot.subplots()[1]
    axes.imshow(colorize(segmentation.classes, segmentation.legend), interpolation="nearest")
    present = [entry for entry in segmentation.legend if (segmentation.classes == entry.id).any()]
    handles = [Patch(color=_unit(entry.color), label=entry.name) for entry in present]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.set_axis_off()
    return axes


def _unit(color: Color) -> tuple[float, float, float]:
    """A colour as matplotlib has it."""
    red, green, blue = color
    return red / 255, green / 255, blue / 255


def html(segmentation: Segmentation) -> str:
    """A small picture, and each class's colour and share of the mapped pixels."""
    classes = segmentation.classes
    step = -(-max(classes.shape) // _SIDE)
    buffer = io.BytesIO()
    Image.fromarray(colorize(classes[::step, ::step], segmentation.legend)).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    mapped = max(1, int((classes > 0).sum()))
    rows = "".join(
        f'<tr><td style="background:rgb{entry.color};width:1em"></td><td>{escape(entry.name)}</td><td>{(classes == entry.id).sum() / mapped:.1%}</td></tr>'
        for entry in segmentation.legend
    )
    size = f"{classes.shape[0]} x {classes.shape[1]} pixels"
    return f'<div><img src="data:image/png;base64,{picture}" alt="map, {size}"><table>{rows}</table><small>{size}</small></div>'
