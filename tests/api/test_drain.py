"""A host that is taken out of service: nothing new, and what lives goes on."""

from tests.api.made import Outside, problem


async def test_no_tap_is_accepted_any_more_and_the_others_go_on(outside: Outside) -> None:
    client = await outside.client()
    tap = await (await client.post("/v1/taps", json={"source": "any"})).json()
    for _ in range(2):
        response = await client.post("/v1/drain")
        assert (response.status, await response.json()) == (202, {"draining": True, "taps": 1})
    response = await client.post("/v1/taps", json={"source": "any"})
    assert response.headers["Retry-After"] == "30"
    await problem(response, 503, "draining")
    assert (await (await client.get(f"/v1/taps/{tap['id']}")).json())["state"] == "listening"
    await client.post(f"/v1/taps/{tap['id']}/stop?wait=ready")
    assert (await (await client.post("/v1/drain")).json())["taps"] == 0
