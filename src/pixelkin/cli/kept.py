"""The model that `pixelkin segment` trains and keeps beside its map, and uses again for the same images and options only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, OutputError
from ..files import require_outputs, require_writable
from .train import train_with_bar

if TYPE_CHECKING:
    from ..model import Model
    from ..scene import Scene, Series

TRAINING = ("patch_size", "preset", "steps", "seed")
"""Options that decide how it is trained."""
_RECORD = "kept for"


class KeptModel:
    """A model beside an output: used where it was made of these images with these options, trained where it is not there."""

    def __init__(self, source: Scene | Series, out: str, options: dict[str, Any], *, scenes: list[Scene]) -> None:
        """Look whether there is one, and refuse, before any work, one that is of other images or options.

        Args:
            source: What is mapped.
            out: Map, or folder of maps.
            options: Of the command.
            scenes: The images of the source.

        Raises:
            InputError: The model there was made of other images or with other options, or does not say of which.
        """
        target = Path(os.path.abspath(out))  # noqa: PTH100 - of a folder called '.' the name counts
        name = target.stem if target.suffix.lower() in (".tif", ".tiff") else target.name
        self.path = target.with_name(f"{name}.model.safetensors") if name else target / "model.safetensors"
        self._state = Path(f"{self.path}.checkpoint")
        self._source, self._options = source, options
        self._record = {"images": [scene.fingerprint for scene in scenes], **{name: options[name] for name in TRAINING}}
        self._found = self._load() if self.path.exists() else None

    def get(self) -> Model:
        """The model, trained now if need be."""
        if self._found is not None:
            click.echo(f"pixelkin: using {self.path}, trained on the same with the same options by an earlier run.", err=True)
            return self._found
        click.echo(f"pixelkin: no --model, training one on this image first; it will be kept as {self.path}.", err=True)
        training = {name: self._options[name] for name in (*TRAINING, "device")}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        model = train_with_bar(self._source, checkpoint=self._state, **training)
        model.info[_RECORD] = self._record
        model.save(self.path, overwrite=self.path.exists())
        self._state.unlink(missing_ok=True)
        return model

    def require(self, inputs: dict[str, list[str]]) -> None:
        """Refuse, before any work, a place where the model cannot be kept."""
        if self._found is None:
            require_outputs([self.path, self._state], inputs=inputs, overwrite=True)
            require_writable(self.path, overwrite=True)

    def _load(self) -> Model | None:
        from ..model import load_model

        other = f"Use it all the same with --model {self.path}, or choose another --out."
        model = load_model(self.path)
        record = model.info.get(_RECORD)
        if record is None:
            raise OutputError(f"{self.path} does not say of which image it was made, expected one that was kept beside this map. {other}")
        changed = [name for name, value in self._record.items() if record.get(name) != value]
        if not changed:
            return model
        differ = ", ".join(name.replace("_", " ") for name in changed)
        if not self._options["overwrite"]:
            raise InputError(f"{self.path} was trained on other images or with other options ({differ}). {other} --overwrite trains anew.")
        click.echo(f"pixelkin: {self.path} was trained on other images or with other options ({differ}), and is replaced.", err=True)
        return None
