"""`pixelkin serve`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .options import chosen_reading, image_options

if TYPE_CHECKING:
    from ..web.server import Address


@click.command("serve")
@click.argument("paths", nargs=-1, type=click.Path(), metavar="PATH...")
@click.option("--project", type=click.Path(file_okay=False), help="Project folder. Default: <first PATH>.pixelkin beside the first PATH.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on. Any but loopback prints a link with a token.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 = any free one. Default: 8642 or the next free one.")
@click.option("--open/--no-open", "open_browser", default=True, show_default=True, help="Open the page in a browser.")
@click.option("--train/--no-train", default=True, show_default=True, help="Train an encoder in the background where there is none.")
@click.option(
    "--people",
    type=click.Path(dir_okay=False),
    help="TOML file of people, each with name, role (read, label or review) and token: only they may use it.",
)
@click.option("--public-url", metavar="URL", help="Where people reach it through a reverse proxy that passes the Host header on.")
@click.option("--get", "get_path", metavar="/api/...", help="Answer one request on stdout and exit.")
@image_options
def serve_command(
    paths: tuple[str, ...],
    project: str | None,
    host: str,
    port: int | None,
    open_browser: bool,
    train: bool,
    people: str | None,
    public_url: str | None,
    get_path: str | None,
    **options: Any,
) -> None:
    """Label images on a page, and watch the map answer.

    PATH is a raster, a folder of dates, several of these, or a project folder. The page is usable at once; labels are saved as
    you draw. How the images are read (--bands, --nodata, ...) is kept in the project.
    """
    from ..web import get, serve

    read = chosen_reading(options)

    if get_path is not None:
        answer = get(get_path, paths, project=project, reading=read)
        sys.stdout.buffer.write(answer.body)
        if answer.content_type.startswith("application/json"):
            click.echo()
        if answer.status >= 400:
            sys.exit(2)
        return

    def announce(address: Address) -> None:
        shown = address.url if public_url is None else public_url.rstrip("/") + "/" + (f"?token={address.token}" if address.token else "")
        click.echo(f"pixelkin is at {shown}")
        if people is not None:
            click.echo("Each person opens it once with ?token=THEIR_TOKEN behind the address.", err=True)
        click.echo("Press Ctrl-C to end; your labels are saved as you draw.", err=True)

    serve(
        paths,
        project=project,
        host=host,
        port=port,
        open_browser=open_browser,
        train=train,
        announce=announce,
        reading=read,
        people=people,
        public_url=public_url,
    )
