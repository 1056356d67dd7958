"""Files in folders and zip archives under one name each, and small files written whole."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from ..errors import InputError, MissingFileError
from ..files import refused, replacing


def files_under(source: str | Path) -> list[str]:
    """Names, which GDAL opens, of all files of a folder or a zip archive; those inside archives of the folder come last.

    Raises:
        MissingFileError: No such folder or archive, or it is empty.
        InputError: A damaged archive.
    """
    path = Path(source)
    if not path.exists():
        raise MissingFileError(f"{path} is not there, expected a folder or a zip archive. Check the path.")
    found = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
    archives = [entry for entry in found if entry.suffix.lower() == ".zip"]
    names = [str(entry) for entry in found if entry not in archives]
    for archive in archives:
        try:
            with zipfile.ZipFile(archive) as opened:
                names += [f"/vsizip/{archive.resolve()}/{name}" for name in sorted(opened.namelist()) if not name.endswith("/")]
        except zipfile.BadZipFile as exc:
            raise InputError(f"{archive} is not a whole zip archive ({exc}). Download it again.") from exc
    if not names:
        raise MissingFileError(f"{path} is empty, expected files in it. Check the path.")
    return names


def read_bytes(name: str) -> bytes:
    """Content of a file named by `files_under`."""
    if not name.startswith("/vsizip/"):
        return Path(name).read_bytes()
    archive, _, member = name.removeprefix("/vsizip").partition(".zip/")
    with zipfile.ZipFile(archive + ".zip") as opened:
        return opened.read(member)


def make_folder(path: Path) -> Path:
    """Make a folder and those above it; OutputError where the disk refuses."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise refused(path, exc) from exc
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text file whole, in place of what was there; makes its folder."""
    make_folder(path.parent)
    with replacing(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write a JSON file whole, in place of what was there."""
    return write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
