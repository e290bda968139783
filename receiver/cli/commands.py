"""The command line as click sees it: ``COMMANDS`` as a group, each imported when it is called."""

import sys
from importlib import import_module

import click

from receiver import __version__
from receiver.cli import COMMANDS, MODULES, PLAIN, plain


class Commands(click.Group):
    """A group whose commands are files."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in PLAIN:
            return _wrapped(cmd_name)
        command = import_module(f"receiver.cli.{MODULES.get(cmd_name, cmd_name)}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, text in COMMANDS.items() if text])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tapdeck")
def tapdeck() -> None:
    """Records call taps: every sample at its true place in time, one WAV per tap, complete and described."""


def _wrapped(name: str) -> click.Command:
    """A command that goes without click, for those who come by click all the same: a shell's completion, a test."""

    @click.command(name, help=COMMANDS[name], add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def command(words: tuple[str, ...]) -> None:
        sys.exit(plain(name, words))

    return command
