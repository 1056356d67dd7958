"""How the server behaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .people import Person

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class WebSettings:
    """Settings of the web application."""

    host: str = "127.0.0.1"
    """Address it listens on."""
    token: str | None = None
    """Secret that every request must bring, in a cookie or as a bearer; None on loopback."""
    people: tuple[Person, ...] = ()
    """Who may use it, each with a token of their own; () = whoever has `token`."""
    public_url: str | None = None
    """Where people reach it through a reverse proxy."""
    upload_bytes: int = 256 * 1024 * 1024
    """Largest label file taken."""
    body_bytes: int = 32 * 1024 * 1024
    """Largest other request taken."""
    roots: tuple[Path, ...] = ()
    """Folders whose rasters may be mapped beside the project's."""
    in_notebook: bool = False
    """Let pages of this machine's notebook servers show the page in a frame."""
    offers_sample: bool = True
    """Have a sample project beside this one, at ./sample/."""
    static: Path = Path(__file__).parent / "static"
    """The built page."""

    @property
    def on_loopback(self) -> bool:
        """True where only this machine can connect."""
        return self.host in LOOPBACK
