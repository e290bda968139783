"""The third example of the CallTap page (``stop``), with an RTP device.

The environment is that of ``call_tap.py``, but for ``TAP_ADDR`` and ``TAP_PORT``: ``tapdeck tap open`` prints them.
"""

import asyncio
import os

from receiver import Client, RtpDevice


async def main() -> None:
    async with await Client.connect(
        project=os.environ["SIGNALWIRE_PROJECT_ID"],
        token=os.environ["SIGNALWIRE_API_TOKEN"],
        host=os.environ.get("SIGNALWIRE_SPACE", "relay.signalwire.com"),
    ) as client:
        call = await client.dial_phone(to=os.environ["TO_NUMBER"], from_=os.environ["FROM_NUMBER"], timeout=30)

        tap = await call.tap(
            audio={"direction": "both"},
            device=RtpDevice(addr=os.environ["TAP_ADDR"], port=os.environ["TAP_PORT"], codec="PCMU"),
        )
        print("Sound comes from", tap.source_device)

        await asyncio.sleep(float(os.environ.get("TAP_SECONDS", "10")))
        await tap.stop()
        print("Stopped", tap.state)
        await call.hangup()


asyncio.run(main())
