"""ISPRS Potsdam as the paper uses it, prepared from the files that ISPRS hands out.

Each tile of 6000 x 6000 pixels is cut into 15 x 15 blocks of 400, and each block is halved to 200 x 200. 38 tiles
make 8550 images; the 24 tiles whose labels were always public make the 5400 labelled ones, of which 855, a tenth
of all images, are for testing. What comes out is a folder that `pixelkin.experiments.datasets.open_data` reads.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from ..errors import LabelError, MissingFileError, OutputError, RasterError
from ..files import replacing
from ..labels.label_raster import write_label_raster
from ..raster._gdal import one_line, quiet
from ..types import AnyArray, Color, Grid, LabelledPixels, Legend, LegendClass, UInt8Array, Window
from .files import files_under, make_folder, write_json

LEGEND = Legend(
    (
        LegendClass(1, "impervious surface", (255, 255, 255)),
        LegendClass(2, "building", (0, 0, 255)),
        LegendClass(3, "low vegetation", (0, 255, 255)),
        LegendClass(4, "tree", (0, 255, 0)),
        LegendClass(5, "car", (255, 255, 0)),
        LegendClass(6, "clutter", (255, 0, 0)),
    )
)
"""The six classes, with the colours that they have in the label files."""

MERGED = {
    "road and car": ("impervious surface", "car"),
    "vegetation and tree": ("low vegetation", "tree"),
    "building and clutter": ("building", "clutter"),
}
"""The three classes of the paper's N = 3."""

_LABELLED = {
    2: (10, 11, 12), 3: (10, 11, 12), 4: (10, 11, 12), 5: (10, 11, 12),
    6: (7, 8, 9, 10, 11, 12), 7: (7, 8, 9, 10, 11, 12),
}  # fmt: skip
_UNLABELLED = {2: (13, 14), 3: (13, 14), 4: (13, 14, 15), 5: (13, 14, 15), 6: (13, 14, 15), 7: (13,)}


def _tiles(columns: dict[int, tuple[int, ...]]) -> tuple[str, ...]:
    return tuple(f"{row}_{col}" for row, cols in columns.items() for col in cols)


NEAR = 8
"""How far, in each of red, green and blue, a label colour may be from that of its class."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """What the distributed files look like, and how they are cut."""

    labelled: tuple[str, ...] = _tiles(_LABELLED)
    """Tiles 'R_C' whose labels are used."""
    unlabelled: tuple[str, ...] = _tiles(_UNLABELLED)
    """Tiles whose labels, where they are there, are left aside."""
    blocks: int = 15
    """Blocks along each side of a tile."""
    block_px: int = 400
    """Side of a block in the tile's pixels, even; half of it is the side of an image."""
    test_share: float = 0.1
    """Test images as a share of all images."""

    @property
    def tile_px(self) -> int:
        """Side of a tile in pixels."""
        return self.blocks * self.block_px

    def images(self, tiles: Sequence[str]) -> list[str]:
        """Names of the images of some tiles, 'R_C_row_col' with the block's row and column, in order."""
        return [f"{tile}_{row:02d}_{col:02d}" for tile in tiles for row, col in product(range(self.blocks), repeat=2)]


POTSDAM = Layout()
"""The real thing."""


@dataclass(frozen=True)
class Split:
    """Who is trained on and who is tested."""

    unlabelled: tuple[str, ...]
    """Images of the tiles without labels."""
    train: tuple[str, ...]
    """Images with labels that are not for testing; training never reads their labels."""
    test: tuple[str, ...]


def split_images(layout: Layout = POTSDAM, seed: int = 0) -> Split:
    """Draw the test images from a seeded permutation of the labelled ones.

    >>> split = split_images()
    >>> len(split.unlabelled), len(split.train), len(split.test)
    (3150, 4545, 855)
    """
    unlabelled, labelled = layout.images(layout.unlabelled), layout.images(layout.labelled)
    count = round(layout.test_share * (len(unlabelled) + len(labelled)))
    drawn = np.random.default_rng(seed).permutation(len(labelled))
    test = {labelled[i] for i in drawn[:count]}
    return Split(tuple(unlabelled), tuple(n for n in labelled if n not in test), tuple(n for n in labelled if n in test))


def prepare(
    source: str | Path,
    target: str | Path,
    *,
    layout: Layout = POTSDAM,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Cut the tiles into images; goes on where an interrupted run stopped, tile by tile.

    Args:
        source: A folder or a zip archive that holds, at any depth, `top_potsdam_R_C_RGBIR.tif` and `top_potsdam_R_C_label.tif`;
            archives in the folder are looked into.
        target: Folder to make: `images/`, `labels/`, `split.json` and, last, `dataset.json`.
        layout: Sizes and tiles.
        seed: Seed of the split.
        progress: Called with (tiles done, tiles).

    Returns:
        The target folder.

    Raises:
        MissingFileError: Tiles are missing; the message names them.
        RasterError: A tile has another size, number of bands or type; or image and label do not lie on one another.
        LabelError: A colour that is no class, with its place.
        OutputError: The target was made with other options, or the disk refuses.
    """
    target = Path(target)
    images, labels = _find(source, layout)
    options = {"layout": asdict(layout), "seed": seed}
    state = _state(target, options)
    for folder in ("images", "labels"):
        make_folder(target / folder)
    tiles = (*layout.labelled, *layout.unlabelled)
    for done, tile in enumerate(tiles):
        if progress is not None:
            progress(done, len(tiles))
        label = labels[tile] if tile in layout.labelled else None
        stamp = [_stamp(images[tile]), None if label is None else _stamp(label)]
        if state["done"].get(tile) == stamp:
            continue
        _cut(tile, images[tile], label, target, layout)
        state["done"][tile] = stamp
        write_json(target / "progress.json", state)
    write_json(target / "split.json", {"seed": seed, **asdict(split_images(layout, seed))})
    write_json(
        target / "dataset.json",
        {
            "kind": "images",
            "name": "potsdam",
            "bands": ["red", "green", "blue", "nir"],
            "legend": LEGEND.to_json(),
            "merged": {name: list(parts) for name, parts in MERGED.items()},
            "split": "split.json",
        },
    )
    if progress is not None:
        progress(len(tiles), len(tiles))
    return target


def is_source(source: str | Path) -> bool:
    """True for a folder or archive that holds tiles as they are distributed."""
    return any(_NAME.search(name) for name in files_under(source))


_NAME = re.compile(r"top_potsdam_0*(\d+)_0*(\d+)_(rgbir|label)\.tif$", re.IGNORECASE)


def _find(source: str | Path, layout: Layout) -> tuple[dict[str, str], dict[str, str]]:
    """Image and label file of each tile; where a tile is there twice, the first of `files_under` counts."""
    found: dict[str, dict[str, str]] = {"rgbir": {}, "label": {}}
    names = files_under(source)
    for name in names:
        match = _NAME.search(name)
        if match:
            found[match[3].lower()].setdefault(f"{match[1]}_{match[2]}", name)
    missing = [f"top_potsdam_{tile}_RGBIR.tif" for tile in (*layout.labelled, *layout.unlabelled) if tile not in found["rgbir"]]
    missing += [f"top_potsdam_{tile}_label.tif" for tile in layout.labelled if tile not in found["label"]]
    if missing:
        nested = [name for name in names if name.startswith("/vsizip/") and name.lower().endswith(".zip")]
        fix = (
            f"Unpack the outer archive first: it holds {Path(nested[0]).name} and perhaps others."
            if nested
            else "Get 4_Ortho_RGBIR and 5_Labels_for_participants (or 5_Labels_all) from ISPRS and put them, packed or not, in one folder."
        )
        raise MissingFileError(f"{len(missing)} Potsdam file(s) missing under {source}: {', '.join(missing)}. {fix}")
    return found["rgbir"], found["label"]


def _state(target: Path, options: dict[str, Any]) -> dict[str, Any]:
    path = target / "progress.json"
    if not path.exists():
        if target.exists() and any(target.iterdir()):
            raise OutputError(f"{target} is not empty and was not made by this command, expected a new folder. Choose another one.")
        return {"options": options, "done": {}}
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if state["options"] != json.loads(json.dumps(options)):
        raise OutputError(
            f"{target} was made with other options ({state['options']}), expected {options}. Choose another folder or delete it."
        )
    return state


def _stamp(name: str) -> list[Any]:
    """Identity of a file without reading it: name and size."""
    with quiet(), rasterio.open(name) as dataset:
        size = Path(name).stat().st_size if Path(name).exists() else 0
        return [Path(name).name, size, dataset.width, dataset.height]


def _cut(tile: str, image: str, label: str | None, target: Path, layout: Layout) -> None:
    side = layout.block_px
    try:
        with quiet(), rasterio.open(image) as pixels:
            _check(pixels, image, 4, layout)
            if label is None:
                for row in range(layout.blocks):
                    _write_images(tile, row, pixels, target, layout)
                return
            with rasterio.open(label) as colours:
                _check(colours, label, 3, layout)
                _check_pair(pixels, colours, image, label)
                for row in range(layout.blocks):
                    strip = colours.read([1, 2, 3], window=RasterioWindow(0, row * side, layout.tile_px, side))
                    classes = classes_of(strip, Path(label).name, row * side)
                    _write_images(tile, row, pixels, target, layout)
                    _write_labels(tile, row, classes, pixels, target, layout)
    except RasterioError as exc:
        raise RasterError(f"tile {tile} cannot be read or its blocks not written: {one_line(exc)}. Download the tile again.") from exc


def _check(dataset: Any, name: str, bands: int, layout: Layout) -> None:
    side = layout.tile_px
    found = (dataset.count, dataset.height, dataset.width, dataset.dtypes[0])
    if found != (bands, side, side, "uint8"):
        raise RasterError(
            f"{Path(name).name} has {found[0]} bands of {found[1]} x {found[2]} {found[3]}, expected {bands} bands of {side} x {side} uint8. "
            "Download it again."
        )


def _check_pair(image: Any, label: Any, image_name: str, label_name: str) -> None:
    """Both files carry a position only sometimes; where they do, it must be the same."""
    placed = [dataset.transform != Affine.identity() for dataset in (image, label)]
    if all(placed) and not image.transform.almost_equals(label.transform, 1e-3):
        raise RasterError(
            f"{Path(label_name).name} lies at {tuple(label.transform)[:6]}, expected {tuple(image.transform)[:6]} as {Path(image_name).name}. "
            "The two are not of one tile: download them again."
        )


def classes_of(colours: UInt8Array, name: str, first_row: int = 0) -> UInt8Array:
    """Class ids from label colours.

    Args:
        colours: (3, row, col) red, green, blue.
        name: File, for the message.
        first_row: Row of the file that row 0 is, for the message.

    Returns:
        (row, col), ids of `LEGEND`.

    Raises:
        LabelError: A colour that is no class.
    """
    code = colours.astype(np.uint32)
    code = code[0] << 16 | code[1] << 8 | code[2]
    out = np.zeros(code.shape, np.uint8)
    for entry in LEGEND:
        red, green, blue = entry.color
        out[code == (red << 16 | green << 8 | blue)] = entry.id
    if not out.all():
        # Tile 4_12 as distributed has cars in (252, 255, 0): what is next to a colour is taken as it.
        rows, cols = np.nonzero(out == 0)
        palette = np.array([entry.color for entry in LEGEND])
        apart = np.abs(colours[:, rows, cols].T[:, None].astype(int) - palette).max(2)
        ids = np.array(LEGEND.ids, np.uint8)[apart.argmin(1)]
        out[rows, cols] = np.where(apart.min(1) <= NEAR, ids, 0)
        if out.all():
            _log.warning("%s: %d pixels of a colour next to that of a class are taken as it", name, len(rows))
    if not out.all():
        row, col = np.argwhere(out == 0)[0]
        known = ", ".join(f"{entry.color} {entry.name}" for entry in LEGEND)
        found: Color = tuple(int(v) for v in colours[:, row, col])  # type: ignore[assignment]
        raise LabelError(
            f"{name} has colour {found} at row {first_row + row}, column {col}, expected one of: {known}. Correct the pixel or download it again."
        )
    return out


def halve(image: AnyArray) -> UInt8Array:
    """An image (band, row, col) of half the size: the mean of every four pixels, rounded half up."""
    wide = image.astype(np.uint16)
    total = wide[:, ::2, ::2] + wide[:, 1::2, ::2] + wide[:, ::2, 1::2] + wide[:, 1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)


def _write_images(tile: str, row: int, pixels: Any, target: Path, layout: Layout) -> None:
    side = layout.block_px
    strip = halve(pixels.read(window=RasterioWindow(0, row * side, layout.tile_px, side)))
    for col in range(layout.blocks):
        grid = _grid(pixels, row, col, layout)
        with (
            replacing(target / "images" / f"{tile}_{row:02d}_{col:02d}.tif", overwrite=True) as path,
            rasterio.open(
                path, "w", driver="GTiff", width=grid.width, height=grid.height, count=4, dtype="uint8", compress="deflate",
                crs=grid.crs, transform=Affine(*grid.transform), photometric="RGB", alpha="unspecified",
            ) as out,
        ):  # fmt: skip
            out.write(strip[:, :, col * side // 2 : (col + 1) * side // 2])
            out.descriptions = ("red", "green", "blue", "nir")


def _write_labels(tile: str, row: int, classes: UInt8Array, pixels: Any, target: Path, layout: Layout) -> None:
    """The upper left of every four classes: a mean of classes would mean nothing."""
    half = layout.block_px // 2
    for col in range(layout.blocks):
        mask = classes[::2, ::2][:, col * half : (col + 1) * half]
        with replacing(target / "labels" / f"{tile}_{row:02d}_{col:02d}.tif", overwrite=True) as path:
            write_label_raster(LabelledPixels.from_mask(mask, LEGEND), _grid(pixels, row, col, layout), path)


def _grid(pixels: Any, row: int, col: int, layout: Layout) -> Grid:
    side = layout.block_px
    tile = Grid(layout.tile_px, layout.tile_px, tuple(pixels.transform)[:6], pixels.crs.to_wkt() if pixels.crs else None)
    a, b, c, d, e, f = tile.crop(Window(row * side, col * side, side, side)).transform
    return Grid(side // 2, side // 2, (2 * a, 2 * b, c, 2 * d, 2 * e, f), tile.crs)
