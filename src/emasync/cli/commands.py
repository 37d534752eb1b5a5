"""The commands by name. Each is imported when it is asked for: a run does not wait for the options of twenty others."""

from __future__ import annotations

from importlib import import_module
from typing import cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

COMMANDS = (
    *("run", "get", "ls", "init", "catalog", "demo", "bench", "verify", "prune", "export", "selftest"),
    *("block", "index", "metadata", "hooks", "volumes", "plan", "status", "schema"),
)
"""In the order of the help. Each is a function in the module of its name."""


class Commands(TyperGroup):
    """A group whose commands are imported one by one."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - the same wherever it is asked
        """Names, in order."""
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002 - as above
        """The command, or None; then all are there, to tell which was meant."""
        for name in (cmd_name,) if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.commands[name] = _imported(name)
        return cast("TyperCommand | None", self.commands.get(cmd_name))


def _imported(name: str) -> TyperCommand:
    one = typer.Typer(add_completion=False, rich_markup_mode=None)
    one.command(name)(getattr(import_module(f"emasync.cli.{name}"), name))
    return cast("TyperCommand", get_command(one))
