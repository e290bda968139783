"""One call, recorded from dial to hang-up without a daemon: control and one worker for as long as it lasts."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from receiver.api.views import sound_of
from receiver.control.call import Call
from receiver.control.codecs import law_of
from receiver.control.errors import RelayAway, RelayError
from receiver.control.taps import FINAL, SECOND, State, Tap, Wish, opening_ns
from receiver.daemon.recorder import Recorder
from receiver.endpoints import unheard_by_the_relay
from receiver.settings import ConfigError, Settings

READY_S: Final = 30.0
HEARD_S: Final = 10.0  # until the first packet, before one goes on all the same: the recording says what came

log = structlog.get_logger("call")


class NotRecorded(Exception):
    """The call was made, or could not be, and there is no recording of it (exit 1)."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Asked(NamedTuple):
    """Whom to call, what to record of it and for how long, what to say when that is done."""

    to: str
    from_: str
    direction: str
    seconds: float
    say: str | None


class Recorded(NamedTuple):
    """How it ended. ``path`` is the sidecar's or, where there is sound, the sound's."""

    tap_id: str
    recording_id: str
    call_id: str
    outcome: str
    ending: str
    problem: str | None
    path: Path | None


async def record(
    settings: Settings, asked: Asked, stop: "asyncio.Future[None]", progress: Callable[[str], None]
) -> Recorded:
    """Dial, tap, wait, stop, speak, hang up. ``stop`` done: as if the time were up.

    Raises `NotRecorded`, `DialFailed`, `RelayDenied`, `RelayAway`, `ConfigError`, `FolderError`, `NotNow`.
    """
    _require(settings)
    recorder = Recorder(settings)
    await recorder.open()
    try:
        recorder.start()
        return await _record(recorder, settings, asked, stop, progress)
    finally:
        await recorder.finish(settings.daemon.stop_timeout_s)
        await recorder.close(leaving_s=3.0)


def _require(settings: Settings) -> None:
    if not settings.relay.on:
        raise ConfigError(["relay.project, relay.token: expected the project's id and its token; found none"])
    if wrong := unheard_by_the_relay(settings.media.advertised, settings.media.bind):
        raise ConfigError([wrong])


async def _record(
    recorder: Recorder, settings: Settings, asked: Asked, stop: "asyncio.Future[None]", progress: Callable[[str], None]
) -> Recorded:
    assert recorder.relay is not None
    client = recorder.relay.client
    progress("connecting")
    await client.until_up(READY_S)
    await _until_ready(recorder)
    progress(f"calling {asked.to}")
    call = await client.dial_phone(to=asked.to, from_=asked.from_)
    try:
        tap = await recorder.roster.ask(_wish(settings, asked, call))
        progress("recording")
        await _listen(recorder, tap, asked.seconds, stop)
        progress("finishing")
        recorder.roster.stop(tap)
        await recorder.roster.until(tap, FINAL, settings.daemon.stop_timeout_s)
        if asked.say is not None and not call.has_ended and not stop.done():
            progress("speaking")
            await _speak(call, asked.say)
    finally:
        with suppress(RelayAway, RelayError):
            await call.hangup()
    return await _told(recorder, tap, call)


def _wish(settings: Settings, asked: Asked, call: Call) -> Wish:
    taps = settings.taps
    return Wish(
        law=law_of(taps.codec, settings.media.opus_payload_type), ptime=taps.ptime_ms, direction=asked.direction,
        labels={}, layout=taps.layout if asked.direction == "both" else "mono",
        policy=settings.media.source, announced=None, source=None, call_id=call.call_id, node_id=call.node_id, own=True,
    )  # fmt: skip


async def _until_ready(recorder: Recorder) -> None:
    failed = recorder.crew.failed
    await _either(recorder.records.wait(), failed, READY_S)
    if failed.done():
        raise NotRecorded(f"the media worker cannot start (status {failed.result()})", "the log says why")


async def _listen(recorder: Recorder, tap: Tap, seconds: float, stop: "asyncio.Future[None]") -> None:
    """Until the time is up, counted from the first packet; or somebody says stop; or the tap or the call ends."""
    until = recorder.roster.until
    await _either(until(tap, {State.RECEIVING, State.FINISHING}, HEARD_S + opening_ns(tap) / SECOND), stop)
    await _either(until(tap, {State.FINISHING}, seconds), stop)


async def _either(work: Coroutine[Any, Any, Any], stop: "asyncio.Future[Any]", limit_s: float | None = None) -> None:
    """Wait for the one or the other."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task, stop], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _speak(call: Call, text: str) -> None:
    try:
        await call.play_tts(text)
    except (RelayAway, RelayError) as error:
        log.warning("the text was not spoken", why=str(error))


async def _told(recorder: Recorder, tap: Tap, call: Call) -> Recorded:
    if tap.outcome is None:
        raise NotRecorded("the recording is not finished yet", "the next start of `tapdeck run` finishes it")
    row = await recorder.clerk.do(recorder.clerk.ledger.recording, tap.recording_id)
    below = sound_of(row) if row is not None else None
    return Recorded(
        tap_id=tap.id,
        recording_id=tap.recording_id,
        call_id=call.call_id,
        outcome=tap.outcome,
        ending=tap.ending or "",
        problem=tap.problem.message if tap.problem else None,
        path=recorder.folder.path / "ready" / below if below else None,
    )
