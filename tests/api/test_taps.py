"""The routes of taps."""

import asyncio
from types import SimpleNamespace

import pytest

from receiver import link
from receiver.api import taps as routes
from receiver.control.taps import Tap
from tests.api.made import Outside, problem

ASK = {"source": "any", "labels": {"team": "blue"}}


async def test_a_tap_is_opened(outside: Outside) -> None:
    client = await outside.client()
    response = await client.post("/v1/taps", json={**ASK, "codec": "PCMA"})
    tap = await response.json()
    assert response.status == 201
    assert response.headers["Location"] == f"/v1/taps/{tap['id']}"
    assert (tap["state"], tap["uri"], tap["labels"], tap["source"]) == (
        "listening", "rtp://127.0.0.1:20000", {"team": "blue"}, "any",
    )  # fmt: skip
    (order,) = outside.world.orders(link.Open)
    assert (order.law, order.policy, order.tap_id, order.recording_id) == (8, "any", tap["id"], tap["recording_id"])
    assert await (await client.get(f"/v1/taps/{tap['id']}")).json() == tap


async def test_stereo_is_two_destinations_of_one_recording(outside: Outside) -> None:
    client = await outside.client()
    response = await client.post("/v1/taps", json={**ASK, "layout": "stereo"})
    tap = await response.json()
    assert (response.status, tap["direction"], tap["layout"]) == (201, "speak", "stereo")
    assert tap["uris"] == {"speak": "rtp://127.0.0.1:20000", "listen": "rtp://127.0.0.1:20001"}
    assert {party: device["params"]["port"] for party, device in tap["devices"].items()} == {
        "speak": 20_000, "listen": 20_001,
    }  # fmt: skip
    assert tap["tap_audios"]["listen"]["port"] == 20_001
    assert set(tap["status_urls"]) == {"speak", "listen"}
    other = await (await client.get(f"/v1/taps/{tap['taps']['listen']}")).json()
    assert (other["recording_id"], other["direction"]) == (tap["recording_id"], "listen")
    assert other["devices"] == tap["devices"]
    assert (other["uri"], tap["uri"]) == (tap["uris"]["listen"], tap["uris"]["speak"])
    listed = (await (await client.get("/v1/taps")).json())["taps"]
    assert {each["id"] for each in listed} == set(tap["taps"].values())


async def test_stereo_without_room_for_two_is_503_and_keeps_nothing(outside: Outside) -> None:
    """There is room for three."""
    client = await outside.client()
    for _ in range(2):
        assert (await client.post("/v1/taps", json=ASK)).status == 201
    document = await problem(await client.post("/v1/taps", json={**ASK, "layout": "stereo"}), 503, "max_taps")
    assert "all 3 taps are in use" in document["detail"]
    assert len(outside.world.free) == 3
    assert (await client.post("/v1/taps", json=ASK)).status == 201


async def test_one_may_wait_for_the_first_packet(outside: Outside) -> None:
    client = await outside.client()
    waiting = asyncio.ensure_future(client.post("/v1/taps?wait=receiving", json=ASK))
    await outside.world.soon(lambda: outside.world.roster.states() == {"listening": 1})
    assert not waiting.done()
    (tap,) = outside.world.roster._taps.values()
    outside.world.report(tap)
    response = await waiting
    assert (response.status, (await response.json())["state"]) == (201, "receiving")


async def test_waiting_is_bounded(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "WAIT_S", 0.01)
    client = await outside.client()
    response = await client.post("/v1/taps?wait=receiving", json=ASK)
    assert (response.status, (await response.json())["state"]) == (201, "listening")


@pytest.mark.parametrize("path", ["/v1/taps?wait=ready", "/v1/taps?await=receiving"])
async def test_a_wait_that_is_not_understood_opens_nothing(outside: Outside, path: str) -> None:
    client = await outside.client()
    await problem(await client.post(path, json=ASK), 400, "query")
    assert outside.world.told == []


async def test_an_open_port_wants_a_source(outside: Outside) -> None:
    client = await outside.client()
    assert "any" in (await problem(await client.post("/v1/taps", json={}), 400, "source"))["detail"]
    client = await outside.client(allow_list=True)
    assert (await client.post("/v1/taps", json={})).status == 201
    assert outside.world.orders(link.Open)[0].policy == "allow-list"


async def test_a_tap_that_is_refused_is_503_with_the_reason(outside: Outside) -> None:
    client = await outside.client()
    response = await client.post("/v1/taps", json={"source": "any", "labels": {"worker": "refuses"}})
    document = await problem(response, 503, "storage")
    assert (document["detail"], document["hint"]) == ("no space", "make some")
    tap = await (await client.get(f"/v1/taps/{document['tap_id']}")).json()
    assert (tap["state"], tap["outcome"], tap["problem"]["code"]) == ("failed", "failed", "storage")


async def test_when_there_is_no_room_one_is_told_when_to_ask_again(outside: Outside) -> None:
    client = await outside.client()
    for _ in range(3):
        assert (await client.post("/v1/taps", json=ASK)).status == 201
    response = await client.post("/v1/taps", json=ASK)
    await problem(response, 503, "max_taps")
    assert response.headers["Retry-After"] == "10"
    outside.world.free.clear()
    (tap, *_) = outside.world.roster._taps.values()
    await client.post(f"/v1/taps/{tap.id}/stop?wait=ready")
    response = await client.post("/v1/taps", json=ASK)
    await problem(response, 503, "no_port")
    assert response.headers["Retry-After"] == "10"
    assert (await client.get("/livez")).status == 200


async def test_a_tap_is_stopped_and_twice_is_the_same(outside: Outside) -> None:
    client = await outside.client()
    tap = await (await client.post("/v1/taps", json=ASK)).json()
    outside.world.report(*outside.world.roster._taps.values())
    for _ in range(2):
        response = await client.post(f"/v1/taps/{tap['id']}/stop?wait=ready")
        stopped = await response.json()
        assert response.status == 202
        assert (stopped["state"], stopped["outcome"], stopped["ending"]) == ("finished", "complete", "stopped")
    assert len(outside.world.orders(link.Close)) == 1


async def test_a_tap_is_paused_and_resumed_and_twice_is_the_same(outside: Outside) -> None:
    client = await outside.client()
    tap = await (await client.post("/v1/taps", json=ASK)).json()
    for verb, paused in (("pause", True), ("pause?wait=ready", True), ("resume?wait=ready", False), ("resume", False)):
        response = await client.post(f"/v1/taps/{tap['id']}/{verb}")
        told = await response.json()
        assert (response.status, told["state"], told.get("paused", False)) == (202, "listening", paused)
        assert (await (await client.get(f"/v1/taps/{tap['id']}")).json()).get("paused", False) is paused
    assert (await client.post(f"/v1/taps/{tap['id']}/pause?wait=receiving")).status == 400
    assert [order.turns for order in outside.world.orders(link.Pause)] == [1, 2]


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_a_pause_of_a_tap_that_has_ended_is_409_and_of_none_is_404(outside: Outside, verb: str) -> None:
    client = await outside.client()
    tap = await outside.world.open()
    outside.world.finish(tap)
    await outside.world.soon(lambda: outside.world.roster.get(tap.id) is None)
    response = await client.post(f"/v1/taps/{tap.id}/{verb}")
    assert (response.status, (await response.json())["code"]) == (409, "over")
    assert outside.world.orders(link.Pause) == []
    assert (await client.post(f"/v1/taps/none/{verb}")).status == 404
    assert (await client.post(f"/v1/taps/{tap.id}/{verb}?now=1")).status == 400


async def test_a_stop_does_not_wait_unless_asked(outside: Outside) -> None:
    client = await outside.client()
    outside.world.roster._means = outside.world.roster._means._replace(send=outside.world.send)
    opening = asyncio.ensure_future(client.post("/v1/taps", json=ASK))
    await outside.world.soon(lambda: len(outside.world.orders(link.Open)) == 1)
    (order,) = outside.world.orders(link.Open)
    outside.world.roster.hear(0, link.Opened(order.slot, order.recording_id))
    tap = await (await opening).json()
    response = await client.post(f"/v1/taps/{tap['id']}/stop")
    assert (response.status, (await response.json())["state"]) == (202, "finishing")


async def test_taps_are_listed_newest_first_with_what_is_reported_of_those_that_live(outside: Outside) -> None:
    client = await outside.client()
    ids: list[str] = []
    for number in range(3):
        outside.world.wall_ns += 1
        tap = await (await client.post("/v1/taps", json={"source": "any", "labels": {"n": str(number)}})).json()
        ids.insert(0, tap["id"])
    outside.world.report(*outside.world.roster._taps.values(), packets=9)
    await client.post(f"/v1/taps/{ids[0]}/stop?wait=ready")
    first = await (await client.get("/v1/taps?limit=2")).json()
    second = await (await client.get("/v1/taps", params={"limit": 2, "after": first["next"]})).json()
    assert [tap["id"] for tap in first["taps"] + second["taps"]] == ids
    assert [tap.get("counts", {}).get("packets") for tap in first["taps"]] == [None, 9]
    assert "next" not in second
    assert "next" not in await (await client.get("/v1/taps?limit=3")).json()
    found = await (await client.get("/v1/taps?label.n=1")).json()
    assert [tap["id"] for tap in found["taps"]] == [ids[1]]
    found = await (await client.get("/v1/taps?state=finished")).json()
    assert [tap["id"] for tap in found["taps"]] == [ids[0]]


async def test_b5_another_source_may_be_told(outside: Outside) -> None:
    client = await outside.client()
    tap = await (await client.post("/v1/taps", json=ASK)).json()
    response = await client.patch(f"/v1/taps/{tap['id']}", json={"source": "192.0.2.1:5"})
    assert (response.status, (await response.json())["source"]) == (200, "192.0.2.1:5")
    (order,) = outside.world.orders(link.Source)
    assert (order.policy, order.announced) == ("exact", ("192.0.2.1", 5))
    await problem(await client.patch(f"/v1/taps/{tap['id']}", json={"colour": "red"}), 400, "invalid_body")
    await problem(await client.patch(f"/v1/taps/{tap['id']}", json={}), 400, "empty")
    await problem(await client.patch(f"/v1/taps/{tap['id']}", json={"source": "x"}), 400, "source")
    await client.post(f"/v1/taps/{tap['id']}/stop?wait=ready")
    await problem(await client.patch(f"/v1/taps/{tap['id']}", json={"source": "any"}), 409, "over")
    await problem(await client.patch("/v1/taps/nobody", json={"source": "any"}), 404, "no_such_tap")


RELAY = SimpleNamespace(up=True, calls={"c-1": SimpleNamespace(node_id="n-1")})


class Attendant:
    """Speaks with a relay that takes its time."""

    def begin(self, tap: Tap) -> None:
        pass

    def resume(self, tap: Tap) -> None:
        pass

    def leave(self, tap: Tap) -> bool:
        return False


async def test_a_tap_on_the_relay_is_answered_as_soon_as_its_port_is_bound(outside: Outside) -> None:
    outside.world.roster.attended_by(Attendant())
    client = await outside.client(client=RELAY)
    response = await client.post("/v1/taps", json={"call_id": "c-1", "labels": {"team": "blue"}})
    tap = await response.json()
    assert (response.status, tap["state"], tap["call_id"], tap["node_id"]) == (201, "requested", "c-1", "n-1")
    assert tap["control_id"] == tap["id"]
    assert "status_url" not in tap
    waiting = asyncio.ensure_future(client.post("/v1/taps?wait=receiving", json={"call_id": "c-1"}))
    await outside.world.soon(lambda: [each.durable for each in outside.world.roster.living()] == [True, True])
    one, other = outside.world.roster.living()
    outside.world.roster.accept(other, ("203.0.113.9", 7))
    outside.world.report(other)
    assert (await (await waiting).json())["state"] == "receiving"
    await problem(await client.patch(f"/v1/taps/{one.id}", json={"call_id": "c-2"}), 409, "own_tap")
    patched = await (await client.patch(f"/v1/taps/{one.id}", json={"labels": {"a": "b"}})).json()
    assert patched["labels"] == {"a": "b"}


async def test_which_call_an_open_tap_belongs_to_may_be_told(outside: Outside) -> None:
    client = await outside.client()
    tap = await (await client.post("/v1/taps", json=ASK)).json()
    known = {"call_id": "c-7", "node_id": "n-7", "control_id": "theirs", "labels": {"x": "y"}}
    patched = await (await client.patch(f"/v1/taps/{tap['id']}", json=known)).json()
    assert {name: patched[name] for name in known} == known
    (order,) = outside.world.orders(link.Amend)
    assert (order.call_id, order.node_id, order.control_id, order.labels) == ("c-7", "n-7", "theirs", {"x": "y"})
    found = await (await client.get("/v1/taps?call_id=c-7")).json()
    assert [each["id"] for each in found["taps"]] == [tap["id"]]


async def test_another_source_cannot_be_told_of_a_door(outside: Outside) -> None:
    client = await outside.client(ws=True)
    tap = await (await client.post("/v1/taps", json={"device": "ws"})).json()
    assert tap["uri"] == "wss://here.example/20000"
    await problem(await client.patch(f"/v1/taps/{tap['id']}", json={"source": "any"}), 409, "ws")
