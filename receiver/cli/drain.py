"""``tapdeck drain``: before a host is taken down."""

import time
from pathlib import Path
from typing import Final

import click

from receiver.cli.client import Client, with_daemon
from receiver.cli.common import print_json, with_config, with_json

AGAIN_S: Final = 1.0


@click.command()
@click.option("--wait", is_flag=True, help="Return when the last tap has its outcome.")
@with_daemon
@with_config
@with_json
def command(wait: bool, url: str | None, config: Path | None, as_json: bool) -> None:
    """Accept no new taps until the next start; those that live go on to their end."""
    client = Client(config, url)
    answer = client.post("/v1/drain")
    while wait and answer["taps"]:
        time.sleep(AGAIN_S)
        answer = client.post("/v1/drain")
    if as_json:
        print_json(answer)
    else:
        click.echo(f"draining, {answer['taps']} taps live")
