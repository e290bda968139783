"""An application as a user would write one: it calls people by the public API, and has the daemon tap the calls."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from receiver import Client
from receiver.cli.client import Client as Daemon
from receiver.lab.switch.process import SwitchProcess

FROM: Final = "+15550100"


async def call_and_tap(
    switch: SwitchProcess, daemon: Daemon, numbers: Iterable[str], codec: str, answered: Callable[[str, str], None]
) -> None:
    """Call all numbers at once, tap each call as soon as it is answered, stay until all are over.

    ``answered(number, call_id)`` is called for each.
    """
    async with await Client.connect(switch.project, switch.token, switch.url) as client:

        async def one(number: str) -> None:
            call = await client.dial_phone(to=number, from_=FROM)
            answered(number, call.call_id)
            body = {"call_id": call.call_id, "node_id": call.node_id, "codec": codec}
            await asyncio.to_thread(daemon.post, "/v1/taps", body)
            await call.ended()

        await asyncio.gather(*(one(number) for number in numbers))
