"""What is done with one tile; local threads and cluster workers call the same function."""

from __future__ import annotations

import io
import threading
import zipfile
from dataclasses import dataclass, field

import numpy as np

from ..features import BLOCK
from ..products import Part, map_part
from ..raster.layers import carries_confidence
from ..scene import HeldScene, Pixels, Scene
from ..segmentation import Segmentation
from ..segmenter import Segmenter
from ..types import AnyArray, Grid, Legend, Window
from .plan import with_halo


@dataclass(frozen=True, eq=False)
class TileScene(HeldScene):
    """An image whose tile and halo were read already, and whose reading can be stopped."""

    known_fingerprint: str
    """The image's, which takes time to work out."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set from outside to give up: the next block raises `Stopped` instead of being read."""

    @property
    def fingerprint(self) -> str:
        """The image's."""
        return self.known_fingerprint

    def read(self, window: Window | None = None) -> Pixels:
        """See `HeldScene.read`."""
        if self.stop.is_set():
            raise Stopped
        return super().read(window)


class Stopped(Exception):  # noqa: N818 - not an error
    """The run was stopped while this tile was under way; seen by nobody but the runner."""


@dataclass(frozen=True, eq=False)
class TileKernel:
    """An image, references and what to keep: all that a worker must know beside a window."""

    scene: Scene
    fingerprint: str
    segmenter: Segmenter
    layers: tuple[str, ...]
    """Beside the classes; see `pixelkin.raster.layers.LAYERS`."""
    level: int | None = None
    """Level of the classes that is mapped; None = the classes themselves."""

    def __call__(self, window: Window, stop: threading.Event | None = None) -> bytes:
        """Read one tile with its halo, decide it, and pack the result for `manifest.Run.put`."""
        around = with_halo(window, self.segmenter.halo, self.scene.grid)
        tile = TileScene(self.scene, around, self.scene.read(around), self.fingerprint, stop or threading.Event())
        return pack(map_part(self.segmenter, tile, window, self.layers, level=self.level), confidence=carries_confidence(self.layers))


def pack(part: Part, *, confidence: bool) -> bytes:
    """A tile's result as a small zip archive, whose checksums tell a damaged file."""
    segmentation = part.segmentation
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # The quickest level: classes shrink tenfold at any, and floats hardly at all.
        archive.writestr("classes.npy", _npy(segmentation.classes), zipfile.ZIP_DEFLATED, 1)
        archive.writestr("valid.npy", _npy(np.packbits(segmentation.valid, axis=1)), zipfile.ZIP_DEFLATED, 1)
        if confidence:
            archive.writestr("confidence.npy", _npy(segmentation.confidence))
        for name, values in part.layers.items():
            archive.writestr(f"{name}.npy", _npy(values), zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def unpack(data: bytes, grid: Grid, legend: Legend) -> Part:
    """Inverse of `pack`; confidence is 0 where it was not kept. Raises zipfile.BadZipFile where the data are damaged."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        arrays = {name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False) for name in archive.namelist()}
    classes = arrays.pop("classes")
    valid = np.unpackbits(arrays.pop("valid"), axis=1, count=classes.shape[1]).astype(np.bool_)
    confidence = arrays.pop("confidence", None)
    return Part(
        Segmentation(classes, np.zeros(classes.shape, np.float32) if confidence is None else confidence, valid, legend, grid), arrays
    )


def _npy(array: AnyArray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def block_bytes_of(segmenter: Segmenter, bands: int) -> int:
    """Memory that computing one block takes: feature maps, projections, and the distances of some references at a time."""
    references = segmenter.references
    planes = min(64, len(references)) + 3 * len(references.legend) + 2 * bands + 16
    if segmenter.method != "nearest":
        # Of every second row and column, as computed and as kept.
        planes += references.features.shape[1] // 2
    # One network after the other.
    pretrained = segmenter.pretrained
    networks = [pretrained.planes] if references.columns.parts and pretrained is not None else []
    if segmenter.model is not None:
        config = segmenter.model.config
        # Each convolution's input, output and rearranged copy; a panel of term 3 and its two sums.
        networks.append(2 * sum(config.widths) + config.z_dim + 2 * config.critic_dim + 3 * 64)
    planes += max(networks, default=0)
    return 4 * planes * (BLOCK + 2 * segmenter.halo) ** 2
