"""One connection of a sender, in virtual time: what is gathered, what waits, when it is given up, what is left over."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMessage, WSMsgType

from receiver.control.wstalk import FIRST_S, MOST_TEXTS, Talk
from tests import virtual

CLOSED = WSMessage(WSMsgType.CLOSED, None, None)


class Connection:
    """What aiohttp's is to a talk. A ``receive`` that is cut off loses nothing."""

    def __init__(self) -> None:
        self.closed, self.close_code = False, None
        self.goodbye: tuple[int, bytes] | None = None
        self._inbox: asyncio.Queue[WSMessage] = asyncio.Queue()

    def brings(self, *frames: bytes | str | WSMessage) -> None:
        for frame in frames:
            if isinstance(frame, WSMessage):
                self._inbox.put_nowait(frame)
            else:
                kind = WSMsgType.TEXT if isinstance(frame, str) else WSMsgType.BINARY
                self._inbox.put_nowait(WSMessage(kind, frame, None))

    async def receive(self) -> WSMessage:
        if self.closed:
            return CLOSED
        message = await self._inbox.get()
        self.closed = message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        return message

    async def close(self, *, code: int, message: bytes) -> None:
        self.closed, self.goodbye = True, (code, message)


class Case:
    """A talk with a connection, and the packets that were written, each with its moment in seconds."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        assert isinstance(self.loop, virtual.VirtualLoop)
        self.connection, self.counts = Connection(), Counter[str]()
        self.packets: list[tuple[float, bytes]] = []
        self.refuses = False
        connection: aiohttp.web.WebSocketResponse = self.connection  # type: ignore[assignment]
        self.talk = Talk(connection, 0, self, self.counts, self.loop.time_ns)  # type: ignore[arg-type]

    def send(self, packet: bytes) -> None:
        """As the writer's socket."""
        if self.refuses:
            raise ConnectionRefusedError
        self.packets.append((self.loop.time() - virtual.BEGIN_S, packet))

    @property
    def said(self) -> bytes:
        return b"".join(packet[12:] for _, packet in self.packets)

    def silences(self) -> list[int]:
        """Octets of time without sound between one packet and the next."""
        times = [(int.from_bytes(packet[4:8]), len(packet) - 12) for _, packet in self.packets]
        steps = [(b[0] - a[0] - a[1]) % (1 << 32) for a, b in pairwise(times)]
        return [step for step in steps if step]

    async def live(self, seconds: float, frame: int = 160) -> None:
        """A sender in real time."""
        for _ in range(round(seconds * 8_000 / frame)):
            await asyncio.sleep(frame / 8_000)
            self.connection.brings(bytes(frame))


def run(sender: Callable[[Case], Awaitable[None]]) -> Case:
    """A talk from its begin to its end."""

    async def both() -> Case:
        case = Case()
        async with asyncio.timeout(1_000):
            await asyncio.gather(case.talk.hear(), sender(case))
        return case

    return virtual.run(both())


@pytest.mark.parametrize("frame", [1, 8, 79])
def test_small_frames_are_gathered_so_that_the_worker_keeps_up(frame: int) -> None:
    async def sender(case: Case) -> None:
        await case.live(2, frame)
        case.connection.brings(CLOSED)

    case = run(sender)
    assert len(case.said) == round(2 * 8_000 / frame) * frame
    assert len(case.packets) <= 2 * 101 + 2, "more than a hundred a second; the worker reads 640"
    assert case.silences() == []


def test_an_odd_octet_is_not_kept_for_ever() -> None:
    async def sender(case: Case) -> None:
        case.connection.brings(b"abc")
        await asyncio.sleep(0.5)
        assert case.said == b"abc"
        case.connection.brings(CLOSED)

    run(sender)


def test_a_stall_and_its_burst_leave_no_gap_even_if_tcp_begins_again_slowly() -> None:
    async def sender(case: Case) -> None:
        await case.live(2)
        await asyncio.sleep(5)
        for segments in (1, 2, 4, 8, 16):  # a round trip each
            case.connection.brings(*[bytes(1_448)] * segments)
            await asyncio.sleep(0.1)
        await case.live(0.5)
        case.connection.brings(CLOSED)

    case = run(sender)
    burst_s = 31 * 1_448 / 8_000
    assert case.silences() == []
    assert burst_s > 5, "the case is about a burst as long as the stall"


def test_a_pause_is_silence_of_its_length_and_what_follows_is_not_held_for_long() -> None:
    async def sender(case: Case) -> None:
        await case.live(1)
        await asyncio.sleep(5)
        await case.live(1)
        case.connection.brings(CLOSED)

    case = run(sender)
    assert case.silences() == [pytest.approx(5 * 8_000, abs=8)]
    resumed_s = next(at for at, _ in case.packets if at > 3)
    assert resumed_s == pytest.approx(1 + 5 + 0.02 + 0.2, abs=0.05)


def test_sound_that_runs_ahead_waits_and_is_all_there_in_the_end() -> None:
    async def sender(case: Case) -> None:
        case.connection.brings(*[bytes(8_000)] * 10)  # ten seconds at once
        await asyncio.sleep(3)
        assert 3 <= len(case.said) / 8_000 <= 3 + 1.2
        await asyncio.sleep(8)
        case.connection.brings(CLOSED)

    assert len(run(sender).said) == 80_000


def test_a_goodbye_hands_on_what_waits_before_it_closes() -> None:
    async def sender(case: Case) -> None:
        case.connection.brings(*[bytes(8_000)] * 5)
        await asyncio.sleep(1)
        assert len(case.said) < 20_000
        case.talk.leave(WSCloseCode.OK, b"tap ended")
        case.talk.leave(WSCloseCode.GOING_AWAY, b"too late to say something else")

    case = run(sender)
    assert len(case.said) == 40_000
    assert case.connection.goodbye == (1_000, b"tap ended")
    assert case.packets[-1][0] < 1.1


def test_a_goodbye_before_the_beginning_is_said_at_once() -> None:
    async def sender(case: Case) -> None:
        case.talk.leave(WSCloseCode.GOING_AWAY, b"going down")

    assert run(sender).connection.goodbye == (1_001, b"going down")


def test_a_goodbye_while_a_burst_is_gathered_loses_none_of_it() -> None:
    async def sender(case: Case) -> None:
        await case.live(1)
        await asyncio.sleep(3)
        case.connection.brings(bytes(20_000))
        await asyncio.sleep(0.05)
        assert len(case.said) == 8_000, "it is still gathered"
        case.talk.leave(WSCloseCode.OK, b"tap ended")

    assert len(run(sender).said) == 28_000


def test_nothing_is_1008_after_thirty_seconds() -> None:
    async def sender(case: Case) -> None:
        case.connection.brings(b"", b"")  # empty frames are nothing
        await asyncio.sleep(FIRST_S - 1)
        assert case.connection.goodbye is None

    case = run(sender)
    assert case.connection.goodbye == (1_008, b"nothing came")
    assert case.counts["silent"] == 1


def test_only_text_is_1003_after_thirty_seconds_or_64_of_them() -> None:
    async def slow(case: Case) -> None:
        case.connection.brings("hello")

    async def quick(case: Case) -> None:
        case.connection.brings(*["hello"] * (MOST_TEXTS - 1))
        await asyncio.sleep(1)
        assert case.connection.goodbye is None
        case.connection.brings("hello")
        await asyncio.sleep(1)
        assert case.connection.goodbye is not None

    for sender, texts in ((slow, 1), (quick, MOST_TEXTS)):
        case = run(sender)
        assert case.connection.goodbye == (1_003, b"only text came")
        assert case.counts["text_frames"] == texts


def test_text_between_sound_is_skipped_and_silence_after_sound_is_not_judged() -> None:
    async def sender(case: Case) -> None:
        case.connection.brings("{}", bytes(160), *["{}"] * 100)
        await asyncio.sleep(600)
        assert case.connection.goodbye is None
        case.connection.brings(bytes(160), CLOSED)

    case = run(sender)
    assert len(case.said) == 320
    assert case.counts["text_frames"] == 101


def test_a_peer_that_goes_by_itself_is_no_complaint() -> None:
    async def sender(case: Case) -> None:
        case.connection.brings(CLOSED)

    case = run(sender)
    assert case.connection.goodbye is None
    assert not case.counts


def test_a_writer_that_refuses_is_counted_and_the_time_goes_on() -> None:
    async def sender(case: Case) -> None:
        await case.live(1)
        case.refuses = True
        await case.live(1)
        case.refuses = False
        await case.live(1)
        case.connection.brings(CLOSED)

    case = run(sender)
    assert case.counts["send_failed"] == 50
    assert case.silences() == [8_000]
