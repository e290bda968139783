"""``tapdeck run``: the daemon."""

import asyncio
import os
import sys
from pathlib import Path

import click

from receiver.cli.common import config_file, with_config


@click.command()
@click.option("--directory", metavar="DIR", help="Storage folder, instead of [storage].directory.")
@click.option("--listen", metavar="ADDR:PORT", help="Where the API answers, instead of [http].listen.")
@with_config
def command(directory: str | None, listen: str | None, config: Path | None) -> None:
    """Run the daemon until it is told to stop (SIGTERM, or ^C)."""
    from receiver import settings
    from receiver.watch import log

    def read() -> settings.Loaded:
        flags = {"storage.directory": directory, "http.listen": listen}
        return settings.read(config_file(config), os.environ, flags)

    loaded = read()
    log.configure(loaded.settings.log.level, loaded.settings.log.format)

    from receiver.daemon.process import run
    from receiver.ledger.folder import FolderError

    try:
        sys.exit(asyncio.run(run(loaded.settings, lambda: read().settings)))
    except FolderError as error:
        click.echo(f"tapdeck: {error}", err=True)
        sys.exit(73)  # EX_CANTCREAT
