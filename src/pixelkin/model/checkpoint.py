"""The layout of the files of models, references and training states: safetensors, tensors and a JSON header, never code.

A header says what a file is (`kind`) and in which `version` of the layout, so that an old program can refuse
a newer file by name instead of misreading it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import MissingFileError, ModelError
from ..files import replacing

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
        raise ModelError(f"{source} has layout version {header['version']}, this pixelkin reads up to {VERSION}. Use a newer pixelkin.")
    return tensors, header
