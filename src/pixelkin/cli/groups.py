"""Groups of commands that help with a name that is none."""

from __future__ import annotations

import difflib

import click


class SuggestingGroup(click.Group):
    """A group that says which command may have been meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or a usage error with the nearest name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            near = difflib.get_close_matches(args[0].lower(), self.list_commands(ctx), n=1, cutoff=0.5)
            if not near:
                raise
            raise click.UsageError(f"{exc.message.rstrip('.')}. Did you mean {near[0]!r}?", ctx) from exc
