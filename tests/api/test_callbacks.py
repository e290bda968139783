"""What the platform calls: a secret path for each open tap."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from receiver.api.app import LONGEST_BODY, make_callbacks
from tests.api.made import Outside, problem


def event(state: str, **more: Any) -> dict[str, Any]:
    params = {"control_id": "theirs", "call_id": "c-1", "node_id": "n-1", "state": state, **more}
    return {"event_type": "calling.call.tap", "timestamp": 1.5, "params": params}


async def opened(outside: Outside, **house: Any) -> tuple[Any, dict[str, Any]]:
    client = await outside.client(**house)
    headers = {"Authorization": f"Bearer {house['token']}"} if "token" in house else {}
    response = await client.post("/v1/taps", json={"source": "any"}, headers=headers)
    return client, await response.json()


async def test_a_call_back_moves_an_open_taps_life(outside: Outside) -> None:
    client, tap = await opened(outside)
    for _ in range(2):
        assert (await client.post(tap["status_url"], json=event("tapping"))).status == 204
    shown = await (await client.get(f"/v1/taps/{tap['id']}")).json()
    assert (shown["relay"], shown["call_id"], shown["control_id"]) == ("away", "c-1", "theirs")
    assert (await client.post(tap["status_url"], json=event("finished"))).status == 204
    stopped = await (await client.post(f"/v1/taps/{tap['id']}/stop?wait=ready")).json()
    assert stopped["ending"] == "relay_finished"


async def test_d10_no_bearer_is_asked_for_and_no_name_of_a_host_looked_at(outside: Outside) -> None:
    client, tap = await opened(outside, token="geheim")
    there = {"Host": "media.example", "Origin": "https://media.example"}
    assert (await client.post(tap["status_url"], json=event("tapping"), headers=there)).status == 204
    assert (await client.get(f"/v1/taps/{tap['id']}")).status == 401


@pytest.mark.parametrize("path", ["/v1/callbacks/guess", "/v1/callbacks/", "/v1/callbacks/a/b"])
async def test_who_does_not_know_a_secret_learns_nothing(outside: Outside, path: str) -> None:
    client, _ = await opened(outside)
    assert (await client.post(path, json=event("finished"))).status == 404
    assert outside.world.roster.states() == {"listening": 1}


async def test_e_a_body_that_means_nothing_is_400_and_moves_nothing(outside: Outside) -> None:
    client, tap = await opened(outside)
    await problem(await client.post(tap["status_url"], data=b"{"), 400, "malformed_json")
    await problem(await client.post(tap["status_url"], data=b"[1]"), 400, "invalid_body")
    await problem(await client.post(tap["status_url"], data=b"x" * (LONGEST_BODY + 1)), 413, "request_entity_too_large")
    assert (await client.post(tap["status_url"], json={"event_type": "something.else"})).status == 204
    assert outside.world.roster.states() == {"listening": 1}


async def test_a_door_for_calls_back_alone_knows_nothing_else(outside: Outside) -> None:
    _, tap = await opened(outside)
    async with TestClient(TestServer(make_callbacks(outside.house))) as client:
        assert (await client.post(tap["status_url"], json=event("tapping"))).status == 204
        assert (await client.get("/v1/taps")).status == 404
        assert (await client.get("/readyz")).status == 404
