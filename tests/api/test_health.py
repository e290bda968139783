"""Is it alive, is it ready."""

from tests.api.made import Outside


async def test_alive(outside: Outside) -> None:
    client = await outside.client()
    assert (await client.get("/livez")).status == 200


async def test_ready_says_what_workers_taps_and_packets_there_are(outside: Outside) -> None:
    client = await outside.client()
    await client.post("/v1/taps", json={"source": "any"})
    outside.house.counters.note(0, {"accepted": 9}, {"backlog": 1.0})
    response = await client.get("/readyz")
    assert response.status == 200
    assert await response.json() == {
        "ready": True,
        "reasons": {},
        "workers": [{"worker": 0, "state": "ready", "pid": 1, "deaths": 0, "gauges": {"backlog": 1.0}}],
        "taps": {"listening": 1},
        "packets": {"accepted": 9},
    }


async def test_not_ready_says_why(outside: Outside) -> None:
    client = await outside.client()
    outside.house.health.complain("worker 0", "restarting")
    response = await client.get("/readyz")
    answer = await response.json()
    assert (response.status, answer["ready"], answer["reasons"]) == (503, False, {"worker 0": "restarting"})
    outside.house.health.recover("worker 0")
    assert (await client.get("/readyz")).status == 200
