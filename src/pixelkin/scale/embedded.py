"""An archive of embeddings, opened: a scene whose bands are its channels, and the model that takes them for what they are."""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import MissingExtraError, MissingFileError, ModelError, RasterError
from ..model import Model, Standardisation, require_same_model
from ..scene import Pixels, Series
from ..types import Grid, Window

try:
    import zarr
except ImportError as exc:
    raise MissingExtraError("zarr", extra="scale", purpose="an embedding archive") from exc

VERSION = 1
"""Of the layout of an archive."""


def is_archive(path: str | Path) -> bool:
    """True where a Zarr store is an embedding archive of ours, False where it is anything else."""
    try:
        group = zarr.open_group(str(path), mode="r")
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(ours := dict(group.attrs).get("pixelkin"), dict) and ours.get("kind") == "embeddings"


def open_embeddings(path: str | Path, model: Model) -> EmbeddedScene:
    """An archive as a scene, with the model that reads it.

    >>> archive = open_embeddings("scene.zarr", model)  # doctest: +SKIP
    >>> segmenter = Segmenter(archive.model).fit(archive, labels)  # doctest: +SKIP

    Raises:
        MissingFileError: There is no archive.
        RasterError: It is not one of ours.
        ModelError: It was made with another model.
    """
    try:
        group = zarr.open_group(str(path), mode="r")
    except FileNotFoundError as exc:
        raise MissingFileError(f"{path} is not there, expected an embedding archive. Make one with: pixelkin embed") from exc
    attributes: dict[str, Any] = dict(group.attrs).get("pixelkin", {})  # type: ignore[assignment]
    if attributes.get("kind") != "embeddings" or attributes.get("version", 0) > VERSION:
        raise RasterError(f"{path} is not an embedding archive that this pixelkin reads. Make one with: pixelkin embed")
    require_same_model(attributes["inputs"]["model"], model, str(path))
    return EmbeddedScene(str(path), attributes, ProjectedModel(model))


def archives_in(folder: str | Path) -> list[Path]:
    """Embedding archives directly in a folder, sorted by name."""
    return sorted(path for path in Path(folder).glob("*.zarr") if is_archive(path))


def open_embedded_series(folder: str | Path, model: Model) -> Series:
    """The archives in a folder as a series; any of their models reads all of them.

    Raises:
        MissingFileError: There is no archive.
        ModelError: One was made with another model.
        RasterError: They have no dates, or lie on several grids.
    """
    archives = archives_in(folder)
    if not archives:
        raise MissingFileError(f"{folder} has no embedding archive, expected at least one. Make them with: pixelkin embed")
    return Series(tuple(open_embeddings(path, model) for path in archives))


@dataclass(frozen=True, eq=False)
class EmbeddedScene:
    """An embedding archive as an image: bands are channels of u and S."""

    path: str
    attributes: dict[str, Any]
    model: ProjectedModel
    """Give this one to the Segmenter."""

    @property
    def name(self) -> str:
        """Name of the scene that was embedded."""
        return str(self.attributes["inputs"]["scene"])

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        grid = self.attributes["grid"]
        return Grid(grid["height"], grid["width"], tuple(grid["transform"]), grid["crs"])

    @property
    def bands(self) -> tuple[str, ...]:
        """u_1, ..., s_1, ..."""
        return self.model.bands

    @property
    def date(self) -> dt.date | None:
        """Acquisition date where known."""
        date = self.attributes["date"]
        return None if date is None else dt.date.fromisoformat(date)

    @property
    def dtype(self) -> str:
        """Of what `read` returns, whatever is stored."""
        return "float32"

    @property
    def fingerprint(self) -> str:
        """Follows from the image, the model and how it was stored."""
        return hashlib.sha256(json.dumps(self.attributes, sort_keys=True).encode()).hexdigest()

    def read(self, window: Window | None = None) -> Pixels:
        """U and S of a window (default: all). No-data pixels have features too: patches that touch them were embedded with them."""
        rows, cols = (window or self.grid.window).slices
        data, valid = self._arrays
        quantisation = quantisation_of(self.attributes)
        values = np.asarray(data[:, rows, cols]).astype(np.float32) * quantisation.scale[:, None, None] + quantisation.center[:, None, None]
        return Pixels(values, np.asarray(valid[rows, cols], np.bool_))

    @cached_property
    def _arrays(self) -> tuple[Any, Any]:
        group = zarr.open_group(self.path, mode="r")
        return group["0"], group["valid"]


class ProjectedModel(Model):
    """The part of a model that is left to do once an image is embedded: the critic's g(S) and its inner products."""

    def __init__(self, model: Model) -> None:
        """Wrap the model that made the embeddings."""
        width = projected_width(model)
        network = copy.deepcopy(model.network)
        network.local_critic.project_map = nn.Identity()
        network.global_critic.project_map = _NotKept()
        names = tuple(f"u_{i + 1}" for i in range(width)) + tuple(f"s_{i + 1}" for i in range(model.config.z_dim))
        network.config = replace(model.config, bands=names, widths=(model.config.widths[0], width, model.config.widths[2]))
        super().__init__(network, Standardisation(np.zeros(len(names), np.float32), np.ones(len(names), np.float32)), model.info)
        self.hash = hashlib.sha256(f"{model.hash} embedded for the local measure".encode()).hexdigest()

    def standardise(self, pixels: Pixels) -> Tensor:
        """U and S as they are; a whole model would clip them."""
        return torch.from_numpy(pixels.data)

    def embed(self, x: Tensor, *, margin: int = 0) -> tuple[Tensor, Tensor]:
        """Cut u and S to the reach that a whole model gives them."""
        width, r = self.config.widths[1], self.config.radius
        return x[:width, 2:-2, 2:-2].contiguous(), x[width:, r:-r, r:-r].contiguous()


class _NotKept(nn.Module):
    def forward(self, _: Tensor) -> Tensor:
        raise ModelError("the embeddings hold what the measures 'local' and 'l1' need, expected one of them. Use the imagery for 'global'.")


def projected_width(model: Model) -> int:
    """Channels of u."""
    return model.config.critic_dim if model.config.critic == "separable" else model.config.critic_width


def quantisation_of(attributes: dict[str, Any]) -> Standardisation:
    """Offset and scale of each channel."""
    channels = attributes["channels"]["u"] + attributes["channels"]["s"]
    if attributes["scale"] is None:
        return Standardisation(np.zeros(channels, np.float32), np.ones(channels, np.float32))
    return Standardisation(np.asarray(attributes["offset"], np.float32), np.asarray(attributes["scale"], np.float32))
