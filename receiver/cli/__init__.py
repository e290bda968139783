"""``tapdeck``: the commands, one file each.

A command lives in ``receiver/cli/<name>.py`` as ``command`` and is imported when it is called: ``tapdeck --help`` costs
neither numpy nor aiohttp, and a media worker, which is a command too, never sees the control side. The short help
stands in ``COMMANDS``, because asking the commands would import them.

Results go to stdout, everything else to stderr. What an error means for the exit status stands in ``EXITS``: a room
raises its own error and knows nothing of exit codes.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from receiver import __version__

COMMANDS = {
    "run": "The daemon.",
    "demo": "Record simulated callers on loopback and prove every sample.",
    "call": "Call a number, record the call, hang up.",
    "tap": "Start, open, list, show, stop taps.",
    "calls": "List the calls that the relay told of.",
    "recordings": "List recordings.",
    "check": "Audit a folder of recordings.",
    "config": "Check the configuration, show where each value comes from.",
    "lab": "A telephone network in a box: a switch, and callers.",
    "worker": "",
}
"""Name → short help; one without is not listed (``worker`` is started by the daemon, not by a person)."""

EXITS = {
    "receiver.origins.ConfigError": 78,  # EX_CONFIG
    "receiver.archive.files.StorageError": 73,  # EX_CANTCREAT
    "receiver.cli.common.Away": 69,  # EX_UNAVAILABLE
    "builtins.PermissionError": 77,  # EX_NOPERM
    "builtins.OSError": 74,  # EX_IOERR
}
"""Error → exit status (sysexits.h), by name, so that naming one imports nothing. The nearest class counts."""


class Commands(click.Group):
    """A group whose commands are files that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"receiver.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, text in COMMANDS.items() if text])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tapdeck")
def tapdeck() -> None:
    """Records call taps: every sample at its true place in time, one WAV per tap, complete and described."""


def exit_status(error: BaseException) -> int | None:
    """The exit status that an error stands for, None for one that is a defect of ours."""
    for kind in type(error).__mro__:
        status = EXITS.get(f"{kind.__module__}.{kind.__qualname__}")
        if status is not None:
            return status
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Ends the process: 0 done, 1 failed, 2 usage, or what ``EXITS`` says."""
    try:
        tapdeck.main(arguments, prog_name="tapdeck")
    except Exception as error:
        status = exit_status(error)
        if status is None:
            raise
        said, hint = str(error), getattr(error, "hint", None)
        for line in (said if hint is None or hint in said else f"{said}; {hint}").splitlines():
            click.echo(f"tapdeck: {line}", err=True)
        sys.exit(status)
