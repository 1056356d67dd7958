"""From the blocks of a map to its files: the one driver that `scale`, the session's exports and the command line share.

A new output file has its place here: a field of `Outputs`, its name in `targets`, and the writing of it in `write_products`. A new raster
is an entry of `pixelkin.raster.layers.LAYERS`.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .errors import InputError, OutputError
from .files import Name, require_outputs, require_space
from .raster import MapWriter
from .raster._gdal import small_cache
from .raster.inputs import files_of
from .raster.layers import LAYERS, known_layers, pixel_bytes
from .raster.mapfile import map_targets
from .scene import Scene, Series
from .segmentation import Segmentation
from .segmenter import Segmenter
from .types import AnyArray, FloatArray, Grid, LabelledPixels, Legend, Window

if TYPE_CHECKING:
    from .maps import AreaCounter, AreaTable


FILE_SUFFIXES = (".tif", ".tiff", ".png", ".gpkg", ".geojson", ".json", ".csv", ".zarr", ".vrt", ".zip")
"""Suffixes that nobody gives a folder of maps."""


class Part(NamedTuple):
    """A window of a map."""

    segmentation: Segmentation
    layers: Mapping[str, AnyArray]
    """Layers made of probabilities, as they are written, (band, row, col)."""


@dataclass(frozen=True)
class Outputs:
    """Which files to make of one map."""

    map: Path | None = None
    """The classes, `.tif`; None = not wanted."""
    layers: tuple[str, ...] = ()
    """Rasters beside it, `<stem>_<layer>.tif`; see `pixelkin.raster.layers.LAYERS`."""
    polygons: Path | None = None
    """Outlines of the classes, `.gpkg` or `.geojson`."""
    areas: Path | None = None
    """Area of each class, `.csv` or `.json`."""
    picture: Path | None = None
    """Image, marks, map and confidence, `.png`."""
    counted: bool = False
    """Count the areas though no table is written."""

    @property
    def kept(self) -> tuple[str, ...]:
        """Layers that parts must carry: those that are written, and what the picture shows."""
        return known_layers([*self.layers, *(["confidence"] if self.picture is not None else [])])

    def of_image(self, stem: str) -> Outputs:
        """Those of one image of several: files beside the map with the image's name behind their own."""

        def named(path: Path | None) -> Path | None:
            # What has no name, such as '.', is refused as it is.
            return path.with_name(f"{path.stem}_{stem}{path.suffix}") if path is not None and path.name else path

        return dataclasses.replace(self, polygons=named(self.polygons), areas=named(self.areas), picture=named(self.picture))

    def of_date(self, folder: Path, stem: str) -> Outputs:
        """Those of one date of a series: the map in a folder, other files with the map's name behind their own."""
        return dataclasses.replace(self.of_image(stem), map=folder / f"{stem}.tif", areas=None)

    def targets(self, grid: Grid) -> list[Path]:
        """The files, by their whole names.

        Raises:
            OutputError: A suffix is none of the kind's, or the format cannot hold a map on this grid.
        """
        found = [] if self.map is None else map_targets(self.map, self.layers)
        # What draws and outlines takes a second to import: only for who asks for it.
        if self.polygons is not None:
            from .maps.polygons import polygon_target

            found.append(polygon_target(self.polygons, grid))
        if self.areas is not None:
            from .maps.tables import table_target

            found.append(table_target(self.areas))
        if self.picture is not None:
            from .maps.figure import picture_target

            found.append(picture_target(self.picture))
        return found

    def require(
        self,
        grid: Grid,
        legend: Legend | None = None,
        *,
        inputs: Mapping[str, Iterable[Name]] | None = None,
        overwrite: bool = False,
        beside: Iterable[Name] = (),
    ) -> None:
        """Refuse, before any work, what cannot be written or must not.

        Args:
            grid: Of the map.
            legend: Its classes, where they are known.
            inputs: What is read, by the word for it; see `pixelkin.files.require_outputs`.
            overwrite: Files that are there may be replaced.
            beside: Other files that the same command writes.

        Raises:
            OutputError: See `targets`, `pixelkin.files.require_outputs` and `pixelkin.files.require_space`.
        """
        require_outputs([*self.targets(grid), *beside], inputs=inputs, overwrite=overwrite)
        if self.map is not None:
            # What is compressed on the way shrinks, so this asks for the plain rasters only.
            require_space(self.map, grid.height * grid.width * pixel_bytes(self.layers, legend or Legend(())))


@dataclass(frozen=True)
class SeriesOutputs:
    """Which files to make of a series: some of each date, and some of all dates together."""

    folder: Path
    """Of the maps, one a date."""
    each: Outputs
    """Of each date; polygons and pictures get the map's name behind their own."""
    areas: Path | None = None
    """Area of each class on each date, `.csv` or `.json`."""
    chart: Path | None = None
    """Areas over time, `.png`."""

    def by_date(self, series: Series) -> list[tuple[Scene, str, Outputs]]:
        """Each date, the name of its map, and its files."""
        return [
            (scene, path.stem, self.each.of_date(self.folder, path.stem))
            for scene, path in zip(series, map_names(series, self.folder), strict=True)
        ]

    def require(
        self,
        series: Series,
        legend: Legend | None = None,
        *,
        inputs: Mapping[str, Iterable[Name]] | None = None,
        overwrite: bool = False,
        finished: Callable[[str], bool] = lambda _: False,
        beside: Iterable[Name] = (),
    ) -> None:
        """Refuse, before any work, what cannot be written or must not.

        Args:
            series: What is mapped.
            legend: Classes of the maps, where they are known.
            inputs: What is read beside the images; see `pixelkin.files.require_outputs`.
            overwrite: Files that are there may be replaced.
            finished: Says of the name of a map whether a run that is being resumed has finished it: its files may be there.
            beside: Other files that the same command writes.

        Raises:
            OutputError: The folder is a file, or has the name of one; else as `Outputs.require`.
            InputError: Two images are of one date, and areas are to be told by date.
        """
        if self.folder.suffix.lower() in FILE_SUFFIXES or self.folder.is_file():
            raise OutputError(
                f"{self.folder} names a file, and {len(series)} dates give a map each, expected a folder for them. Name a folder."
            )
        above = next(parent for parent in (self.folder.absolute(), *self.folder.absolute().parents) if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise OutputError(f"{self.folder} cannot be made in {above}, expected a folder that takes files. Choose another folder.")
        files = [*beside]
        if self.areas is not None or self.chart is not None:
            if len(set(series.dates)) < len(series):
                raise InputError("two images of the series are of one date, so areas cannot be told by date. Join them into one first.")
            files += SeriesOutputs._of_all(self.areas, self.chart)
        for _, stem, outputs in self.by_date(series):
            targets = outputs.targets(series.grid)
            if not self.folder.is_dir():  # it holds nothing that could be replaced
                targets = [path for path in targets if path.parent != self.folder]
            files += [] if finished(stem) else targets
        require_outputs(files, inputs={"image": files_of(series), **(inputs or {})}, overwrite=overwrite)
        pixels = len(series) * series.grid.height * series.grid.width
        require_space(self.folder / "map", pixels * pixel_bytes(self.each.layers, legend or Legend(())), "the maps")

    def write(self, series: Series, tables: Sequence[AreaTable], *, overwrite: bool = False) -> list[Path]:
        """Write what is made of all dates together, from the area table of each."""
        if self.areas is None and self.chart is None:
            return []
        from .maps.series import series_of_tables, write_series_table

        table = series_of_tables(zip(series.dates, tables, strict=True), series.grid.height * series.grid.width)
        written = []
        if self.areas is not None:
            written.append(write_series_table(table, self.areas, overwrite=overwrite))
        if self.chart is not None:
            from .maps.figure import series_figure

            written.append(series_figure(table, self.chart, overwrite=overwrite))
        return written

    @staticmethod
    def _of_all(areas: Path | None, chart: Path | None) -> list[Path]:
        from .maps.figure import picture_target
        from .maps.tables import table_target

        return [*([table_target(areas)] if areas else []), *([picture_target(chart)] if chart else [])]


def map_names(series: Series, folder: Path) -> list[Path]:
    """Where the map of each date of a series goes: the scene's name, with a number where two have the same."""
    names: list[str] = []
    for scene in series:
        name, again = scene.name, 1
        while name in names:
            again += 1
            name = f"{scene.name}_{again}"
        names.append(name)
    return [folder / f"{name}.tif" for name in names]


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; where the work in it fails, what was made goes again, unless it holds something."""
    missing = [path for path in (folder.absolute(), *folder.absolute().parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise OutputError(f"{folder} cannot be made: {exc.strerror or exc}. Choose another folder.") from exc
        yield
    finally:
        with suppress(OSError):
            for path in missing:
                path.rmdir()  # refuses where there is something in it


class Written(NamedTuple):
    """What `write_products` made."""

    files: list[Path]
    areas: AreaTable | None
    """Where they are wanted."""


def map_part(
    segmenter: Segmenter, scene: Scene, window: Window, layers: Iterable[str], legend: Legend | None = None, level: int | None = None
) -> Part:
    """The map of a window and its layers; the same values whatever the window.

    Args:
        segmenter: Fitted.
        scene: Image to map.
        window: Where.
        layers: Which layers of `LAYERS`.
        legend: Classes of the map; default those that are labelled. Classes that nothing is labelled as have probability 0.
        level: Level of the classes that is mapped, 1 = the highest; default the classes themselves.
    """
    asked = [name for name in layers if LAYERS[name].of_probabilities]
    if level is not None:
        return _part_at_level(segmenter, scene, window, asked, legend or segmenter.references.legend, level)
    segmentation = segmenter.predict(scene, window)
    if legend is not None:
        segmentation = dataclasses.replace(segmentation, legend=legend)
    if not asked:
        return Part(segmentation, {})
    shares = _in_order(segmentation.legend, segmenter, segmenter.predict_proba(scene, window))
    return Part(segmentation, {name: LAYERS[name].encode(segmentation, shares) for name in asked})


def _part_at_level(segmenter: Segmenter, scene: Scene, window: Window, asked: Sequence[str], legend: Legend, level: int) -> Part:
    """As `map_part`, from probabilities alone: what is likeliest below the level has no say."""
    from .maps.levels import at_level, sum_to_level

    provenance = segmenter.provenance(scene)  # refuses other bands
    found, valid = segmenter.engine.probabilities(scene, window, segmenter.engine.ask(scene, segmenter.training))
    shares = _in_order(legend, segmenter, found)
    undecided = np.zeros(valid.shape, np.uint8)
    below = Segmentation(undecided, undecided.astype(np.float32), valid, legend, scene.grid.crop(window), provenance)
    segmentation = at_level(below, level, shares, abstain=segmenter.abstain)
    summed = sum_to_level(legend, level, shares) if asked else shares
    return Part(segmentation, {name: LAYERS[name].encode(segmentation, summed) for name in asked})


def _in_order(legend: Legend, segmenter: Segmenter, found: FloatArray) -> FloatArray:
    """Probabilities of all classes of a legend; 0 for those that are not labelled."""
    shares: FloatArray = np.zeros((len(legend), *found.shape[1:]), np.float32)
    shares[[legend.ids.index(int(class_id)) for class_id in segmenter.classes_]] = found
    return shares


def write_products(
    outputs: Outputs,
    scene: Scene,
    legend: Legend,
    parts: Iterable[tuple[Window, Part]],
    *,
    provenance: Mapping[str, str],
    labels: LabelledPixels | None = None,
    overwrite: bool = False,
    scratch: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Written:
    """Write the files of a map that comes part by part and is never held whole.

    Args:
        outputs: Which files.
        scene: The image, for the picture.
        legend: Classes of the map.
        parts: Windows that cover the image, each once and in any order, and their maps.
        provenance: What it takes to make the map again.
        labels: Marked pixels, for the picture.
        overwrite: Replace files that are there.
        scratch: Folder for what is not finished; default beside the map.
        tell: Told what is done after the last part, now and then; may raise to end it.

    Returns:
        The files and the areas.

    Raises:
        OutputError: A file is there and overwrite is False, or the disk refuses it.
    """
    targets = outputs.targets(scene.grid)
    counted = outputs.counted or outputs.areas is not None or outputs.picture is not None
    # What counts, draws and outlines takes a second to import: only for who asks for it.
    counter: AreaCounter | None = None
    if counted:
        from .maps.areas import AreaCounter, write_area_table

        counter = AreaCounter(scene.grid, legend)
    with ExitStack() as stack:
        stack.enter_context(small_cache())
        target, view = outputs.map, None
        if target is None and outputs.polygons is not None:
            aside = tempfile.TemporaryDirectory(prefix=".map-", dir=scratch or outputs.polygons.parent)
            target = Path(stack.enter_context(aside)) / "map.tif"
        if outputs.picture is not None:
            from .maps.panels import Overview

            view = Overview(scene, legend)
        with ExitStack() as writing:
            writer = None
            if target is not None:
                made = MapWriter(
                    target, scene.grid, legend, provenance=provenance, overwrite=overwrite, layers=outputs.layers, scratch=scratch
                )
                writer = writing.enter_context(made)
            for window, (part, layers) in parts:
                if writer is not None:
                    writer.write(part, window, layers)
                if view is not None:
                    view.add(part, window)
                if counter is not None:
                    counter.add(part.classes, part.valid, window)
            tell("writing")
        if outputs.polygons is not None:
            from .maps.polygons import write_polygons_of

            assert target is not None
            write_polygons_of(target, scene.grid, legend, outputs.polygons, overwrite=overwrite, progress=lambda: tell("outlining"))
        table = counter.table() if counter is not None else None
        if table is not None and outputs.areas is not None:
            write_area_table(table, outputs.areas, overwrite=overwrite)
        if view is not None and table is not None and outputs.picture is not None:
            tell("drawing")
            measure = "Similarity" if "similarity" in outputs.layers else "Confidence"
            view.draw(labels, table, outputs.picture, measure=measure, overwrite=overwrite)
    return Written(targets, table)
