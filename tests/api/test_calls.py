"""The route of calls."""

from types import SimpleNamespace
from typing import Any

from receiver.control import words
from receiver.control.call import Call
from tests.api.made import Outside, problem


def call(**told: Any) -> Call:
    client: Any = SimpleNamespace(spawn=None)
    made = Call(client, words.CallState("c-1", "n-1", "answered"))
    made.hear(words.CallState("c-1", "n-1", "answered", **told))
    return made


async def test_calls_are_listed_with_their_taps(outside: Outside) -> None:
    inbound = call(direction="inbound", context="office", from_="+1", to="+2")
    client = await outside.client(client=SimpleNamespace(up=True, calls={"c-1": inbound}))
    tap = await (await client.post("/v1/taps", json={"source": "any"})).json()
    await client.patch(f"/v1/taps/{tap['id']}", json={"call_id": "c-1"})
    assert await (await client.get("/v1/calls")).json() == {
        "calls": [
            {"call_id": "c-1", "node_id": "n-1", "state": "answered", "direction": "inbound", "topic": "office",
             "from": "+1", "to": "+2", "taps": [tap["id"]]},
        ]
    }  # fmt: skip


async def test_without_a_relay_there_is_nobody_to_ask(outside: Outside) -> None:
    client = await outside.client()
    document = await problem(await client.get("/v1/calls"), 409, "no_relay")
    assert "[relay].token" in document["hint"]
    await problem(await client.get("/v1/calls?state=x"), 400, "query")
