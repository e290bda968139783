"""``tapdeck calls``."""

from pathlib import Path

import click

from receiver.cli.client import Client, with_daemon
from receiver.cli.common import print_json, print_table, with_config, with_json


@click.command()
@with_daemon
@with_config
@with_json
def command(url: str | None, config: Path | None, as_json: bool) -> None:
    """List the calls that the relay told the daemon of, while they last."""
    calls = Client(config, url).get("/v1/calls")["calls"]
    if as_json:
        print_json(calls)
        return
    heads = ("CALL", "NODE", "STATE", "DIRECTION", "TOPIC", "FROM", "TO", "TAPS")
    names = ("call_id", "node_id", "state", "direction", "topic", "from", "to")
    print_table(heads, [(*(call.get(name) for name in names), len(call["taps"])) for call in calls])
