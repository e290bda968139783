"""PyPI's ``signalwire-sdk`` against a switch, over TLS. Says what it sees as JSON lines; the test reads them.

    python peer.py SCENE    with SIGNALWIRE_SPACE (name:port), SIGNALWIRE_RELAY_CA_FILE, TAP_PORT, …
"""

# mypy: ignore-errors
# It runs in the SDK's own environment, where none of our types are.
import asyncio
import json
import os
import sys

from signalwire.relay import RelayClient, RelayError


def say(what, **more):
    print(json.dumps({"what": what, **more}), flush=True)


async def line():
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def phone(to="+15550199"):
    return [[{"type": "phone", "params": {"to_number": to, "from_number": "+15550100", "timeout": 5}}]]


async def whole(client):
    call = await client.dial(phone())
    say("answered", id=call.call_id, state=call.state)
    device = {"type": "rtp", "params": {"addr": "127.0.0.1", "port": int(os.environ["TAP_PORT"]), "codec": "PCMU"}}
    tap = await call.tap(tap={"type": "audio", "params": {"direction": "both"}}, device=device)
    say("tapping", id=tap.control_id)
    await line()
    await tap.stop()
    event = await tap.wait(timeout=10)
    say("ended", state=event.params["state"])
    play = await call.play([{"type": "tts", "params": {"text": "Tap ended"}}])
    event = await play.wait(timeout=10)
    say("played", state=event.params["state"])
    await call.hangup()
    await call.wait_for_ended(timeout=10)
    say("hung up", state=call.state)


async def busy(client):
    try:
        await client.dial(phone("+15550486"))
        say("answered")
    except RelayError as error:
        say("failed", message=str(error))


async def inbound(client):
    done = asyncio.Event()

    @client.on_call
    async def handle(call):
        say("received", id=call.call_id, direction=call.direction)
        await call.answer()
        say("answered")
        await call.hangup()
        say("hung up")
        done.set()

    await client.receive(["office"])
    say("listening")
    await done.wait()


SCENES = {"whole": whole, "busy": busy, "inbound": inbound}


async def main():
    client = RelayClient(project=os.environ["PEER_PROJECT"], token=os.environ["PEER_TOKEN"])
    try:
        await client.connect()
    except RelayError as error:
        say("refused", message=str(error))
        os._exit(0)
    say("connected")
    await SCENES[sys.argv[1]](client)
    await client.disconnect()


asyncio.run(main())
os._exit(0)  # it does not end by itself
