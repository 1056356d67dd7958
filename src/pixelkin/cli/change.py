"""`pixelkin change`."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import InputError
from .options import json_option, overwrite_option, print_json


@click.command("change")
@click.argument("map_files", metavar="MAP MAP...", nargs=-1, required=True)
@click.option("--out", "-o", required=True, type=click.Path(dir_okay=False), help="From-to map to write, .tif.")
@click.option("--since", type=click.Path(dir_okay=False), help="Also write the date of each pixel's last change, .tif.")
@click.option(
    "--transitions", type=click.Path(dir_okay=False), help="Also write pixels and hectares from each class to each, .csv or .json."
)
@click.option("--dates", metavar="LIST", help="Dates of the maps, YYYY-MM-DD, separated by commas. Default: those in their names.")
@click.option("--change-rate", type=float, default=0.07, show_default=True, help="How likely a pixel changes from one date to the next.")
@click.option(
    "--error",
    type=float,
    default=0.1,
    show_default=True,
    help="Share of wrong pixels that maps without written probabilities are taken to have.",
)
@overwrite_option
@json_option
def change_command(
    map_files: tuple[str, ...],
    out: str,
    since: str | None,
    transitions: str | None,
    dates: str | None,
    change_rate: float,
    error: float,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Say what changed between maps of one place, and since when.

    MAPs are maps of two or more dates, or a folder of them. All dates are read together: the likeliest course of classes at each pixel,
    given the maps' probabilities (`segment --probabilities`) and that change is rare, so that errors of single dates are not taken for change.
    """
    from ..files import require_outputs
    from ..maps.change import find_change, read_probabilities, since_target, write_since, write_transitions
    from ..maps.tables import table_target
    from ..raster import read_map, write_map
    from ..raster.dates import date_from_name, parse_date
    from ..raster.inputs import files_of
    from ..raster.mapfile import map_targets

    files = _maps_in(map_files)
    outputs = [
        *map_targets(Path(out), ()),
        *([since_target(since)] if since else []),
        *([table_target(transitions)] if transitions else []),
    ]
    require_outputs(outputs, inputs={"map": files_of([str(file) for file in files])}, overwrite=overwrite)
    told = [part.strip() for part in dates.split(",")] if dates else None
    if told is not None and len(told) != len(files):
        raise InputError(f"--dates has {len(told)} dates, expected {len(files)}, one for each map.")
    when = [parse_date(text) for text in told] if told is not None else [date_from_name(file.stem) for file in files]
    for file, date in zip(files, when, strict=True):
        if date is None:
            raise InputError(f"{file.name} has no date in its name, expected one such as 2020-06-21. Rename it, or give --dates.")
    maps = [(date, read_map(file)) for file, date in zip(files, when, strict=True) if date is not None]
    found = [read_probabilities(file, part) for file, (_, part) in zip(files, maps, strict=True)]
    change = find_change(
        maps, probabilities=found if any(share is not None for share in found) else None, change_rate=change_rate, error=error
    )
    written = [write_map(change.from_to, out, overwrite=overwrite)]
    if since:
        written.append(write_since(change, since, overwrite=overwrite))
    if transitions:
        written.append(write_transitions(change, transitions, overwrite=overwrite))
    if as_json:
        print_json(change.to_json() | {"written": [str(path) for path in written]})
    else:
        click.echo(change.to_table())
        for path in written:
            click.echo(path)


def _maps_in(names: tuple[str, ...]) -> list[Path]:
    from ..raster.layers import LAYERS
    from ..raster.mapfile import is_ours

    files: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            files.append(path)
            continue
        layers = tuple(f"_{name}" for name in LAYERS)
        found = [file for file in sorted(path.glob("*.tif")) if not file.stem.endswith(layers) and is_ours(file)]
        if not found:
            raise InputError(f"{name} holds no map that pixelkin wrote, expected one a date. Map the series first: pixelkin segment.")
        files += found
    return files
