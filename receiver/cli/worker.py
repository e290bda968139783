"""``tapdeck worker``: a media worker, as the control process starts it. Not for people."""

import asyncio
import os
import signal

import click

LEFT_TO_CONTROL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""Rule D7: a worker obeys the link, whatever a terminal or a service manager sends to all processes at once."""


@click.command(hidden=True)
@click.option("--index", type=int, required=True, help="Which worker this is, from 0.")
@click.option("--link", "descriptor", type=int, required=True, help="The inherited descriptor of the link.")
def command(index: int, descriptor: int) -> None:
    """Record what control says over the link, until control hangs up.

    TAPDECK_LOG__LEVEL and TAPDECK_LOG__FORMAT say how it logs: control has checked them, and passes on what it reads
    elsewhere.
    """
    for number in LEFT_TO_CONTROL:
        signal.signal(number, signal.SIG_IGN)
    from receiver.watch import log
    from receiver.worker.process import run

    log.configure(os.environ.get("TAPDECK_LOG__LEVEL", "info"), os.environ.get("TAPDECK_LOG__FORMAT", "auto"))
    asyncio.run(run(index, descriptor))
