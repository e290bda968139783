"""The routes of recordings."""

from typing import Any

from tests.api.made import Outside, problem


async def recorded(outside: Outside, client: Any, packets: int = 5) -> dict[str, Any]:
    tap: dict[str, Any] = await (await client.post("/v1/taps", json={"source": "any"})).json()
    outside.world.report(*outside.world.roster._taps.values(), packets=packets)
    await client.post(f"/v1/taps/{tap['id']}/stop?wait=ready")
    return tap


async def test_a_recording_is_shown_with_its_path_and_whether_it_is_there(outside: Outside) -> None:
    client = await outside.client()
    tap = await recorded(outside, client)
    path = f"/v1/recordings/{tap['recording_id']}"
    shown = await (await client.get(path)).json()
    assert shown["path"] == f"ready/2026/{tap['recording_id']}.wav"
    assert (shown["tap_id"], shown["outcome"], shown["present"], shown["duration_s"]) == (
        tap["id"], "complete", True, 1.5,
    )  # fmt: skip
    (outside.ready / "2026" / shown["file"]).unlink()  # a job took it
    assert (await (await client.get(path)).json())["present"] is False


async def test_a_recording_without_sound_is_there_while_its_sidecar_is(outside: Outside) -> None:
    client = await outside.client()
    tap = await recorded(outside, client, packets=0)
    shown = await (await client.get(f"/v1/recordings/{tap['recording_id']}")).json()
    assert (shown["outcome"], shown["file"], shown["present"]) == ("empty", None, False)
    (outside.ready / "2026" / f"{tap['recording_id']}.json").touch()
    assert (await (await client.get(f"/v1/recordings/{tap['recording_id']}")).json())["present"] is True


async def test_recordings_are_listed_page_by_page(outside: Outside) -> None:
    client = await outside.client()
    ids = {(await recorded(outside, client))["recording_id"] for _ in range(3)}
    first = await (await client.get("/v1/recordings?limit=2")).json()
    second = await (await client.get("/v1/recordings", params={"limit": 2, "after": first["next"]})).json()
    assert {each["recording_id"] for each in first["recordings"] + second["recordings"]} == ids
    assert [each["present"] for each in first["recordings"]] == [True, True]
    assert "next" not in second
    assert "next" not in await (await client.get("/v1/recordings?limit=3")).json()


async def test_a_query_that_is_not_understood_is_refused(outside: Outside) -> None:
    client = await outside.client()
    await problem(await client.get("/v1/recordings?state=finished"), 400, "query")
    await problem(await client.get("/v1/recordings/x?limit=1"), 400, "query")
