"""The first example of SignalWire's CallTap page, line for line: dial, tap, wait, stop, speak, hang up.

    export SIGNALWIRE_PROJECT_ID=… SIGNALWIRE_API_TOKEN=… TO_NUMBER=… FROM_NUMBER=… TAP_URI=wss://…
    python examples/call_tap.py

``TAP_URI`` may be a door of tapdeck's own: ``tapdeck tap open --device ws`` prints one, and records what comes.
"""

import asyncio
import os

from receiver import Client, WsDevice

SECONDS = float(os.environ.get("TAP_SECONDS", "10"))


async def main() -> None:
    client = await Client.connect(
        project=os.environ["SIGNALWIRE_PROJECT_ID"],
        token=os.environ["SIGNALWIRE_API_TOKEN"],
        host=os.environ.get("SIGNALWIRE_SPACE", "relay.signalwire.com"),
    )

    call = await client.dial_phone(
        to=os.environ["TO_NUMBER"],
        from_=os.environ["FROM_NUMBER"],
        timeout=30,
    )

    tap = await call.tap_audio(
        direction="both",
        device=WsDevice(uri=os.environ["TAP_URI"]),
    )
    await tap.started()

    # wait 10 seconds then stop the tap
    async def stop() -> None:
        await asyncio.sleep(SECONDS)
        print("Stopping tap")
        await tap.stop()

    stopping = asyncio.create_task(stop())

    # wait for the tap to end
    await tap.ended()
    print("Tap ended")

    await call.play_tts(text="Tap ended")

    # hangup the call
    await call.hangup()

    await stopping
    await client.close()


asyncio.run(main())
