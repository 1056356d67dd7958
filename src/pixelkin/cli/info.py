"""`pixelkin info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from ..errors import ModelError
from .options import json_option, open_one, print_json


@click.command("info")
@click.argument("path", metavar="PATH")
@json_option
def info_command(path: str, as_json: bool) -> None:
    """Say what an image, series, model, references file or map is."""
    facts = describe(path)
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {_text(value)}")


def describe(path: str) -> dict[str, Any]:
    """What a file or folder is, as plain values."""
    if Path(path).suffix == ".safetensors":
        return _describe_safetensors(path)
    from ..scene import Series

    source = open_one(path)
    if isinstance(source, Series):
        return {"kind": "series", "dates": [str(date) for date in source.dates], **_describe_grid(source)}
    from ..raster import read_map
    from ..raster.mapfile import is_ours

    if is_ours(Path(path)):
        from ..maps import area_table

        result = read_map(path)
        return {"kind": "map", **_describe_grid(source), "areas": area_table(result).to_json(), "provenance": dict(result.provenance)}
    pixels = source.read()
    seen = [np.asarray(band[pixels.valid], np.float64) for band in pixels.data]
    spread = {
        name: [float(band.min()), float(np.median(band)), float(band.max())] if band.size else None
        for name, band in zip(source.bands, seen, strict=True)
    }
    return {
        "kind": "image", **_describe_grid(source), "type": str(pixels.data.dtype), "date": None if source.date is None else str(source.date),
        "valid": float(pixels.valid.mean()), "min, median, max": spread,
    }  # fmt: skip


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
        return {"kind": "references", "pixels": counts, "model": references.model_hash, "bands": list(references.band_names)}
    parameters = sum(p.numel() for p in model.network.parameters())
    return {"kind": "model", "hash": model.hash, "config": model.config.to_json(), "parameters": parameters, "training": model.info}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
