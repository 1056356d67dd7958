"""The command line: parse, call one library function, print. Results on stdout, progress on stderr.

Exit codes: 0 fine, 2 bad input (one line), 1 our bug (a traceback), 130 Ctrl-C.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from functools import partial

import click

from ..errors import LabelError, PkError
from .groups import SuggestingGroup
from .words import Words, command_of

# Commands bring torch, GDAL or a web server; each loads when it is called, so that --help is quick.
_COMMANDS = {
    "change": (".change", "Say what changed between maps of one place, and since when."),
    "demo": (".demo", "Map the Great Salt Lake from some sixty marks: the two-minute tour."),
    "doctor": (".doctor", "Check this installation."),
    "embed": (".embed", "Keep an image's embeddings, to map it again and again without the imagery."),
    "evaluate": (".evaluate", "Score a map against labels that were kept back."),
    "export": (".export", "Write what was learned as ONNX, to map where there is no pixelkin."),
    "info": (".info", "Say what an image, series, model, references file or map is."),
    "labels": (".labels", "Convert and check label files."),
    "report": (".report", "Write one page with a map, its accuracy and its areas."),
    "reproduce": ("..experiments.command", "Run an experiment of the paper on your data."),
    "sample": (".sample", "Draw the points at which to check a map."),
    "segment": (".segment", "Map an image or a series from a few labels."),
    "serve": (".serve", "Label images on a page, and watch the map answer."),
    "similar": (".similar", "Find all like some marked pixels of one class."),
    "train": (".train", "Learn a model from imagery, without labels."),
}


class _Lazy(SuggestingGroup):
    """A group whose commands are imported when they are called."""

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(_COMMANDS[name][0], __name__), f"{name}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pixelkin")
def cli() -> None:
    """Mark a few pixels, get the map."""


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    args = sys.argv[1:] if args is None else args
    words = Words(command_of(cli, args))
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(words))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    warnings.showwarning = partial(_show_warning, words)
    try:
        cli.main(args, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as exc:
        exc.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("pixelkin: interrupted. Finished work is kept where the command can resume: run it again to go on.", err=True)
        sys.exit(130)
    except PkError as exc:
        click.echo(f"pixelkin: error: {words.say(str(exc), of_labels=isinstance(exc, LabelError))}", err=True)
        sys.exit(exc.exit_code)
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has had enough; the interpreter must not complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as exc:
        where = exc.filename if exc.filename is not None else "a file"
        click.echo(f"pixelkin: error: {where}: {exc.strerror or exc}. Check the path, its permissions and the free space.", err=True)
        sys.exit(2)
    except MemoryError as exc:
        click.echo(
            f"pixelkin: error: this machine's memory is too small for it ({exc}). Use a smaller image, or give less --memory.", err=True
        )
        sys.exit(2)


class _Formatter(logging.Formatter):
    """A log message as one line in the words of the command."""

    def __init__(self, words: Words) -> None:
        super().__init__("pixelkin: %(message)s")
        self._words = words

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, logging's name
        return self._words.say(super().formatMessage(record))


def _show_warning(
    words: Words, message: Warning | str, category: type[Warning], filename: str, lineno: int, file: object = None, line: str | None = None
) -> None:
    """A warning as one line: the place in our code is of no use to who runs a command."""
    del filename, lineno, file, line
    # That an image has no place on the ground is said where it matters, with the fix.
    if category.__name__ != "NotGeoreferencedWarning":
        click.echo(f"pixelkin: warning: {words.say(str(message))}", err=True)
