"""`pixelkin info`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..encoding import encoding_of
from ..errors import ModelError
from .options import image_options, json_option, open_one, print_json
from .words import Words

if TYPE_CHECKING:
    from ..scene import Scene


@click.command("info")
@click.argument("path", metavar="PATH")
@image_options
@json_option
def info_command(path: str, as_json: bool, **options: Any) -> None:
    """Say what an image, series, model, references file or map is, and how its numbers are read."""
    facts = describe(path, options)
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {_text(value)}")


def describe(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a file or folder is, as plain values."""
    if Path(path).suffix == ".safetensors":
        return _describe_safetensors(path)
    from ..raster import read_map
    from ..raster.mapfile import is_ours
    from ..scene import Series

    source = open_one(path, options)
    if isinstance(source, Series):
        numbers = _describe_numbers(source.scenes[0])
        return {"kind": "series", "dates": [str(date) for date in source.dates], **_describe_grid(source), **numbers}
    if is_ours(Path(path)):
        from ..maps import area_table

        result = read_map(path)
        return {"kind": "map", **_describe_grid(source), "areas": area_table(result).to_json(), "provenance": dict(result.provenance)}
    return _describe_image(source)


def _describe_image(scene: Scene) -> dict[str, Any]:
    from ..raster.summary import summarise

    bands, valid = summarise(scene)
    spread = {name: [band.low, band.median, band.high] if band.valid else None for name, band in zip(scene.bands, bands, strict=True)}
    return {
        "kind": "image", **_describe_grid(scene), "type": getattr(scene, "dtype", None), "date": None if scene.date is None else str(scene.date),
        **_describe_numbers(scene), "valid": valid, "valid of each band": {name: band.valid for name, band in zip(scene.bands, bands, strict=True)},
        "min, median, max": spread,
    }  # fmt: skip


def _describe_numbers(scene: Scene) -> dict[str, Any]:
    """How the numbers of a file come to be values, and what was taken to be so."""
    facts: dict[str, Any] = {}
    if encoding := encoding_of(scene):
        facts["encoding"] = encoding
    layers = getattr(scene, "layers", None) or [scene]
    scalings = [pair for layer in layers for pair in getattr(layer, "scaling", None) or [None] * len(layer.bands)]
    if any(pair is not None for pair in scalings):
        applied = ["none" if pair is None else "{:g}, {:g}".format(*pair) for pair in scalings]
        facts["scale, offset applied"] = dict(zip(scene.bands, applied, strict=True))
    if nodata := [value for layer in layers for value in getattr(layer, "nodata", None) or () if value is not None]:
        facts["no-data"] = sorted(set(nodata))
    if getattr(layers[0], "path", None) is not None:
        facts["colour interpretation"] = [meaning for layer in layers for meaning in _meanings(layer)]
    if notes := getattr(scene, "notes", ()):
        words = Words(click.get_current_context().command)
        facts["taken to be so"] = [words.say(note) for note in notes]
    return facts


def _meanings(layer: Any) -> list[str]:
    """The file's colour interpretation of all its bands, those that are left out too."""
    from ..raster.reader import open_dataset

    with open_dataset(layer.path) as dataset:
        return [f"{index} {meaning.name}" for index, meaning in enumerate(dataset.colorinterp, 1)]


def _describe_grid(source: Any) -> dict[str, Any]:
    grid = source.grid
    return {"rows": grid.height, "columns": grid.width, "bands": list(source.bands), "crs": grid.crs, "transform": list(grid.transform)}


def _describe_safetensors(path: str) -> dict[str, Any]:
    from ..features import References
    from ..model import load_model

    try:
        model = load_model(path)
    except ModelError as exc:
        try:
            references = References.load(path)
        except ModelError:
            raise exc from None
        counts = {entry.name: int(np.count_nonzero(references.classes == entry.id)) for entry in references.legend}
        return {
            "kind": "references",
            "pixels": counts,
            "model": references.model_hash,
            "bands": list(references.band_names),
            "features": [group.name for group in references.columns.groups],
            **({"backbone": references.columns.backbone} if references.columns.backbone else {}),
        }
    parameters = sum(p.numel() for p in model.network.parameters())
    return {"kind": "model", "hash": model.hash, "config": model.config.to_json(), "parameters": parameters, "training": model.info}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
