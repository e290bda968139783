"""The second example of the CallTap page (``ended``): listeners that are given with the tap, and one that comes later.

The environment is that of ``call_tap.py``.
"""

import asyncio
import os

from receiver import CallTap, Client, WsDevice


async def main() -> None:
    async with await Client.connect(
        project=os.environ["SIGNALWIRE_PROJECT_ID"],
        token=os.environ["SIGNALWIRE_API_TOKEN"],
        host=os.environ.get("SIGNALWIRE_SPACE", "relay.signalwire.com"),
    ) as client:
        call = await client.dial_phone(to=os.environ["TO_NUMBER"], from_=os.environ["FROM_NUMBER"], timeout=30)

        async def on_ended(tap: CallTap) -> None:
            print("Ended", tap.id, tap.state)

        tap = await call.tap_audio(
            direction="both",
            device=WsDevice(uri=os.environ["TAP_URI"]),
            listen={
                "on_started": lambda tap: print("Started", tap.id, tap.state),
            },
        )
        tap.listen(on_ended=on_ended)

        await tap.started()
        await call.hangup()  # the end of the call is the end of its taps
        await tap.ended()
        print("Has ended", tap.has_ended)


asyncio.run(main())
