"""The labelling page and the web API under it.

`create_app` builds the application from explicit parts, `serve` runs it, `label` shows it in a notebook cell.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError

if TYPE_CHECKING:
    from .app import create_app
    from .notebook import label
    from .server import get, serve
    from .settings import WebSettings

_HOME = {"create_app": "app", "label": "notebook", "get": "server", "serve": "server", "WebSettings": "settings"}

__all__ = ["WebSettings", "create_app", "get", "label", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f".{_HOME[name]}", __name__)
    except ModuleNotFoundError as exc:
        raise MissingExtraError(exc.name or "fastapi", extra="web", purpose="the labelling page") from exc
    return getattr(module, name)
