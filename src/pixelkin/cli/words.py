"""Messages of the library in the words of the command line.

The library names its arguments as Python writes them, `overlap='last'`. Here they become the options of the command that runs,
`--overlap last`, in one place, so that no message has to know through which door it is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

ALIASES = {"brush_px": "brush", "date": "labels_date", "resume": "restart", "class_name": "class"}
"""Arguments whose option has another name."""
LABEL_ALIASES = {"crs": "labels_crs"}
"""Arguments that mean something else where labels are read."""

_VALUE = r"""'[^']*'|\{[^}]*\}|\([^)]*\)|"[^"]*"|\[[^\]]*\]|\{[^}]*\}|\.\.\.|-?\d+(?:\.\d+)?|\w+|(?=[\s.,;)]|$)"""
_ARGUMENT = re.compile(rf"(?<![\w./\\=&?\[{{'\"-])(?P<name>[a-z][a-z0-9_]*)=(?P<value>{_VALUE})")
_CALL = re.compile(r"(?<![\w./])(?:\w+\.)*\w+\((?P<inside>[^()]*)\)")
_SUBJECT = re.compile(r"(?P<name>[a-z][a-z0-9_]*) is (?=['\"\[\d-])")


class Words:
    """The options of one command, by the names that the library has for them."""

    def __init__(self, command: click.Command | None) -> None:
        """Know a command's options; of no command, none."""
        self._options = {
            name.lstrip("-").replace("-", "_"): (name, parameter)
            for parameter in (command.params if command is not None else ())
            if isinstance(parameter, click.Option)
            for name in (*parameter.opts, *parameter.secondary_opts)
            if name.startswith("--")
        }

    def say(self, message: str, *, of_labels: bool = False) -> str:
        """A message with options for arguments; names that are no option of this command stay.

        Args:
            message: As the library words it.
            of_labels: It is about labels, whose CRS is an option of its own.
        """
        aliases = ALIASES | (LABEL_ALIASES if of_labels else {})

        def in_call(found: re.Match[str]) -> str:
            said = [self._option(part, aliases) for part in _ARGUMENT.finditer(found["inside"])]
            known = [option for option in said if option is not None]
            return " ".join(known) if known else found[0]

        def alone(found: re.Match[str]) -> str:
            return self._option(found, aliases) or found[0]

        def subject(found: re.Match[str]) -> str:
            known = self._options.get(aliases.get(found["name"], found["name"]))
            return found[0] if known is None else f"{known[0]} is "

        start = _SUBJECT.match(message)
        if start is not None:
            message = subject(start) + message[start.end() :]
        return _ARGUMENT.sub(alone, _CALL.sub(in_call, message))

    def _option(self, found: re.Match[str], aliases: Mapping[str, str]) -> str | None:
        known = self._options.get(aliases.get(found["name"], found["name"]))
        if known is None:
            return None
        option, parameter = known
        value = re.sub(r"['\"\[\](){}]", "", found["value"]).replace(", ", ",").replace(": ", "=")
        if value == "False" and parameter.secondary_opts:
            return parameter.secondary_opts[0]
        if parameter.is_flag or value in ("", "...", "True"):
            return option
        return f"{option} {value}"


def command_of(group: click.Group, args: list[str]) -> click.Command | None:
    """The command that these arguments call, None where they name none."""
    context = click.Context(group)
    command: click.Command | None = None
    for arg in args:
        inner: click.Command = command or group
        if not isinstance(inner, click.Group):
            break
        command = inner.get_command(context, arg) or command
    return command
