"""Labelled pixels as the engine keeps them: (S_p, c[p + d_j]) of each, ready to travel to other images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..encoding import STORED, encoding_of
from ..errors import LabelError, ModelError, RasterError
from ..model import Model
from ..model.checkpoint import read_file, write_file
from ..scene import Scene
from ..types import AnyArray, BoolArray, Grid, IntArray, LabelledPixels, Legend, UInt8Array, Window
from .bands import RAW, band_group, band_values
from .blocks import REFERENCE_BLOCK, block_at
from .encoder import encoder_group
from .source import Columns
from .squares import CONTEXT, OBJECT_SIZE
from .stack import FeatureStack

_WITNESSES = 16
"""Labelled pixels that have to be the same for two files to be one image."""
GROUPS = 8
"""Spatial groups along the longer side of an image: labels in different ones are taken to say something new about a class."""
_LARGEST_GROUP = 4 * OBJECT_SIZE
"""Pixels a side of a spatial group, at most: what is further apart always tells something new."""


@dataclass(frozen=True, eq=False)
class References:
    """What is known of the labelled pixels, in the order in which they were given."""

    classes: UInt8Array
    """Class id of each reference, shape (L,)."""
    legend: Legend
    bands: Tensor
    """(L, band): bands at the pixel, standardised; raw where there is no model."""
    s: Tensor
    """(L, z_dim): shared representations; z_dim = 0 without a model."""
    c: Tensor
    """(M, F): feature vectors at the distinct positions of all windows. Neighbouring labels share them: M <= L J."""
    windows: Tensor
    """(L, J) int64: row of `c` for each position of each reference's window, row-major."""
    model_hash: str
    """Hash of the features that made them (`FeatureStack.hash`): the model's, 'raw' without one."""
    band_names: tuple[str, ...]
    features: Tensor
    """(L, K): what a learner is told of each labelled pixel, see `columns`."""
    background: Tensor
    """(L, 2, K): mean and variance of these features over the valid pixels of the labelled pixel's own small block."""
    origins: Tensor
    """(L, 4) int64: number of the image (`scene_number`), number of its grid (`grid_number`), row and column of each labelled pixel."""
    sizes: Tensor
    """(L,) int64: the longer side of the image on which each pixel was labelled, in pixels."""
    columns: Columns
    """What the columns of `features` are."""
    limit: float | None = None
    """What `pixelkin.coverage` found on the labelled image: the distance to the nearest reference that is usual there."""
    encoding: str | None = None
    """What the numbers of the labelled images mean, see `pixelkin.encoding`; None where that is not known."""

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, index: Sequence[int] | IntArray) -> References:
        """Some of the references, in the order given; positions that none of them uses are dropped."""
        rows = torch.as_tensor(np.asarray(index, np.int64))
        used, windows = torch.unique(self.windows[rows], return_inverse=True)
        return replace(
            self,
            classes=self.classes[rows.numpy()],
            bands=self.bands[rows],
            s=self.s[rows],
            c=self.c[used],
            windows=windows.view(len(rows), self.windows.shape[1]),
            features=self.features[rows],
            background=self.background[rows],
            origins=self.origins[rows],
            sizes=self.sizes[rows],
            # Of fewer references the nearest is further away: what was usual no longer is.
            limit=self.limit if len(rows) == len(self) else None,
        )

    def without_pretrained(self) -> References:
        """The same without the columns of pretrained features."""
        kept = slice(0, self.columns.pretrained.start)
        groups = tuple(group for group in self.columns.groups if group.kind != "pretrained")
        return replace(
            self,
            features=self.features[:, kept].contiguous(),
            background=self.background[:, :, kept].contiguous(),
            columns=Columns(groups),
        )

    def drop(self, class_name: str) -> References:
        """All references but those of one class, which also leaves the legend."""
        gone = self.legend.by_name(class_name)
        kept = self.take(np.flatnonzero(self.classes != gone.id))
        return replace(kept, legend=Legend(tuple(entry for entry in self.legend if entry is not gone)))

    def merge(self, other: References) -> References:
        """These references, then the other's. Classes are matched by name; the other's new classes get free ids.

        Raises:
            ModelError: The two were made with different models.
            LabelError: More than 255 classes.
        """
        if (other.model_hash, other.band_names, other.columns) != (self.model_hash, self.band_names, self.columns):
            raise ModelError(
                f"references of model {other.model_hash[:12]} cannot join references of model {self.model_hash[:12]}. Make both with one model."
            )
        entries = list(self.legend)
        ids = {entry.name: entry.id for entry in entries}
        for entry in other.legend:
            if entry.name not in ids:
                free = next((i for i in [entry.id, *range(1, 256)] if i not in ids.values()), None)
                if free is None:
                    raise LabelError("the merged legend has more than 255 classes, expected at most 255. Drop some classes first.")
                ids[entry.name] = free
                entries.append(replace(entry, id=free))
        renumber = np.zeros(256, np.uint8)
        for entry in other.legend:
            renumber[entry.id] = ids[entry.name]
        return replace(
            self,
            classes=np.concatenate([self.classes, renumber[other.classes]]),
            legend=Legend(tuple(entries)),
            bands=torch.cat([self.bands, other.bands]),
            s=torch.cat([self.s, other.s]),
            c=torch.cat([self.c, other.c]),
            windows=torch.cat([self.windows, other.windows + len(self.c)]),
            features=torch.cat([self.features, other.features]),
            background=torch.cat([self.background, other.background]),
            origins=torch.cat([self.origins, other.origins]),
            sizes=torch.cat([self.sizes, other.sizes]),
            # More references only bring the nearest closer, so the larger limit holds for both images.
            limit=None if self.limit is None or other.limit is None else max(self.limit, other.limit),
            encoding=self.encoding or other.encoding,
        )

    @property
    def sites(self) -> IntArray:
        """(L, 3): number of the image, row and column of each labelled pixel."""
        sites: IntArray = self.origins[:, [0, 2, 3]].numpy()
        return sites

    @property
    def _group_sides(self) -> IntArray:
        sides: IntArray = (-(-self.sizes.numpy() // GROUPS)).clip(max=_LARGEST_GROUP)
        return sides

    @property
    def group_scales(self) -> AnyArray:
        """(L,): how large the spatial groups of the image of each are beside those of a large image, 0..1."""
        return self._group_sides / _LARGEST_GROUP

    @cached_property
    def spatial_groups(self) -> IntArray:
        """(L,): number of the spatial group of each: a square of an eighth of its image's longer side, and of 64 pixels at most.

        Labels of one group are nearly copies of one another.
        """
        side = self._group_sides
        image, row, col = self.sites.T
        _, numbers = np.unique(np.stack([image, row // side, col // side]), axis=1, return_inverse=True)
        return numbers.reshape(-1)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over everything that decides a map: the same labels on the same image with the same model give the same one."""
        digest = hashlib.sha256(repr((self.legend.to_json(), self.model_hash, self.band_names)).encode())
        tensors = (self.bands, self.s, self.c, self.windows, self.features, self.background, self.origins, self.sizes)
        for tensor in (torch.from_numpy(self.classes), *tensors):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write a safetensors file that `References.load` reads.

        Raises:
            OutputError: The file exists and overwrite is False, or the disk refuses it.
        """
        tensors = {
            "classes": torch.from_numpy(np.ascontiguousarray(self.classes)),
            "bands": self.bands, "s": self.s, "c": self.c, "windows": self.windows.to(torch.int32),
            "features": self.features, "background": self.background, "origins": self.origins, "sizes": self.sizes,
        }  # fmt: skip
        header = {
            "legend": self.legend.to_json(), "model_hash": self.model_hash, "band_names": list(self.band_names),
            "columns": self.columns.to_json(), "limit": self.limit, "encoding": self.encoding,
        }  # fmt: skip
        return write_file(path, "references", tensors, header, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> References:
        """Read references.

        Raises:
            MissingFileError: No such file.
            ModelError: Damaged, of another kind, or from a newer version.
        """
        tensors, header = read_file(path, "references")
        try:
            if tensors["origins"].shape[1] != 4 or "sizes" not in tensors:
                raise ValueError("an older layout")
            # 0.1 knew the encoder and the bands only, and did not name them.
            columns = Columns.from_json(header["columns"]) if "columns" in header else _columns_of_0_1(tensors, header)
            if tensors["features"].shape[1] != len(columns):
                raise ValueError(f"{tensors['features'].shape[1]} features for {len(columns)} columns")
            if not all(bool(tensors[name].isfinite().all()) for name in ("features", "background", "bands", "s", "c")):
                raise ValueError("numbers that are not finite")
            return cls(
                tensors["classes"].numpy(), Legend.from_json(header["legend"]), tensors["bands"], tensors["s"], tensors["c"],
                tensors["windows"].long(), header["model_hash"], tuple(header["band_names"]),
                tensors["features"], tensors["background"], tensors["origins"], tensors["sizes"], columns, header.get("limit"),
                # Those of 0.1 saw numbers as they are stored.
                header.get("encoding", STORED),
            )  # fmt: skip
        except (KeyError, IndexError, TypeError, ValueError, ModelError) as exc:
            raise ModelError(
                f"{path} does not hold the references its header announces ({exc}). The file is damaged; save them again."
            ) from exc


def _columns_of_0_1(tensors: dict[str, Tensor], header: dict[str, Any]) -> Columns:
    bands = band_group(tensors["bands"].shape[1], raw=header["model_hash"] == RAW)
    if header["model_hash"] == RAW:
        return Columns((bands,))
    return Columns((encoder_group(tensors["s"].shape[1], tensors["c"].shape[1]), bands))


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is kept of a small block with n labelled pixels, so that a mark may touch any number of blocks."""

    valid: BoolArray
    """(n,) where there is data."""
    features: Tensor
    """(n, K)"""
    background: Tensor
    """(2, K): mean and variance over the block."""
    bands: Tensor
    """(n, band)"""
    encoded: tuple[Tensor, Tensor, Tensor] | None
    """S (n, z), feature vectors at distinct positions (m, F), and which of these are in the window of each (n, J); None without an encoder."""


def collect(
    stack: FeatureStack,
    scene: Scene,
    labels: LabelledPixels,
    each: Callable[[Callable[[Window], _Seen], Iterable[Window]], Iterable[_Seen]] = map,
    *,
    skip_nodata: bool = False,
) -> References:
    """References of the labelled pixels of a scene.

    Each pixel is described from its own small block, so that a reference does not depend on the other labels.

    Args:
        stack: Where features come from.
        scene: The image that was labelled.
        labels: Its labelled pixels.
        each: How to describe the blocks: `map`, or that of a pool of workers.
        skip_nodata: Leave out labelled pixels on no-data.

    Raises:
        LabelError: A labelled pixel lies outside the image, or on no-data that is not to be left out.
        ModelError: The image has not got the bands that the features need.
        RasterError: The image's numbers are too large to compare.
    """
    _require_inside(scene, labels)
    bands, columns, model = stack.bands(scene), stack.columns(scene), stack.model if "encoder" in stack.names else None
    side, f, z = (0, 0, 0) if model is None else (model.config.map_side, model.config.widths[1], model.config.z_dim)
    at_pixels = torch.empty(len(labels), len(bands))
    s = torch.empty(len(labels), z)
    windows = torch.empty(len(labels), side * side, dtype=torch.int64)
    vectors: list[Tensor] = []
    count = 0
    features = torch.empty(len(labels), len(columns))
    background = torch.empty(len(labels), 2, len(columns))
    known = np.ones(len(labels), np.bool_)
    members: dict[Window, list[int]] = {}
    for i, (row, col) in enumerate(zip(labels.rows.tolist(), labels.cols.tolist(), strict=True)):
        members.setdefault(block_at(scene.grid, row, col, REFERENCE_BLOCK), []).append(i)

    inside, steps = slice(CONTEXT, -CONTEXT), torch.arange(side)

    def see(block: Window) -> _Seen:
        fields = stack.fields(scene, block)
        usable = fields.features[:, torch.from_numpy(fields.valid).to(fields.features.device)]
        around = torch.stack([usable.mean(dim=1), usable.var(dim=1, correction=0)]) if usable.shape[1] else usable.new_zeros(2, len(usable))
        rows, cols = labels.rows[members[block]] - block.row, labels.cols[members[block]] - block.col
        at = torch.from_numpy(rows), torch.from_numpy(cols)
        assert fields.bands is not None  # a stack has them
        encoded = None
        if fields.embedding is not None:
            c = fields.embedding.c[:, inside, inside]
            flat = (at[0][:, None, None] + steps[None, :, None]) * c.shape[2] + at[1][:, None, None] + steps[None, None, :]
            distinct, inverse = torch.unique(flat.flatten(), return_inverse=True)
            vectors = c[:, distinct // c.shape[2], distinct % c.shape[2]].T.cpu()
            encoded = fields.embedding.s[:, inside, inside][:, at[0], at[1]].T.cpu(), vectors, inverse.view(len(rows), -1)
        taken = (values[:, at[0], at[1]].T.cpu() for values in (fields.features, fields.bands))
        return _Seen(fields.valid[rows, cols], next(taken), around.cpu(), next(taken), encoded)

    for indices, seen in zip(members.values(), each(see, members), strict=True):
        known[indices] = seen.valid
        if not (seen.valid.all() or skip_nodata):
            i = indices[int(np.argmin(seen.valid))]
            raise LabelError(
                f"labelled pixel {i} at row {labels.rows[i]}, column {labels.cols[i]} of {scene.name} is no-data, expected a valid pixel. Remove or move it."
            )
        where = torch.from_numpy(np.asarray(indices))
        features[where], background[where], at_pixels[where] = seen.features, seen.background, seen.bands
        if not (seen.features.isfinite().all() and seen.background.isfinite().all()):
            raise RasterError(
                f"{scene.name} has values around its labelled pixels that are too large to compare, expected imagery. They look like a fill value "
                "that the file does not declare: name it with nodata=..., or scale the image."
            )
        if seen.encoded is not None:
            s[where], distinct, inverse = seen.encoded
            vectors.append(distinct)
            windows[where] = inverse + count
            count += len(distinct)
    found = References(
        labels.classes.copy(), labels.legend, at_pixels, s, torch.cat(vectors) if vectors else torch.empty(0, f), windows,
        stack.hash, bands, features, background, origins_of(scene, labels),
        torch.full((len(labels),), max(scene.grid.shape)), columns, encoding=encoding_of(scene),
    )  # fmt: skip
    return found if known.all() else found.take(np.flatnonzero(known))


def scene_number(scene: Scene) -> int:
    """A number for an image, from its fingerprint, by which references remember where they are from; a copy has another (see `labelled_on`)."""
    return int.from_bytes(hashlib.blake2b(scene.fingerprint.encode(), digest_size=8).digest(), "little") >> 1


def grid_number(grid: Grid) -> int:
    """A number for the pixels of the ground that a grid names, the same for all dates of a series; 0 where it names none, for want of a CRS."""
    if grid.crs is None:
        return 0
    ground = repr((grid.crs, grid.shape, grid.transform))
    return int.from_bytes(hashlib.blake2b(ground.encode(), digest_size=8).digest(), "little") >> 1


def labelled_on(references: References, model: Model | None, scene: Scene) -> BoolArray:
    """Which references (L,) were labelled on this image, in this file or in a copy of it, which is known by the pixels that were labelled.

    Args:
        references: Made with `model`.
        model: By which bands are standardised, None for raw ones.
        scene: An image that has the bands of the model or of the labelled image; of another file up to 16 pixels are read.
    """
    origins = references.origins.numpy()
    here = np.zeros(len(references), np.bool_)
    for number in np.unique(origins[:, 0]):
        of_one = np.flatnonzero(origins[:, 0] == number)
        some = of_one[:: -(-len(of_one) // _WITNESSES)]
        here[of_one] = number == scene_number(scene) or all(
            _has_bands(references.bands[i], model, scene, int(origins[i, 2]), int(origins[i, 3])) for i in some.tolist()
        )
    return here


def _has_bands(bands: Tensor, model: Model | None, scene: Scene, row: int, col: int) -> bool:
    """True where a pixel has these (standardised) bands."""
    if row >= scene.grid.height or col >= scene.grid.width:
        return False
    pixels = scene.read(Window(row, col, 1, 1))
    if not pixels.valid.all() or len(pixels.data) != len(scene.bands):
        return False
    found = band_values(model, scene, pixels)
    return torch.allclose(found.flatten().cpu(), bands.float(), rtol=1e-5, atol=1e-6)


def origins_of(scene: Scene, labels: LabelledPixels) -> Tensor:
    """`References.origins` of labelled pixels of an image."""
    rows, cols = (torch.from_numpy(np.asarray(index, np.int64)) for index in (labels.rows, labels.cols))
    numbers = (torch.full_like(rows, number) for number in (scene_number(scene), grid_number(scene.grid)))
    return torch.stack([*numbers, rows, cols], dim=1)


def _require_inside(scene: Scene, labels: LabelledPixels) -> None:
    height, width = scene.grid.shape
    outside = (labels.rows < 0) | (labels.rows >= height) | (labels.cols < 0) | (labels.cols >= width)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise LabelError(
            f"labelled pixel {first} at row {labels.rows[first]}, column {labels.cols[first]} is outside {scene.name}, "
            f"expected rows 0 to {height - 1} and columns 0 to {width - 1}. Check the labels' CRS and the image."
        )
