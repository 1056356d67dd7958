"""`python -m pixelkin.experiments.results`: the tables of docs/results in one go; what `make results` runs.

Numbers only: pictures would show imagery that is not ours to pass on.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..errors import PkError
from .files import write_text
from .reproduce import TABLES, reproduce

FOLDERS = ("vegas", "boadella")


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder that holds vegas/ and boadella/; default $PIXELKIN_DATA, else ../shared/data."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/results"), show_default=True)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path(".results-cache"), show_default=True, help="Models and finished cells."
)
@click.option("--budget", type=click.Choice(["smoke", "small", "paper"]), default="small", show_default=True)
@click.option("--seeds", type=click.IntRange(min=1), help="Runs to average; default that of the budget.")
def main(data: Path | None, out: Path, cache: Path, budget: str, seeds: int | None) -> None:
    """Write all tables and the timing, in place of those that are there. A run that was interrupted goes on."""
    folder = data or Path(os.environ.get("PIXELKIN_DATA", "../shared/data"))
    try:
        for name in TABLES:
            for place in FOLDERS:
                click.echo(f"{place}, {name}", err=True)
                for path in reproduce(
                    name, folder / place, budget=budget, seeds=seeds, out=out, cache=cache, overwrite=True, progress=_tell
                ):
                    click.echo(path)
        for path in reproduce("speed", budget=budget, out=out, overwrite=True):
            click.echo(path)
        click.echo(write_index(out))
    except PkError as exc:
        click.echo(f"Error: {exc}", err=True)
        raise SystemExit(exc.exit_code) from None


def write_index(folder: Path) -> Path:
    """A page that lists the tables of a folder, `index.md`."""
    pages = sorted(path for path in folder.glob("*.md") if path.name != "index.md")
    titles = [path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in pages]
    lines = [
        f"- [{title}]({path.name}) ([CSV]({path.stem}.csv), [manifest]({path.stem}.json))"
        for title, path in zip(titles, pages, strict=True)
    ]
    head = "# Results\n\nWritten by `make results`; each table says when, where and at which commit it was made. [How to read them](../experiments.md).\n\n"
    return write_text(folder / "index.md", head + "\n".join(lines) + "\n")


def _tell(done: int, total: int, seconds_left: float, what: str) -> None:
    click.echo(f"\r\x1b[K{done}/{total}, {seconds_left / 60:.0f} min left: {what}", nl=done == total, err=True)


if __name__ == "__main__":
    main()
