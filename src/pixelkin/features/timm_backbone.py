"""Pretrained features of any network of `timm` whose weights the user has, in the place of EfficientNet-Lite0.

A spec names the network and a file of its weights, `resnet18:weights.safetensors`; or `resnet18:cache` takes what timm keeps on this machine. Nothing is ever downloaded.
The network reads what the packaged one reads (see `backbone`), enlarged twice; what is kept of it are the feature maps whose outputs are 4 to 16 of its pixels apart. They are
taken to lie evenly on the image; those of a network that pads alike on both sides may lie up to half of that distance off.

Such a network may look at all that it is given (squeeze and excitation, attention). So that a pixel's numbers do not depend on the window that is asked for, it is given the cells of
one fixed grid, each with a margin, and a pixel is described by the run of its cell. Only the pixels around a whole cell that smoothing looks at are described with it.

Wightman, *PyTorch Image Models* (2019), https://github.com/huggingface/pytorch-image-models.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..errors import InputError, MissingExtraError, MissingFileError, ModelError
from ..model import Model
from ..scene import Scene, read_padded
from ..types import Grid, Window
from .backbone import PATCH, PhotographFeatures, bands_around, between, field_of
from .blocks import BLOCK, block_at, blocks_of, overlap, spread
from .source import Fields, Group, grown

CACHE = "cache"
"""Stands for a file: what timm has in its cache."""
_MARGIN = BLOCK // 4
"""Pixels around a cell that its run sees; a multiple of 32, as some networks want their input to be."""
_ENLARGED = 2
_STEPS = 4, 16
"""Of the feature maps that are kept: pixels of the network's input from one output to the next, least and most. As of the packaged network; finer ones would take memory."""
_CELLS = 4
"""Cells of an image by which feature maps are scaled, evenly spread over it."""
_KEPT_BYTES = 64 << 20
"""Of runs that are remembered: marks in one cell ask for it again and again."""


class TimmNetwork:
    """A network of timm, as far as it is used."""

    def __init__(self, spec: str, module: nn.Module, widths: Sequence[int], digest: str) -> None:
        """Look at what it gives.

        Args:
            spec: By which it was asked for.
            module: Takes (1, 3, S, S) and gives a list of maps (1, C, s, s) or (1, s, s, C), as timm's `features_only` does.
            widths: Channels of each map.
            digest: Of the weights and of the network's name.

        Raises:
            ModelError: It gives no maps for images of this size.
        """
        self.spec, self.name, self.hash = spec, spec.partition(":")[0], digest
        self._module = module.eval().requires_grad_(False)
        cfg = getattr(module, "pretrained_cfg", None) or {}
        self._mean, self._std = (
            torch.tensor(cfg.get(name) or default)[:, None, None]
            for name, default in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225)))
        )
        self.widths = tuple(widths)
        self.planes = 0
        """Numbers that it holds at once, at most, for one pixel of the image."""
        hooks = [part.register_forward_hook(self._count) for part in self._module.modules() if not list(part.children())]
        try:
            maps = self(torch.zeros(3, *[BLOCK + 2 * _MARGIN] * 2))
        except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as exc:
            raise ModelError(
                f"backbone is {spec!r}, and {self.name} gives no feature maps of images of {_side()} x {_side()} pixels ({_first(exc)}). Choose another."
            ) from exc
        for hook in hooks:
            hook.remove()
        self.steps = tuple(_side() / part.shape[1] for part in maps)

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Feature maps (channel, row, col) of (3, row, col), 0 to 1 from dark to bright."""
        with torch.inference_mode():
            x = interpolate(((x - self._mean) / self._std)[None], size=[_side()] * 2, mode="bilinear", align_corners=False)
            found = self._module(x)
            # Some networks keep channels last.
            return [maps[0] if maps.shape[1] == width else maps[0].permute(2, 0, 1) for maps, width in zip(found, self.widths, strict=True)]

    def _count(self, part: nn.Module, given: tuple[Any, ...], got: Any) -> None:
        sizes = [value.numel() for value in (*given, got, got) if isinstance(value, Tensor)]
        self.planes = max(self.planes, -(-sum(sizes) // (BLOCK + 2 * _MARGIN) ** 2))


class TimmFeatures(PhotographFeatures):
    """Bands on the pixel and on the 5 x 5 around it, then feature maps of a network of timm on red, green and blue, and on near infrared, red and green."""

    halo = 3 * _MARGIN // 4
    """Of a block and the pixels around it that smoothing looks at. Smaller windows see the rest of their cell too, which is read for them."""

    def __init__(self, model: Model | None, network: TimmNetwork) -> None:
        """Choose bands and network.

        Args:
            model: Whose bands are looked at; None looks at all of an image.
            network: As `load_backbone` gives it.
        """
        super().__init__(model, network.hash)
        self.network, self.network_name = network, network.name
        self.planes = network.planes + sum(network.widths)
        self._runs: LRUCache[tuple[str, Window], list[Tensor]] = LRUCache(_KEPT_BYTES, lambda run: sum(part.nbytes for part in run))
        self._scales: LRUCache[str, list[tuple[Tensor, Tensor]]] = LRUCache(64)
        self._runs_lock, self._scales_lock = threading.Lock(), threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._model, self.network.spec, self.hash)

    def group(self, scene: Scene) -> Group:
        """Three columns a band, and those of each pass; ModelError where the image has not got the bands of any."""
        bands = self._bands(scene)
        count = len(self._passes(scene))
        # How far such networks look is not known; the packaged one's reach at that depth stands for it.
        spans = tuple(-(-field_of(step) // _ENLARGED) for step in self.network.steps)
        parts = (3 * len(bands), *(self.network.widths * count))
        return Group(
            "pretrained",
            sum(parts),
            parts[0],
            "pretrained",
            weights=self.hash,
            parts=parts,
            spans=(PATCH, *(spans * count)),
            network=self.network.name,
        )

    def fields(self, scene: Scene, window: Window, step: int = 1) -> Fields:
        """See `FeatureSource.fields`."""
        near = read_padded(scene, grown(window, PATCH))
        inside = slice(PATCH, -PATCH)
        with torch.inference_mode():
            bands = torch.cat(bands_around(self._scaled(scene, near), window.height, window.width, step))
            found = torch.empty(sum(self.network.widths) * len(self._passes(scene)), *bands.shape[1:])
            scales = self._scales_of(scene)
            for cell, part in _cells(window, scene.grid):
                # Of the window's every `step`-th row and column, those in this part.
                rows, cols = (
                    np.arange(-(-(first - of) // step) * step, first - of + length, step)
                    for first, of, length in ((part.row, window.row, part.height), (part.col, window.col, part.width))
                )
                if not len(rows) or not len(cols):
                    continue
                maps = []
                for values, (level, scale) in zip(self._run(scene, cell), scales, strict=True):
                    apart = (BLOCK + 2 * _MARGIN) / values.shape[1]
                    down, across = (
                        between((at + of - start + _MARGIN + 0.5) / apart - 0.5, values.shape[1])
                        for at, of, start in ((rows, window.row, cell.row), (cols, window.col, cell.col))
                    )
                    maps.append(torch.matmul(down, torch.matmul((values - level) / scale, across.T)))
                found[:, rows[0] // step : rows[-1] // step + 1, cols[0] // step : cols[-1] // step + 1] = torch.cat(maps)
            return Fields(torch.cat([bands, found]), near.valid[inside, inside])

    def _run(self, scene: Scene, cell: Window) -> list[Tensor]:
        """Feature maps of a cell and its margin, of all passes."""
        key = scene.fingerprint, cell
        with self._runs_lock:
            found = self._runs.get(key)
        if found is None:
            x = (self._scaled(scene, read_padded(scene, grown(cell, _MARGIN))) + 1) / 2
            found = [maps.contiguous() for indices, _ in self._passes(scene) for maps in self.network(x[list(indices)])]
            with self._runs_lock:
                if sum(part.nbytes for part in found) <= _KEPT_BYTES:
                    self._runs[key] = found
        return found

    def _scales_of(self, scene: Scene) -> list[tuple[Tensor, Tensor]]:
        """Mean and standard deviation of each channel (channel, 1, 1) of each map over some cells of the image: the same whatever window is asked for."""
        with self._scales_lock:
            found = self._scales.get(scene.fingerprint)
            if found is None:
                sums: list[Tensor] = []
                for block in spread(list(blocks_of(scene.grid, scene.grid.window)), _CELLS):
                    # What is continued by reflection is as good a sample.
                    run = [maps.flatten(1).double() for maps in self._run(scene, Window(block.row, block.col, BLOCK, BLOCK))]
                    new = [torch.stack([maps.mean(dim=1), (maps**2).mean(dim=1), torch.ones(len(maps))]) for maps in run]
                    sums = [one + other for one, other in zip(sums, new, strict=True)] if sums else new
                found = []
                for total, squares, count in sums:
                    level = total / count
                    scale = (squares / count - level**2).clamp(min=0).sqrt()
                    scale = torch.where(scale > 1e-6 * scale.max(), scale, torch.ones(()))
                    found.append((level[:, None, None].float(), scale[:, None, None].float()))
                self._scales[scene.fingerprint] = found
            return found


def _cells(window: Window, grid: Grid) -> Iterator[tuple[Window, Window]]:
    """Cells that describe a window, and the part of it that each does."""
    middle = (
        min(max(0, at), size - 1)
        for at, size in zip((window.row + window.height // 2, window.col + window.width // 2), grid.shape, strict=True)
    )
    block = block_at(grid, *middle)
    ring = grown(block, _MARGIN // 2)
    if _holds(window, block) and _holds(ring, window):
        yield Window(block.row, block.col, BLOCK, BLOCK), window
        return
    for row in range(window.row // BLOCK * BLOCK, window.row + window.height, BLOCK):
        for col in range(window.col // BLOCK * BLOCK, window.col + window.width, BLOCK):
            top, left = max(row, window.row), max(col, window.col)
            bottom, right = min(row + BLOCK, window.row + window.height), min(col + BLOCK, window.col + window.width)
            yield Window(row, col, BLOCK, BLOCK), Window(top, left, bottom - top, right - left)


def _holds(outer: Window, inner: Window) -> bool:
    """True where one window lies in another."""
    return overlap(inner, outer)[0] == (slice(0, inner.height), slice(0, inner.width))


def load_backbone(spec: str) -> TimmNetwork:
    """A network of timm with the user's weights.

    Args:
        spec: 'NAME:FILE', or 'NAME:cache' for what timm has downloaded before. Files as timm, or whoever trained the network with it, saves them: .safetensors, or of PyTorch, of which no code is run.

    Raises:
        InputError: No such network, or no file is named.
        MissingFileError: No such file, or timm's cache has none.
        ModelError: The file does not fit the network, or the network gives no feature maps.
        MissingExtraError: timm is not installed.
    """
    name, _, file = spec.partition(":")
    if not name or not file:
        raise InputError(
            f"backbone is {spec!r}, expected a network of timm and its weights, such as 'resnet18:weights.safetensors', or 'resnet18:{CACHE}'. Nothing is downloaded."
        )
    timm = _timm()
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        raise InputError(
            f"backbone is {spec!r}, and timm {timm.__version__} has no network {name!r}. "
            + (f"It has {', '.join(near)}." if near else "timm.list_models() has their names.")
        )
    path = _cached(timm, name) if file == CACHE else Path(file)
    if not path.is_file():
        raise MissingFileError(f"backbone is {spec!r}, and there is no file {path}. Name the file of weights behind the colon.")
    about = path.stat()
    return _load(spec if file == CACHE else f"{name}:{path.absolute()}", path.absolute(), about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=2)
def _load(spec: str, path: Path, changed: int, size: int) -> TimmNetwork:
    timm, name = _timm(), spec.partition(":")[0]
    try:
        tensors = timm.models.load_state_dict(str(path), weights_only=True)
        digest = hashlib.sha256(repr(name).encode())
        for key, value in sorted(tensors.items()):
            digest.update(repr((key, tuple(value.shape))).encode() + value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    except Exception as exc:
        raise ModelError(
            f"{path} does not hold weights of a network ({_first(exc)}). Name a file of tensors, .safetensors or .pth."
        ) from exc
    plain = _made(timm, name)
    steps = plain.feature_info.reduction()
    kept = tuple(i for i, step in zip(plain.feature_info.out_indices, steps, strict=True) if _STEPS[0] <= step <= _STEPS[1])
    if not kept:
        raise ModelError(
            f"backbone is {name!r}, whose feature maps are {steps} pixels apart, expected some from {_STEPS[0]} to {_STEPS[1]}. Choose another network."
        )
    plain = _made(timm, name, out_indices=kept)
    try:
        module = _made(timm, name, out_indices=kept, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(tensors)})
    except (RuntimeError, KeyError, ValueError, AttributeError) as exc:
        raise ModelError(f"{path} does not fit {name}: {_first(exc)} Name the file of that network.") from exc
    # timm passes over what a file lacks: what is still as it was drawn was not in it.
    drawn = plain.state_dict()
    left = [
        key
        for key, value in module.state_dict().items()
        if value.ndim > 1 and value.is_floating_point() and value.abs().sum() and torch.equal(value, drawn[key])
    ]
    if left:
        raise ModelError(f"{path} does not fit {name}: it lacks {left[0]} and {len(left) - 1} more. Name the file of that network.")
    return TimmNetwork(spec, module, module.feature_info.channels(), digest.hexdigest())


def _made(timm: Any, name: str, **options: Any) -> Any:
    """A network with weights drawn from one seed, whatever was drawn before, but for what the options load."""
    told = logging.getLogger("timm")
    level = told.level
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            told.setLevel(logging.ERROR)  # it tells of each weight of the classifier that is left out
            cfg = timm.get_pretrained_cfg(name)
            if getattr(cfg, "fixed_input_size", False):
                options["img_size"] = _side()
            return timm.create_model(name, **{"pretrained": False, **options}, features_only=True)
        except (NotImplementedError, AttributeError, AssertionError, TypeError) as exc:
            raise ModelError(f"backbone is {name!r}, and timm has no feature maps of it ({_first(exc)}). Choose another network.") from exc
        finally:
            told.setLevel(level)


def _timm() -> Any:
    try:
        import timm
    except ImportError as exc:
        raise MissingExtraError("timm", extra="timm", purpose="a backbone") from exc
    except RuntimeError as exc:  # torchvision that was built for another torch
        raise ModelError(
            f"timm is installed and does not load ({_first(exc)}). Install the torchvision that fits torch {torch.__version__}."
        ) from exc
    return timm


def _cached(timm: Any, name: str) -> Path:
    """The file of a network in the caches of timm's two sources."""
    cfg = timm.get_pretrained_cfg(name)
    hub = getattr(cfg, "hf_hub_id", None)
    for file in ("model.safetensors", "pytorch_model.bin") if hub else ():
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(hub, getattr(cfg, "hf_hub_filename", None) or file)
        if isinstance(found, str):
            return Path(found)
    url = getattr(cfg, "url", None)
    path = Path(torch.hub.get_dir()) / "checkpoints" / str(url).rpartition("/")[2] if url else None
    if path is None or not path.is_file():
        raise MissingFileError(
            f"backbone is '{name}:{CACHE}', and timm has no weights of it in its cache. Nothing is downloaded: fetch them with timm, or name a file."
        )
    return path


def _again(model: Model | None, spec: str, digest: str) -> TimmFeatures:
    """In another process, which reads the file anew."""
    network = load_backbone(spec)
    if network.hash != digest:
        raise ModelError(f"backbone {spec!r} has changed during the run, expected weights {digest[:12]}. Start anew.")
    return TimmFeatures(model, network)


def _side() -> int:
    return _ENLARGED * (BLOCK + 2 * _MARGIN)


def _first(exc: Exception) -> str:
    """The first line of what a library says that tells more than a heading."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    line = next((line for line in lines if not line.endswith(":")), type(exc).__name__)
    return line if len(line) < 160 else line[:157] + "..."
