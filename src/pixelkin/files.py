"""Whole files or none: results are written under a temporary name and moved into place, and never over an input."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError

Name = str | Path

_LONGEST_NAME = 255 - 32
"""Bytes of a file name that leave room for what is put around a name while a file is made."""


def require_outputs(
    outputs: Iterable[Name], *, inputs: Mapping[str, Iterable[Name]] | None = None, overwrite: bool = False, folders: Iterable[Name] = ()
) -> None:
    """Refuse, before any work, outputs that cannot be written, and those that would replace an input.

    Args:
        outputs: Files to write.
        inputs: What is read, by the word for it ('image', 'labels', ...): names of files and of stores such as Zarr, also as GDAL
            writes them (/vsizip/..., file.gpkg|layername=x).
        overwrite: Files that are there may be replaced; inputs never.
        folders: Folders to write that are replaced as a whole.

    Raises:
        OutputError: An output is an input (also by another name or a link), would replace a companion of one, or lies inside of one;
            two outputs are one file; an output is there and overwrite is False; its folder is not there or cannot be written to.
    """
    read = [(word, file) for word, names in (inputs or {}).items() for name in names for file in local_files(name)]
    files, wholes = [Path(path) for path in outputs], [Path(path) for path in folders]
    for path in (*files, *wholes):
        for word, other in read:
            _require_no_input(path, word, other, whole=path in wholes)
    seen: dict[str, Path] = {}
    for path in (*files, *wholes):
        key = os.path.normcase(os.path.realpath(path))
        if key in seen:
            raise OutputError(f"{path} is to hold two results, expected a file for each. Choose another name for one of them.")
        seen[key] = path
    for path in files:
        require_writable(path, overwrite=overwrite)
    for path in wholes:
        require_writable(path, overwrite=overwrite, folder=True)


def require_writable(path: Path, *, overwrite: bool, folder: bool = False) -> None:
    """Refuse a target that is there, or whose folder is not there or takes no files.

    Raises:
        OutputError: Which of these, and the fix.
    """
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OutputError(
            f"{path.name[:20]}... is a name of {len(os.fsencode(path.name))} bytes, expected at most {_LONGEST_NAME}. Choose a shorter one."
        )
    # os.path answers False where Path raises: a name that the disk cannot hold is not there.
    if os.path.isdir(path) and not folder:  # noqa: PTH112
        raise OutputError(f"{path} is a folder, expected the name of a file to write. Name a file in it.")
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{path} is there already, expected a new name. Choose another name, or replace it with overwrite=True.")
    parent = path.absolute().parent
    if not os.path.isdir(parent):  # noqa: PTH112
        raise OutputError(f"{path} cannot be written: its folder {path.parent} is not there. Make the folder first.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path} cannot be written: its folder {path.parent} takes no files from this user. Choose another folder.")


def require_suffix(path: Path, suffixes: Sequence[str], what: str) -> Path:
    """The path, where it ends as files of a kind do.

    Raises:
        OutputError: It does not.
    """
    if path.suffix.lower() in suffixes:
        return path
    ends = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
    named = f"Name it {path.stem}{suffixes[0]}." if path.stem else f"Name it so, such as map{suffixes[0]}."
    *most, last = suffixes
    raise OutputError(f"{path.name or path} {ends}, expected {', '.join(most)}{' or ' * bool(most)}{last} for {what}. {named}")


def require_space(path: Path, needed: int, what: str = "the map") -> None:
    """Refuse a disk that is too small before hours of work rather than after.

    Args:
        path: File to write; of a folder that is still to be made, the nearest one above that is there counts.
        needed: Bytes.
        what: What needs them.

    Raises:
        OutputError: There is less space than that.
    """
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder} has {free / 1e6:.0f} MB free, expected at least {needed / 1e6:.0f} MB for {what}. "
            "Free some space or choose another folder."
        )


def local_files(name: Name) -> list[Path]:
    """Files and stores on this machine that a name reads: itself, the archive of a /vsizip name, the file of 'file.gpkg|layername=x'."""
    text = os.fspath(name)
    if os.path.exists(text):  # noqa: PTH110
        return [Path(text)]
    found: dict[Path, None] = {}
    for piece in re.split(r"[|!?,\"'{}]|(?<!^[A-Za-z]):", text):
        path = Path(re.sub(r"^(/vsi[a-z0-9_]+/)+", "", piece))
        # Windows keeps its drive; /vsizip//data/x.zip/y.tif and /vsizip/x.zip/y.tif are both in use.
        for candidate in (path, *path.parents):
            if os.path.isfile(candidate):  # noqa: PTH113
                found[candidate] = None
    return list(found)


def companions(path: Path) -> list[Path]:
    """Files beside a file that belong to it: they are written with it, and an older one's would be taken for its own."""
    if path.suffix.lower() == ".shp":
        return [path.with_suffix(suffix) for suffix in (".shx", ".dbf", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx")]
    if path.suffix.lower() in (".tif", ".tiff"):
        return [path.with_name(path.name + suffix) for suffix in (".aux.xml", ".ovr", ".msk")]
    return []


def refused(path: Path, error: OSError) -> OutputError:
    """What to say when the disk refuses a file."""
    return OutputError(f"{path} cannot be written: {error.strerror or error}. Check free space and permissions of {path.parent}.")


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well and vanishes when it does not.

    The content is on the disk before the name is: after a power cut there is the old file or the new one.

    Raises:
        OutputError: The file is there and overwrite is False, its folder is not there, or the disk refuses it.
    """
    require_writable(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OutputError:
        raise
    except OSError as error:
        raise refused(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _require_no_input(path: Path, word: str, other: Path, *, whole: bool) -> None:
    """OutputError where writing `path` would harm `other`, which is read."""
    fix = "An output never replaces an input, whatever the options: choose another name."
    if _same(path, other):
        by_another_name = "" if os.path.abspath(path) == os.path.abspath(other) else f" ({other}) by another name"  # noqa: PTH100
        raise OutputError(f"{path} is the {word} that is read{by_another_name}. {fix}")
    for companion in companions(path):
        if _same(companion, other):
            raise OutputError(f"{path} would replace {companion}, a file of the {word} that is read. {fix}")
    target, source = Path(os.path.realpath(path)), Path(os.path.realpath(other))
    if other.is_dir() and source in target.parents:
        raise OutputError(f"{path} lies inside of {other}, the {word} that is read. {fix}")
    if whole and target in source.parents:
        raise OutputError(f"{path} holds {other}, the {word} that is read, and would be replaced as a whole. {fix}")


def _same(path: Path, other: Path) -> bool:
    """True where two names are one file: through links, hard links, mounts, and on disks that take no note of case."""
    try:
        return os.path.samefile(path, other)  # noqa: PTH121
    except (OSError, ValueError):
        return os.path.normcase(os.path.realpath(path)) == os.path.normcase(os.path.realpath(other))
