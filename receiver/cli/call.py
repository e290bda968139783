"""``tapdeck call``: the whole of SignalWire's CallTap page in one command."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.common import Away, config_file, print_json, with_config, with_json

if TYPE_CHECKING:
    from receiver.daemon.onecall import Asked, Recorded
    from receiver.settings import Settings


@click.command()
@click.option("--to", required=True, metavar="NUMBER", help="Whom to call.")
@click.option("--from", "from_", required=True, metavar="NUMBER", help="A number of your project.")
@click.option("--direction", type=click.Choice(["speak", "listen", "both"]), default="both", show_default=True,
              help="Whose sound: of the party called, what it hears, or both.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.1, 86_400), default=10.0, show_default=True, help="How long.")
@click.option("--say", metavar="TEXT", help="Say this before hanging up.")
@click.option("--directory", metavar="DIR", help="Storage folder, instead of [storage].directory.")
@with_config
@with_json
def command(
    to: str, from_: str, direction: str, seconds: float, say: str | None, directory: str | None,
    config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Call a number, record the call, hang up, and print the path of its sound. Needs no daemon; ^C hangs up."""
    from msgspec.structs import replace

    from receiver.settings import read

    loaded = read(config_file(config), os.environ, {"storage.directory": directory})
    settings = loaded.settings
    if "log.level" not in loaded.origins:  # one command, one answer: what matters stands in it
        settings = replace(settings, log=replace(settings.log, level="critical"))

    from receiver.daemon.onecall import Asked
    from receiver.watch import log

    log.configure(settings.log.level, settings.log.format)
    recorded = _run(settings, Asked(to, from_, direction, seconds, say))
    if as_json:
        print_json(recorded._asdict() | {"path": None if recorded.path is None else str(recorded.path)})
    elif recorded.path is not None and recorded.path.suffix != ".json":
        click.echo(recorded.path)
    if recorded.problem is not None:
        click.echo(f"tapdeck: {recorded.outcome}: {recorded.problem}", err=True)
    sys.exit(0 if recorded.outcome in ("complete", "degraded") else 1)


def _run(settings: "Settings", asked: "Asked") -> "Recorded":
    """Ends the process, with a line on stderr, where there is nothing to tell of."""
    from receiver.control.calls import DialFailed
    from receiver.control.errors import RelayAway, RelayDenied, RelayError
    from receiver.control.means import NotNow
    from receiver.daemon.onecall import NotRecorded, record
    from receiver.ledger.folder import FolderError

    async def work() -> "Recorded":
        loop = asyncio.get_running_loop()
        stop: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: None if stop.done() else stop.set_result(None))
        return await record(settings, asked, stop, _progress)

    try:
        return asyncio.run(work())
    except RelayDenied as error:
        hint = "look at [relay].project and [relay].token"
        raise Away(f"the relay refused project and token: {error}", hint) from None
    except RelayAway as error:
        raise Away(f"the relay at {settings.relay.host} does not answer: {error}") from None
    except FolderError as error:
        click.echo(f"tapdeck: {error}", err=True)
        sys.exit(73)  # EX_CANTCREAT
    except DialFailed as error:
        click.echo(f"tapdeck: {asked.to} was not reached: {error}", err=True)
    except (RelayError, NotNow, NotRecorded) as error:
        todo = getattr(error, "hint", None)
        click.echo(f"tapdeck: {error}{f'; {todo}' if todo else ''}", err=True)
    sys.exit(1)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{text} …", err=True)
