"""One command, in this process, held to what is promised of every command."""

from __future__ import annotations

import contextlib
import hashlib
import io
import signal
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixelkin.cli import main

LONGEST_S = 30


class Hang(BaseException):
    """It took too long."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    said: str
    failure: str | None
    """Traceback of what no user should see."""


@contextlib.contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """Hang where the block takes longer."""

    def ring(*_: object) -> None:
        raise Hang(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(*args: object) -> Outcome:
    """Run a command as `pixelkin ARGS` does."""
    out, err, code, failure = io.StringIO(), io.StringIO(), 0, None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            with no_longer_than(LONGEST_S):
                main([str(arg) for arg in args])
        except SystemExit as exc:
            code = int(exc.code or 0)
        except BaseException:
            code, failure = 1, traceback.format_exc()
    return Outcome(code, out.getvalue() + err.getvalue(), failure)


def state(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, and what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def held(folder: Path, *args: object, made: tuple[str, ...] = ()) -> Outcome:
    """Run a command in a folder; AssertionError unless it kept every promise.

    Args:
        folder: Holds the inputs; outputs go there too.
        args: Of the command.
        made: Beginnings of names that it may make when it ends well.
    """
    before = state(folder)
    outcome = run(*args)
    after = state(folder)
    told = f"pixelkin {' '.join(map(str, args))}\n{outcome.said}"
    assert outcome.failure is None, f"{told}\n{outcome.failure}"
    assert outcome.code in (0, 2), told
    assert "Traceback" not in outcome.said, told
    assert "encountered in" not in outcome.said, f"a warning of numpy's leaks: {told}"
    changed = {name for name in before if after.get(name) != before[name]}
    assert not changed, f"{told}\nchanged {changed}"
    new = set(after) - set(before)
    if outcome.code == 2:
        errors = [line for line in outcome.said.splitlines() if line.startswith(("pixelkin: error:", "Error:"))]
        assert len(errors) == 1, told
        # Dates of a series that were finished stay, and the run that goes on from them.
        left = {name for name in new if "series" not in args or not name.startswith(made)}
        assert not left, f"{told}\nleft {left}"
    else:
        strange = {name for name in new if not name.startswith(made)}
        assert not strange, f"{told}\nmade {strange}"
    return outcome
