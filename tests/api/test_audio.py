"""The sound of a recording: all of it or a range, never through a link, gone when a job has taken it."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from tests.api.made import Outside, problem
from tests.api.test_recordings import recorded
from tests.ledger.made import NOON, sidecar

SOUND = b"RIFF" + bytes(range(256)) * 300

Asked = TestClient[web.Request, web.Application]


async def one(outside: Outside, client: Asked) -> tuple[str, Path]:
    """The URL of a recording's sound, and where it lies."""
    tap = await recorded(outside, client)
    file = outside.ready / "2026" / f"{tap['recording_id']}.wav"
    file.write_bytes(SOUND)
    return f"/v1/recordings/{tap['recording_id']}/audio", file


async def book(outside: Outside, stem: str | None, **given: Any) -> None:
    """A recording that a worker finished, by its sidecar."""
    clerk = outside.house.clerk
    await clerk.do(clerk.ledger.book, sidecar(1, **given), stem, NOON)


async def test_the_sound_is_the_file(outside: Outside) -> None:
    client = await outside.client()
    url, _ = await one(outside, client)
    response = await client.get(url)
    assert (response.status, response.headers["Content-Type"]) == (200, "audio/wav")
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert await response.read() == SOUND
    head = await client.head(url)
    assert (head.status, head.headers["Content-Length"], await head.read()) == (200, str(len(SOUND)), b"")
    again = await client.get(url, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize(("name", "kind"), [("rec-001.flac", "audio/flac"), ("rec-001.wav", "audio/wav")])
async def test_it_is_served_as_what_it_is(outside: Outside, name: str, kind: str) -> None:
    client = await outside.client()
    await book(outside, "2026/rec-001", file=name)
    (outside.ready / "2026").mkdir()
    (outside.ready / "2026" / name).write_bytes(SOUND)
    for asked in ({}, {"Range": "bytes=0-3"}):
        response = await client.get("/v1/recordings/rec-001/audio", headers=asked)
        assert response.headers["Content-Type"] == kind
    described = await (await client.get("/openapi.json")).json()
    answers = described["paths"]["/v1/recordings/{id}/audio"]["get"]["responses"]
    assert kind in answers["200"]["content"]
    assert kind in answers["206"]["content"]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-3", 0, 3), ("76800-", 76_800, 76_803), ("-4", 76_800, 76_803), ("4-999999", 4, 76_803)],
)
async def test_a_range_is_a_part_of_it(outside: Outside, asked: str, first: int, last: int) -> None:
    client = await outside.client()
    url, _ = await one(outside, client)
    response = await client.get(url, headers={"Range": f"bytes={asked}"})
    assert (response.status, response.headers["Content-Range"]) == (206, f"bytes {first}-{last}/{len(SOUND)}")
    assert await response.read() == SOUND[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=76804-", "bytes=9-3", "bytes=0-1,5-6", "frames=0-1"])
async def test_a_range_that_cannot_be_is_416_with_the_length(outside: Outside, asked: str) -> None:
    client = await outside.client()
    url, _ = await one(outside, client)
    response = await client.get(url, headers={"Range": asked})
    await problem(response, 416, "range")
    assert response.headers["Content-Range"] == f"bytes */{len(SOUND)}"


async def test_once_a_job_has_taken_it_it_is_gone(outside: Outside) -> None:
    client = await outside.client()
    url, file = await one(outside, client)
    file.unlink()
    await problem(await client.get(url), 410, "moved")


async def test_a_recording_that_was_gone_before_anybody_knew_its_place_is_gone(outside: Outside) -> None:
    client = await outside.client()
    await book(outside, None)
    await problem(await client.get("/v1/recordings/rec-001/audio"), 410, "moved")


async def test_d10_a_link_out_of_ready_is_not_followed(outside: Outside, tmp_path: Path) -> None:
    client = await outside.client()
    url, file = await one(outside, client)
    file.unlink()
    (tmp_path / "secret").write_bytes(b"secret")
    file.symlink_to(tmp_path / "secret")
    await problem(await client.get(url), 410, "moved")


@pytest.mark.parametrize("name", ["../../secret", "..", "/etc/hostname"])
async def test_d10_a_name_that_a_job_made_up_leads_nowhere(outside: Outside, name: str) -> None:
    client = await outside.client()
    await book(outside, "2026/rec-001", file=name)
    await problem(await client.get("/v1/recordings/rec-001/audio"), 410, "moved")


async def test_without_sound_there_is_none(outside: Outside) -> None:
    client = await outside.client()
    tap = await recorded(outside, client, packets=0)
    await problem(await client.get(f"/v1/recordings/{tap['recording_id']}/audio"), 404, "no_sound")
    await problem(await client.get("/v1/recordings/nobody/audio"), 404, "no_such_recording")


async def test_of_several_files_each_is_asked_for_by_its_number(outside: Outside) -> None:
    client = await outside.client()
    parts = [{"file": f"rec-001.{number:03}.wav", "frame": 8_000 * (number - 1), "frames": 8_000} for number in (1, 2)]
    await book(outside, "2026/rec-001", file=None, parts=parts)
    (outside.ready / "2026").mkdir()
    for number in (1, 2):
        (outside.ready / "2026" / f"rec-001.{number:03}.wav").write_bytes(b"part %d" % number)
    url = "/v1/recordings/rec-001/audio"
    told = await problem(await client.get(url), 409, "several_parts")
    assert told["parts"] == [{"part": number, **part} for number, part in enumerate(parts, 1)]
    for number in (1, 2):
        assert await (await client.get(f"{url}?part={number}")).read() == b"part %d" % number
    await problem(await client.get(f"{url}?part=3"), 404, "no_such_part")


@pytest.mark.parametrize("query", ["part=0", "part=-1", "part=x", "part=²", "part=" + "9" * 50, "channel=1"])
async def test_a_query_that_means_nothing_is_refused(outside: Outside, query: str) -> None:
    client = await outside.client()
    await problem(await client.get(f"/v1/recordings/x/audio?{query}"), 400, "query")


async def test_a_disk_that_refuses_is_said(outside: Outside) -> None:
    def broken(path: str) -> Any:
        raise OSError(5, "Input/output error")

    client = await outside.client(sound=broken)
    url, _ = await one(outside, client)
    await problem(await client.get(url), 503, "no_storage")


async def test_d10_with_a_token_it_is_asked_for(outside: Outside) -> None:
    client = await outside.client(token="correct horse")
    await problem(await client.get("/v1/recordings/x/audio"), 401, "unauthorized")
