"""``tapdeck recordings``."""

from pathlib import Path
from typing import Any

import click

from receiver.cli.client import Client, with_daemon
from receiver.cli.common import print_json, print_table, with_config, with_json


@click.command()
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@with_daemon
@with_config
@with_json
def command(limit: int, url: str | None, config: Path | None, as_json: bool) -> None:
    """List recordings, newest first: how they ended, and whether they still lie in ready/."""
    recordings = list(Client(config, url).pages("/v1/recordings", "recordings", limit))
    if as_json:
        print_json(recordings)
        return
    heads = ("RECORDING", "OUTCOME", "ENDING", "SECONDS", "ABSENT", "PRESENT", "PATH")
    print_table(heads, [_row(recording) for recording in recordings])


def _row(recording: dict[str, Any]) -> tuple[object, ...]:
    return (
        recording["recording_id"],
        recording["outcome"],
        recording["ending"],
        recording.get("duration_s"),
        recording.get("absent_frames"),
        "yes" if recording["present"] else "no",
        recording.get("path"),
    )
