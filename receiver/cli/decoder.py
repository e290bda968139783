"""``tapdeck decoder``: decodes Opus for a media worker, which starts it. Not for people."""

import asyncio
import os
import signal
from contextlib import suppress

import click

from receiver.cli.worker import LEFT_TO_CONTROL

NICE = 10
"""What waits for it waits in memory; the workers' ticks do not."""


@click.command(hidden=True)
@click.option("--link", "descriptor", type=int, required=True, help="The inherited descriptor of the link.")
def command(descriptor: int) -> None:
    """Make samples of what comes over the link, until the worker hangs up."""
    for number in LEFT_TO_CONTROL:
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):  # a sandbox may forbid even that
        os.nice(NICE)
    from receiver.decoder import run

    asyncio.run(run(descriptor))
