"""What a training leaves on disk while it runs: a checkpoint to go on from, and a log."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ModelError
from ..model import ModelConfig, Network
from ..model.checkpoint import read_file, write_file
from ..scene import Scene
from .presets import PRESETS, TrainingOptions


class TrainingProgress(NamedTuple):
    """What a progress callback is told after each step."""

    step: int
    """Steps done, 1..steps."""
    steps: int
    loss: float
    """Negative of Eq. 7, nats; lower is better."""
    global_mi: float
    local_mi: float
    l1: float
    pairs_per_s: float
    seconds_left: float


def identity(config: ModelConfig, options: TrainingOptions, scenes: list[Scene]) -> dict[str, Any]:
    """What must be the same for a checkpoint to be continued; at a constant rate, not the steps."""
    return {
        "config": config.to_json(),
        "options": _decisive(asdict(options)),
        "scenes": [[scene.name, scene.fingerprint] for scene in scenes],
    }


def save_state(path: Path, network: Network, adam: torch.optim.Adam, done: int, whose: dict[str, Any]) -> None:
    """Write everything that the next step depends on."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, state in adam.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": value for name, value in state.items()}
    write_file(path, "checkpoint", tensors, {"identity": whose, "done": done}, overwrite=True)


def resume(path: Path, network: Network, adam: torch.optim.Adam, whose: dict[str, Any]) -> int:
    """Put network and optimiser where a checkpoint left them; returns the steps done.

    Raises:
        ModelError: The file is damaged or of another run.
    """
    tensors, header = read_file(path, "checkpoint")
    # Through JSON and back, tuples are lists; compare like with like.
    ours, theirs = _jsonable(whose), header["identity"]
    theirs["options"] = _decisive(theirs["options"])
    different = [key for key in ours if ours[key] != theirs.get(key)]
    if different:
        raise ModelError(
            f"checkpoint {path} is of another run (different {', '.join(different)}). Delete it to start anew, or name another file."
        )
    network.load_state_dict({name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
    adam.load_state_dict({"state": state, "param_groups": adam.state_dict()["param_groups"]})
    return int(header["done"])


def _decisive(options: dict[str, Any]) -> dict[str, Any]:
    """The options on which steps depend, with the defaults of those that the version of a file did not know."""
    defaults = asdict(PRESETS["paper"])
    filled = {**options, **{group: {**defaults[group], **options[group]} for group in ("objective", "views")}}
    if filled["schedule"] == "constant":
        filled.pop("steps", None)
    return filled


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return [_jsonable(item) for item in value] if isinstance(value, list | tuple) else value


class Log:
    """CSV log, a line a step; appended to when a run is resumed."""

    def __init__(self, path: str | Path | None, done: int) -> None:
        self._path, self._done = path, done

    def __enter__(self) -> Callable[[TrainingProgress], None]:
        if self._path is None:
            return lambda _: None
        names = [name for name in TrainingProgress._fields if name not in ("steps", "seconds_left")]
        kept: list[list[str]] = []
        if self._done and Path(self._path).exists():
            # A killed run may have logged steps after its last checkpoint; they are about to be done again.
            with Path(self._path).open(newline="") as file:
                kept = [row for row in list(csv.reader(file))[1:] if row and int(row[0]) <= self._done]
        self._file = Path(self._path).open("w", newline="")
        writer = csv.writer(self._file)
        writer.writerow(names)
        writer.writerows(kept)

        def write(progress: TrainingProgress) -> None:
            writer.writerow([getattr(progress, name) for name in names])
            self._file.flush()

        return write

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._file.close()
