"""The command line: parse, call one library function, print. Results on stdout, progress on stderr.

Exit codes: 0 fine, 2 bad input (one line), 1 our bug (a traceback), 130 Ctrl-C.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings

import click

from ..errors import PkError

# Commands bring torch, GDAL or a web server; each loads when it is called, so that --help is quick.
_COMMANDS = {
    "demo": (".demo", "Map the Great Salt Lake from some sixty marks: the two-minute tour."),
    "doctor": (".doctor", "Check this installation."),
    "embed": (".embed", "Keep an image's embeddings, to map it again and again without the imagery."),
    "evaluate": (".evaluate", "Score a map against labels that were kept back."),
    "info": (".info", "Say what an image, series, model, references file or map is."),
    "labels": (".labels", "Convert and check label files."),
    "reproduce": ("..experiments.command", "Run an experiment of the paper on your data."),
    "segment": (".segment", "Map an image or a series from a few labels."),
    "serve": ("..web.command", "Label images on a page, and watch the map answer."),
    "train": (".train", "Learn a model from imagery, without labels."),
}


class _Lazy(click.Group):
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
    logging.basicConfig(format="pixelkin: %(message)s", level=logging.WARNING)
    warnings.showwarning = _show_warning
    try:
        cli.main(args, standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("pixelkin: interrupted. Finished work is kept where the command can resume: run it again to go on.", err=True)
        sys.exit(130)
    except PkError as exc:
        click.echo(f"pixelkin: error: {exc}", err=True)
        sys.exit(exc.exit_code)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: object = None, line: str | None = None
) -> None:
    """A warning as one line: the place in our code is of no use to who runs a command."""
    del category, filename, lineno, file, line
    click.echo(f"pixelkin: warning: {message}", err=True)
