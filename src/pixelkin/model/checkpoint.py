"""Models and training states in safetensors files: tensors and a JSON header, never code.

A header says what a file is (`kind`) and in which `version` of the layout, so that an old program can refuse
a newer file by name instead of misreading it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import InputError, MissingFileError, ModelError
from ..files import replacing
from .config import ModelConfig
from .network import Network
from .standardise import Standardisation

if TYPE_CHECKING:
    from .model import Model

VERSION = 1
_KEY = "pixelkin"


def write_file(path: str | Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, overwrite: bool) -> Path:
    """Write tensors and header to a temporary name, then rename: the file is whole or not there.

    Raises:
        OutputError: The file exists and overwrite is False, or the disk refuses it.
    """
    target = Path(path)
    metadata = {_KEY: json.dumps({"kind": kind, "version": VERSION, **header}, sort_keys=True)}
    with replacing(target, overwrite=overwrite) as temporary:
        temporary.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata))
    return target


def read_file(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file written by `write_file`.

    Raises:
        MissingFileError: No such file.
        ModelError: Not a safetensors file (damaged, a pickle), of another kind, or from a newer version.
    """
    source = Path(path)
    if not source.is_file():
        raise MissingFileError(f"{source} is not there, expected a pixelkin {kind} file (.safetensors). Check the path.")
    try:
        with safe_open(source, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, safe_open is not a mapping
    except (SafetensorError, json.JSONDecodeError, OSError) as exc:
        raise ModelError(
            f"{source} is damaged or not a safetensors file, expected a pixelkin {kind}. Pickles are never loaded; save it again."
        ) from exc
    if not isinstance(header, dict) or header.get("kind") != kind:
        found = header.get("kind") if isinstance(header, dict) else "no pixelkin header"
        raise ModelError(f"{source} holds {found!r}, expected a pixelkin {kind}. Give the file that pixelkin wrote.")
    if header["version"] > VERSION:
        raise ModelError(
            f"{source} has layout version {header['version']}, this pixelkin reads up to {VERSION}. Upgrade: pip install -U pixelkin."
        )
    return tensors, header


def save_model(model: Model, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a model; returns the path. Same errors as `write_file`."""
    tensors = {f"network.{name}": tensor for name, tensor in model.network.state_dict().items()}
    tensors["standardisation.center"] = torch.from_numpy(model.standardisation.center)
    tensors["standardisation.scale"] = torch.from_numpy(model.standardisation.scale)
    header = {"config": model.config.to_json(), "info": model.info, "hash": model.hash}
    return write_file(path, "model", tensors, header, overwrite=overwrite)


def load_model(path: str | Path) -> Model:
    """Read a model written by `save_model`.

    Raises:
        MissingFileError: No such file.
        ModelError: The file is damaged, of another kind, from a newer version, or its weights do not fit its configuration.
    """
    from .model import Model

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
