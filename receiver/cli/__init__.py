"""``tapdeck``: the commands, one file each.

A command lives in ``receiver/cli/<name>.py`` as ``command`` and is imported when it is called: ``tapdeck --help`` costs
neither numpy nor aiohttp, and a media worker, which is a command too, never sees the control side. The short help
stands in ``COMMANDS``, because asking the commands would import them. One that is ``PLAIN`` is a function ``run`` of
its words instead, and not even click is loaded for it.

Results go to stdout, everything else to stderr. What an error means for the exit status stands in ``EXITS``: a room
raises its own error and knows nothing of exit codes.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "run": "The daemon.",
    "demo": "Record simulated callers on loopback and prove every sample.",
    "call": "Call a number, record the call, hang up.",
    "tap": "Start, open, list, show, stop taps.",
    "calls": "List the calls that the relay told of.",
    "recordings": "List recordings.",
    "drain": "Take the daemon out of service: no new taps.",
    "health": "Is the daemon ready?",
    "import": "Record the streams of a capture.",
    "check": "Audit a folder of recordings.",
    "config": "Check the configuration, show where each value comes from.",
    "lab": "A telephone network in a box: a switch, and callers.",
    "worker": "",
    "decoder": "",
}
"""Name → short help; one without is not listed: ``worker`` is started by the daemon, ``decoder`` by a worker."""

PLAIN = frozenset({"health"})
"""Those that a machine calls every few seconds: ``run(words)`` returns the exit status, and click is not loaded."""

MODULES = {"import": "import_"}
"""Where a command's file cannot have its name."""

EXITS = {
    "receiver.origins.ConfigError": 78,  # EX_CONFIG
    "receiver.archive.files.StorageError": 73,  # EX_CANTCREAT
    "receiver.cli.Away": 69,  # EX_UNAVAILABLE
    "builtins.PermissionError": 77,  # EX_NOPERM
    "builtins.OSError": 74,  # EX_IOERR
}
"""Error → exit status (sysexits.h), by name, so that naming one imports nothing. The nearest class counts."""

USUAL_PLACE = "/etc/tapdeck/tapdeck.toml"
"""The configuration, when neither ``--config`` nor ``TAPDECK_CONFIG`` names a file, and it is there."""


class Away(Exception):
    """A service that the command needs does not answer, or refused the token (exit 69)."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(message)


def exit_status(error: BaseException) -> int | None:
    """The exit status that an error stands for, None for one that is a defect of ours."""
    for kind in type(error).__mro__:
        status = EXITS.get(f"{kind.__module__}.{kind.__qualname__}")
        if status is not None:
            return status
    return None


def plain(name: str, words: Sequence[str]) -> int:
    """Do one of ``PLAIN``; its exit status."""
    status: int = import_module(f"receiver.cli.{name}").run(words)
    return status


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Ends the process: 0 done, 1 failed, 2 usage, or what ``EXITS`` says."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words and words[0] in PLAIN:
            sys.exit(plain(words[0], words[1:]))
        from receiver.cli.commands import tapdeck

        tapdeck.main(words, prog_name="tapdeck")
    except Exception as error:
        status = exit_status(error)
        if status is None:
            raise
        said, hint = str(error), getattr(error, "hint", None)
        for line in (said if hint is None or hint in said else f"{said}; {hint}").splitlines():
            print(f"tapdeck: {line}", file=sys.stderr)
        sys.exit(status)
