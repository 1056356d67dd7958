"""Finds the program pixelkin and runs it: outside QGIS, without QGIS's environment."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from qgis.core import QgsApplication, QgsSettings

OLDEST = (0, 1, 0)
"""The oldest version of pixelkin that this plugin works with."""
SETTING = "pixelkin/program"
# QGIS sets these for itself; in another Python or GDAL they break imports and coordinate systems.
_QGIS_OWN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONEXECUTABLE",
    "GDAL_DATA",
    "GDAL_DRIVER_PATH",
    "PROJ_LIB",
    "PROJ_DATA",
    "QT_PLUGIN_PATH",
    "LD_LIBRARY_PATH",
)
_TAIL = 40


class ProgramError(Exception):
    """The program is missing, too old, or ended with an error; the message is for the user."""


def environment():
    """The environment variables that the program gets."""
    clean = {name: value for name, value in os.environ.items() if name not in _QGIS_OWN}
    return {**clean, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "PIXELKIN_PROGRESS": "lines"}


def private_folder():
    """Where the plugin makes an environment of its own, if it is asked to."""
    return Path(QgsApplication.qgisSettingsDirPath()) / "pixelkin" / "environment"


def _in(folder, name):
    return folder / ("Scripts" if os.name == "nt" else "bin") / (name + (".exe" if os.name == "nt" else ""))


def candidates():
    """Ways to start the program, the preferred first: (where it was found, command)."""
    named = str(QgsSettings().value(SETTING, "") or "").strip()
    if named:
        yield "setting", [named]
        return  # who names a program wants no other
    on_path = shutil.which("pixelkin", path=os.environ.get("PATH"))
    if on_path:
        yield "PATH", [on_path]
    private = _in(private_folder(), "pixelkin")
    if private.exists():
        yield "private environment", [str(private)]
    uvx = shutil.which("uvx")
    if uvx:
        yield "uvx", [uvx, "--from", "pixelkin[web]", "pixelkin"]


def _options():
    # No console window on Windows.
    return {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}


def version_of(command):
    """The version that a command answers with, as a tuple; ProgramError where it does not."""
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, encoding="utf-8", errors="replace",
            env=environment(), timeout=120, check=False, **_options(),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(f"{command[0]} cannot be run ({error}). Choose another program under Settings in the pixelkin panel.") from error
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
    if done.returncode or not found:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ProgramError(
            f"{command[0]} is not pixelkin, or is broken: {said[-1] if said else 'no answer'}. Run `pixelkin doctor` in a console."
        )
    return tuple(int(part) for part in found.groups())


_found = {}


def find():
    """The command that starts pixelkin.

    Raises:
        ProgramError: There is none, or only one that is too old.
    """
    refusals = []
    for where, command in candidates():
        key = tuple(command)
        try:
            if key not in _found:
                _found[key] = version_of(command)
        except ProgramError as error:
            refusals.append(str(error))
            continue
        if _found[key] < OLDEST:
            has, wants = (".".join(map(str, version)) for version in (_found[key], OLDEST))
            refusals.append(
                f"pixelkin from {where} is version {has}, expected {wants} or newer. Update it: pip install --upgrade pixelkin."
            )
            continue
        return command
    if refusals:
        raise ProgramError(refusals[0])
    raise ProgramError(
        "pixelkin was not found: expected it on the PATH, in the plugin's settings, or in its private environment. "
        "Install it (docs/install.md), or click Install in the pixelkin panel."
    )


def run(arguments, *, on_line=None, cancelled=None):
    """Run the program to its end; returns its standard output.

    Args:
        arguments: What follows `pixelkin`.
        on_line: Told each line of standard error: messages, and `progress: N %`.
        cancelled: Asked now and then; True ends the program, which keeps finished work.

    Raises:
        ProgramError: The program is missing or ended with an error: its last lines. A cancelled run raises nothing and returns None.
    """
    process = subprocess.Popen(
        [*find(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", errors="replace", env=environment(), **_options(),
    )  # fmt: skip
    lines, output = [], []
    reader = threading.Thread(target=lambda: output.append(process.stdout.read()), daemon=True)
    reader.start()
    stop = threading.Event()

    def watch():
        while not stop.wait(0.2):
            if cancelled is not None and cancelled():
                process.terminate()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    for line in process.stderr:
        lines = [*lines[-_TAIL:], line.rstrip()]
        if on_line is not None:
            on_line(line.rstrip())
    code = process.wait()
    stop.set()
    reader.join()
    watcher.join()
    if cancelled is not None and cancelled():
        return None
    if code:
        wrong = [line for line in lines if "error:" in line.lower()] or lines or [f"exit code {code}"]
        raise ProgramError(wrong[-1])
    return output[0]


def progress_of(line):
    """The share done, in percent, of a line of progress; None for any other line."""
    found = re.match(r"progress: (\d+(?:\.\d+)?) %", line)
    return float(found[1]) if found else None


def python_for_environments():
    """A Python 3.11 or newer that can make an environment; ProgramError where there is none."""
    beside = Path(sys.base_prefix) / ("python.exe" if os.name == "nt" else "bin/python3")
    for candidate in (str(beside), *(shutil.which(name) or "" for name in ("python3.13", "python3.12", "python3.11", "python3", "python"))):
        if not candidate or not Path(candidate).exists():
            continue
        ask = [candidate, "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"]
        try:
            if subprocess.run(ask, env=environment(), capture_output=True, timeout=60, check=False, **_options()).returncode == 0:
                return candidate
        except (OSError, subprocess.TimeoutExpired):
            continue
    raise ProgramError("no Python 3.11 or newer with venv was found. Install one, then click Install again, or install pixelkin yourself.")


def install(source, on_line, cancelled):
    """Make the private environment and install pixelkin in it; every line that pip says goes to `on_line`.

    Args:
        source: What pip is to install: `pixelkin[web]`, or a wheel file.
        on_line: Told each line.
        cancelled: Asked before each line; True ends it.
    """
    folder = private_folder()
    shutil.rmtree(folder, ignore_errors=True)
    steps = [
        [python_for_environments(), "-m", "venv", str(folder)],
        [str(_in(folder, "python")), "-m", "pip", "install", "--disable-pip-version-check", source],
        [str(_in(folder, "pixelkin")), "doctor"],
    ]
    for step in steps:
        on_line("> " + " ".join(step))
        process = subprocess.Popen(
            step, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
            errors="replace", env=environment(), **_options(),
        )  # fmt: skip
        for line in process.stdout:
            on_line(line.rstrip())
            if cancelled():
                process.terminate()
        if process.wait() or cancelled():
            # Half an environment would be found the next time.
            shutil.rmtree(folder, ignore_errors=True)
            raise ProgramError("the installation was cancelled." if cancelled() else f"{step[1:4]} failed; the log says why.")
    _found.clear()


def diagnostics():
    """What somebody who helps needs to know, as text to paste."""
    from qgis.core import Qgis

    lines = [f"QGIS {Qgis.QGIS_VERSION}", f"Python {sys.version.split()[0]} on {sys.platform}", f"private environment: {private_folder()}"]
    for where, command in candidates():
        try:
            lines.append(f"{where}: {' '.join(command)} -> {'.'.join(map(str, version_of(command)))}")
        except ProgramError as error:
            lines.append(f"{where}: {' '.join(command)} -> {error}")
    try:
        lines.append(run(["doctor"]).strip())
    except ProgramError as error:
        lines.append(f"doctor: {error}")
    return "\n".join(lines)
