"""``tapdeck worker``: a media worker, as the control process starts it. Not for people."""

import asyncio

import click


@click.command(hidden=True)
@click.option("--index", type=int, required=True, help="Which worker this is, from 0.")
@click.option("--link", "descriptor", type=int, required=True, help="The inherited descriptor of the link.")
def command(index: int, descriptor: int) -> None:
    """Record what control says over the link, until control hangs up."""
    from receiver.worker.process import run

    asyncio.run(run(index, descriptor))
