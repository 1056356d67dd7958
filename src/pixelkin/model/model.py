"""A trained model: networks, band statistics and how they came to be."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..encoding import STORED, require_encoding
from ..errors import InputError, ModelError
from ..inputs import Image, as_scene
from ..scene import Pixels, Scene, inside, read_padded
from ..types import FloatArray, Window
from .checkpoint import read_file, write_file
from .config import ModelConfig
from .network import Network
from .standardise import Standardisation

_AT_ONCE = 256
"""Pixels a side that are embedded at a time."""


class Model:
    """Everything needed to say how alike two pixels are; never changed by labels."""

    def __init__(self, network: Network, standardisation: Standardisation, info: Mapping[str, Any] | None = None) -> None:
        """Wrap a network for prediction.

        Args:
            network: Encoder and critics; kept in evaluation mode.
            standardisation: Band statistics, one per band of `network.config.bands`.
            info: How the model was trained (preset, steps, seed, versions); plain JSON values.
        """
        self.network = network.eval().requires_grad_(False)
        self.standardisation = standardisation
        self.info = dict(info or {})
        self._fused = _fuse(network)
        self.hash = self._hash()

    @property
    def config(self) -> ModelConfig:
        """Shape of the networks."""
        return self.network.config

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands the model reads, in order."""
        return self.config.bands

    @property
    def patch_size(self) -> int:
        """Side s of a patch, in pixels."""
        return self.config.patch_size

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        device: torch.device = next(self._fused.parameters()).device
        return device

    def to(self, device: str | torch.device) -> Model:
        """The same model on another device; this one stays where it is."""
        moved = Model(copy.deepcopy(self.network).to(device), self.standardisation, self.info)
        moved.hash = self.hash
        return moved

    @property
    def encoding(self) -> str | None:
        """What the numbers of its imagery mean, see `pixelkin.encoding`; models of before this was kept saw them as they are stored."""
        encoding: str | None = self.info.get("encoding", STORED)
        return encoding

    def band_index(self, scene: Scene) -> list[int]:
        """Where the model's bands are in a scene: by name where the scene names them all, else by order.

        Raises:
            ModelError: The bands do not match; the message has both lists.
            RasterError: The scene's numbers are on another scale than those of the imagery that the model learned from.
        """
        require_encoding(scene, self.encoding, "the model")
        if set(self.bands) <= set(scene.bands):
            return [scene.bands.index(band) for band in self.bands]
        unnamed = all(band.startswith("band_") for band in scene.bands) or all(band.startswith("band_") for band in self.bands)
        if unnamed and len(scene.bands) == len(self.bands):
            return list(range(len(self.bands)))
        raise ModelError(
            f"{scene.name} has bands {list(scene.bands)}, the model expects {list(self.bands)}. "
            "Choose or name the bands when opening it: open_scene(path, bands=[...])."
        )

    def standardise(self, pixels: Pixels) -> Tensor:
        """Network input from pixels whose bands are in the model's order: (band, row, col) float32 on the model's device."""
        return self.standardisation.apply(pixels).to(self.device)

    def embed(self, x: Tensor, *, margin: int = 0) -> tuple[Tensor, Tensor]:
        """C_psi and S of every pixel of a window.

        Args:
            x: (band, height + 2 m, width + 2 m), standardised, with m = radius + margin pixels around the window.
            margin: Pixels around the window for which S is wanted too.

        Returns:
            c: (F, height + 2 (radius - 2 + margin), ...), the feature map reaching as far as any patch of the window does.
            s: (z_dim, height + 2 margin, width + 2 margin).
        """
        with torch.inference_mode():
            batch = x.unsqueeze(0).contiguous(memory_format=torch.channels_last)
            c = self._fused.feature_map(batch)
            return c[0], self._fused.shared(c)[0]

    def __repr__(self) -> str:
        return f"Model(bands={list(self.bands)}, patch_size={self.patch_size}, hash={self.hash[:12]!r})"

    def transform(self, image: Image, window: Window | None = None) -> FloatArray:
        """What the encoder says of every pixel, for whoever wants to learn from it in another way.

        Args:
            image: A scene, an array (band, row, col) or a DataArray with the model's bands.
            window: Window inside the image; default all of it.

        Returns:
            (z_dim + F, row, col) float32: the shared representation S of the patch around the pixel, then the feature map C_psi there. Held whole in memory; pixels without
            data have numbers too.

        Raises:
            ModelError: The image lacks bands of the model.
            RasterError: The window is not inside the image.
        """
        scene = as_scene(image)
        window = inside(window, scene.grid, scene.name)
        index, r = self.band_index(scene), self.config.radius
        found = np.empty((self.config.z_dim + self.config.widths[1], window.height, window.width), np.float32)
        for row in range(0, window.height, _AT_ONCE):
            for col in range(0, window.width, _AT_ONCE):
                height, width = min(_AT_ONCE, window.height - row), min(_AT_ONCE, window.width - col)
                pixels = read_padded(scene, Window(window.row + row - r, window.col + col - r, height + 2 * r, width + 2 * r))
                c, s = self.embed(self.standardise(Pixels(pixels.data[index], pixels.valid)))
                k = (c.shape[1] - height) // 2
                found[:, row : row + height, col : col + width] = torch.cat([s, c[:, k : k + height, k : k + width]]).cpu().numpy()
        return found

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write a safetensors file that `load_model` reads; returns its path.

        Raises:
            OutputError: The file exists and overwrite is False, or the disk refuses it.
        """
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors["standardisation.center"] = torch.from_numpy(self.standardisation.center)
        tensors["standardisation.scale"] = torch.from_numpy(self.standardisation.scale)
        header = {"config": self.config.to_json(), "info": self.info, "hash": self.hash}
        return write_file(path, "model", tensors, header, overwrite=overwrite)

    def _hash(self) -> str:
        """SHA-256 over configuration, statistics and weights: the same on every machine, whatever the file."""
        digest = hashlib.sha256(json.dumps(self.config.to_json(), sort_keys=True).encode())
        digest.update(self.standardisation.center.tobytes() + self.standardisation.scale.tobytes())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def load_model(path: str | Path) -> Model:
    """Read a model that `Model.save` wrote.

    Raises:
        MissingFileError: No such file.
        ModelError: The file is damaged, of another kind, from a newer version, or its weights do not fit its configuration.
    """
    tensors, header = read_file(path, "model")
    try:
        network = Network(ModelConfig.from_json(header["config"]))
        weights = {name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")}
        network.load_state_dict(weights)
        center = tensors["standardisation.center"].numpy().astype(np.float32)
        scale = tensors["standardisation.scale"].numpy().astype(np.float32)
        model = Model(network, Standardisation(center, scale), header["info"])
        expected = header["hash"]
    except (KeyError, TypeError, RuntimeError, InputError) as exc:
        raise ModelError(
            f"{path} does not hold the weights its header announces ({exc}). The file is damaged; save the model again."
        ) from exc
    if model.hash != expected:
        raise ModelError(
            f"{path} has weights of hash {model.hash[:12]}, its header says {expected[:12]}. The file is damaged; save the model again."
        )
    return model


def _fuse(network: Network) -> Any:
    """The encoder with batch norm folded into the convolutions, channels last: the same function, one pass less a layer."""
    encoder = copy.deepcopy(network.encoder).eval()
    for name in ("conv1", "conv2", "conv3"):
        conv, norm, _ = getattr(encoder, name)
        setattr(encoder, name, nn.Sequential(fuse_conv_bn_eval(conv, norm), nn.ReLU(inplace=True)))
    return encoder.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def require_same_model(expected: str, model: Model, what: str) -> None:
    """Refuse `what`, made with the model of hash `expected`, if `model` is another one.

    Raises:
        ModelError: With both hashes.
    """
    if model.hash != expected:
        raise ModelError(f"{what} was made with model {expected[:12]}, this is model {model.hash[:12]}. Load the model it was made with.")
