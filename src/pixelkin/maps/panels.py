"""A picture of an image, its marks, its map and the map's confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from pixelkin.crs import same_grid
from pixelkin.errors import RasterError
from pixelkin.scene import Scene
from pixelkin.segmentation import Segmentation
from pixelkin.types import BoolArray, FloatArray, LabelledPixels, Legend, UInt8Array, Window

from ._text import percent
from .areas import AreaTable, area_table
from .colours import colorize, colorize_confidence, display_bands, read_reduced, reduction_step, rgb
from .figure import _DPI, _INK, _NO_DATA_STYLE, _PANEL_PIXELS, _extent, _hex, _mark, _save, _View, picture_target


def overview(
    scene: Scene,
    labels: LabelledPixels | None,
    segmentation: Segmentation,
    path: str | Path,
    *,
    title: str | None = None,
    bands: Sequence[int | str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Draw the image, the marked pixels, the map and its confidence side by side as one PNG.

    Pixels without data are hatched in grey. A large image is thinned to every n-th row and column, read strip by strip.

    Args:
        scene: The image.
        labels: Pixels that were marked, if any.
        segmentation: Map of the whole image.
        path: File to write, .png.
        title: Line above the panels.
        bands: Bands to show; see `pixelkin.maps.rgb`.
        overwrite: Replace a file that is there.

    Returns:
        The path written.

    Raises:
        RasterError: The map is not on the image's grid, or a band is not in the image.
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    if not same_grid(segmentation.grid, scene.grid):
        raise RasterError(
            f"the map lies on {segmentation.grid}, expected the grid of image {scene.name}, {scene.grid}. Give the map of the whole image."
        )
    view = Overview(scene, segmentation.legend, bands=bands)
    view.add(segmentation, segmentation.grid.window)
    return view.draw(labels, area_table(segmentation), path, title=title, overwrite=overwrite)


class Overview:
    """The picture of a map that comes in parts, of which the pixels that are drawn are held; see `overview`."""

    def __init__(self, scene: Scene, legend: Legend, *, bands: Sequence[int | str] | None = None) -> None:
        """Start with nothing mapped.

        Args:
            scene: The image.
            legend: Classes of the map.
            bands: Bands to show; see `pixelkin.maps.rgb`.

        Raises:
            RasterError: A band is not in the image.
        """
        self._scene, self._legend = scene, legend
        self._bands = display_bands(scene, bands)
        self._step = step = reduction_step(scene.grid.shape, _PANEL_PIXELS)
        shape = -(-scene.grid.height // step), -(-scene.grid.width // step)
        self._classes: UInt8Array = np.zeros(shape, np.uint8)
        self._confidence: FloatArray = np.zeros(shape, np.float32)
        self._valid: BoolArray = np.zeros(shape, np.bool_)

    def add(self, part: Segmentation, window: Window) -> None:
        """Take the pixels that are drawn from a window of the map."""
        step = self._step
        top, left = -window.row % step, -window.col % step
        thinned = slice(top, None, step), slice(left, None, step)
        height, width = part.classes[thinned].shape
        row, col = (window.row + top) // step, (window.col + left) // step
        place = slice(row, row + height), slice(col, col + width)
        self._classes[place] = np.where(part.valid[thinned], part.classes[thinned], 0)
        self._confidence[place] = part.confidence[thinned]
        self._valid[place] = part.valid[thinned]

    def draw(
        self,
        labels: LabelledPixels | None,
        table: AreaTable,
        path: str | Path,
        *,
        title: str | None = None,
        measure: str = "Confidence",
        overwrite: bool = False,
    ) -> Path:
        """Write the picture.

        Args:
            labels: Pixels that were marked, if any.
            table: Areas of the whole map.
            path: File to write, .png.
            title: Line above the panels.
            measure: What the numbers beside the classes are.
            overwrite: Replace a file that is there.

        Returns:
            The path written.

        Raises:
            OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
        """
        path = picture_target(path)
        scene, chosen = self._scene, self._bands
        view = _View.of(scene.grid)
        classes, valid = self._classes, self._valid
        # The image's own mask: a map may be blank where the image is not.
        seen = read_reduced(scene, chosen[:1], step=self._step).valid
        image = np.dstack([rgb(scene, chosen, max_size=_PANEL_PIXELS), np.where(seen, 255, 0).astype(np.uint8)])
        pixels = scene.grid.height * scene.grid.width

        # Wide or square panels are as wide as fits two on a page; tall ones get narrower.
        ratio = min(max(view.height_over_width, 1 / 3), 2.0)
        panel_width = 4.6 * min(1.0, 1.2 / ratio)
        panel_height = panel_width * ratio
        legend_columns = 1 if len(table) <= 2 else 2 if len(table) <= 8 else 3
        legend_rows = math.ceil((len(table) + 2) / legend_columns)
        figure = Figure(
            figsize=(2 * panel_width + 1.6, 2 * panel_height + 1.3 + 0.22 * legend_rows),
            dpi=_DPI,
            layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08),
        )
        FigureCanvasAgg(figure)
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        (image_axes, label_axes), (map_axes, confidence_axes) = panels

        shown = scene.bands[chosen[0]] if len(chosen) == 1 else ", ".join(scene.bands[i] for i in chosen)
        view.draw(image_axes, image, f"Image ({shown})")
        view.draw(label_axes, image, f"Marked pixels ({len(labels):,})" if labels is not None else "Marked pixels (none)")
        if labels is not None:
            _mark(label_axes, view, labels)
        colours = colorize(classes, self._legend)
        colours[valid & (classes == 0)] = 255  # undecided: plain white, so that the hatching stays for no data
        view.draw(map_axes, colours, "Map", nearest=True)
        view.draw(confidence_axes, colorize_confidence(self._confidence, valid), measure, nearest=True)
        # An inset beside the panel: a colour bar that takes its room from the panel would push it out of line with the others.
        beside = confidence_axes.inset_axes((1.03, 0, 0.035, 1))
        scale = figure.colorbar(ScalarMappable(Normalize(0, 1), "viridis"), cax=beside, ticks=[0, 0.25, 0.5, 0.75, 1])
        scale.outline.set_visible(False)
        beside.tick_params(labelsize=8, color=_INK, labelcolor=_INK)
        view.scale_bar(image_axes)
        view.tick(panels)

        handles = [
            Patch(
                facecolor=_hex(row.color),
                edgecolor=_INK,
                linewidth=0.4,
                label=f"{row.name}   {_extent(row.hectares, row.pixels)} · {percent(row.share)}",
            )
            for row in table
        ]
        if table.undecided_pixels:
            handles.append(
                Patch(
                    facecolor="white",
                    edgecolor=_INK,
                    linewidth=0.4,
                    label=f"undecided   {_extent(table.undecided_hectares, table.undecided_pixels)}",
                )
            )
        if table.valid_pixels < pixels or not seen.all():
            handles.append(Patch(**_NO_DATA_STYLE, label=f"no data   {pixels - table.valid_pixels:,} pixels"))
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=legend_columns,
            frameon=False,
            fontsize=9,
            labelcolor=_INK,
            columnspacing=3,
            handlelength=1.4,
        )
        if title:
            figure.suptitle(title, fontsize=13, color=_INK)
        return _save(figure, path, overwrite=overwrite)
