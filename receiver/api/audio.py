"""The sound of a recording, as long as it lies in ``ready/``."""

import asyncio
import os
from http import HTTPStatus
from typing import Any, BinaryIO

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from receiver.api import bodies
from receiver.api.house import HOUSE, House
from receiver.api.problems import Trouble, bad, document
from receiver.api.views import wavs_of
from receiver.ledger.rows import RecordingRow

routes = web.RouteTableDef()


class Sound(web.FileResponse):
    """A file that is open already: who it is cannot change any more, whatever happens to its name."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        kind = "audio/flac" if name.endswith(".flac") else "audio/wav"
        super().__init__(f"/proc/self/fd/{file.fileno()}", headers={"Content-Type": kind})
        self._file = file

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it, all or a range."""
        try:
            return await super().prepare(request)
        finally:
            self._file.close()


@routes.get("/v1/recordings/{id}/audio")
async def play(request: web.Request) -> web.StreamResponse:
    """The WAV or FLAC, or a range of its octets. One in several files is asked for by ``?part=N``, from 1 on."""
    house = request.app[HOUSE]
    part = _part(dict(request.query))
    row = await house.clerk.do(house.clerk.ledger.recording, request.match_info["id"])
    if row is None:
        raise Trouble(404, "no_such_recording", "no recording has this id")
    wavs = wavs_of(row)
    if wavs == []:
        raise Trouble(404, "no_sound", f"the recording is {row.summary.outcome}: there is no sound", "see its problem")
    if wavs is None:
        raise _moved()
    if part is None and len(wavs) > 1:
        return _several(row)
    if part is not None and part > len(wavs):
        raise Trouble(404, "no_such_part", f"part: expected a number from 1 to {len(wavs)}, found {part}")
    name = wavs[(part or 1) - 1]
    file = await _open(house, name)
    octets = os.fstat(file.fileno()).st_size
    if not _is_satisfiable(request, octets):
        file.close()
        answer = document(416, "range", f"Range: expected bytes=FIRST-LAST within {octets} octets")
        answer.headers["Content-Range"] = f"bytes */{octets}"
        return answer
    return Sound(file, name)


async def _open(house: House, path: str) -> BinaryIO:
    try:
        return await asyncio.to_thread(house.sound, path)
    except FileNotFoundError:
        raise _moved() from None
    except OSError as error:
        raise Trouble(503, "no_storage", f"the recording cannot be read: {error.strerror}", "see /readyz") from error


def _part(query: dict[str, str]) -> int | None:
    part = query.pop("part", None)
    bodies.nothing_else(query)
    if part is None:
        return None
    if not (part.isascii() and part.isdigit() and len(part) < 9 and int(part)):
        raise bad("query", f"part: expected a number from 1 on, found {part!r}")
    return int(part)


def _moved() -> Trouble:
    return Trouble(HTTPStatus.GONE, "moved", "the recording does not lie in ready/ any more", "a job has taken it")


def _several(row: RecordingRow) -> web.Response:
    """Name the parts: which sound is wanted cannot be guessed, and one file of them all does not exist."""
    told = ("file", "frame", "frames", "bytes", "sha256", "encoding")
    parts: list[dict[str, Any]] = [
        {"part": number, **{name: part[name] for name in told if name in part}}
        for number, part in enumerate(row.summary.parts, 1)
    ]
    detail = f"the recording is in {len(parts)} files: ask for each by ?part=1 to {len(parts)}"
    return document(HTTPStatus.CONFLICT, "several_parts", detail, parts=parts)


def _is_satisfiable(request: web.Request, octets: int) -> bool:
    try:
        first = request.http_range.start
    except ValueError:
        return False
    return first is None or first < octets
