"""`pixelkin reproduce`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..training import Device

PREPARE = ("potsdam", "sentinel2")


@click.command("reproduce")
@click.argument("name")
@click.option("--data", type=click.Path(path_type=Path), help="Prepared Potsdam folder, images with label rasters, or a series.")
@click.option(
    "--budget",
    type=click.Choice(["smoke", "small", "medium", "paper"]),
    default="small",
    show_default=True,
    help="How much work it may be.",
)
@click.option("--seeds", type=click.IntRange(min=1), help="Runs to average; default 1 for smoke, 3 otherwise.")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps of each encoder, instead of the budget's.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder for tables, pictures and cache."
)
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for models and finished cells; default OUT/cache.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="cpu", show_default=True, help="Where models are trained."
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print the files written as JSON.")
def reproduce_command(
    name: str,
    data: Path | None,
    budget: str,
    seeds: int | None,
    steps: int | None,
    out: Path,
    cache: Path | None,
    device: Device,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Run an experiment of the paper.

    NAME is table1, table2, table3, variants, figure2 to figure7, speed, or all, which is everything
    that the data allows and prepares the files of ISPRS Potsdam itself. A run that was interrupted goes on where it stopped.

    NAME can also be potsdam or sentinel2: then --data holds the files as they are distributed, and --out is the folder
    to prepare from them.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from ..errors import InputError

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("starting", total=None, left="")

        def told(done: int, total: int, seconds_left: float, what: str) -> None:
            left = f"{int(seconds_left) // 60}:{int(seconds_left) % 60:02d} left" if seconds_left else ""
            bar.update(row, completed=done, total=total, left=left, description=what)

        if name in PREPARE:
            if data is None:
                raise InputError(f"{name} needs --data PATH: the files as they are distributed.")
            written = _prepare(name, data, out, overwrite, lambda done, total: told(done, total, 0.0, "tiles"))
        elif name == "all":
            from .reproduce import reproduce_all

            if data is None:
                raise InputError("all needs --data PATH: a data set, or the files of ISPRS Potsdam as they are distributed.")
            written = reproduce_all(
                data, budget=budget, seeds=seeds, steps=steps, out=out, cache=cache, device=device, overwrite=overwrite, progress=told
            )
        else:
            from .reproduce import reproduce

            written = reproduce(
                name, data, budget=budget, seeds=seeds, steps=steps, out=out, cache=cache, device=device, overwrite=overwrite, progress=told
            )
    for path in written if not as_json else ():
        click.echo(path)
    if as_json:
        click.echo(json.dumps([str(path) for path in written]))


def _prepare(name: str, data: Path, out: Path, overwrite: bool, progress: object) -> list[Path]:
    if name == "potsdam":
        from .potsdam import prepare

        return [prepare(data, out, progress=progress)]  # type: ignore[arg-type]
    from .sentinel2 import crop_series, open_products

    return crop_series(open_products(data), out, overwrite=overwrite)
