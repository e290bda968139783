"""The door for taps over a WebSocket: real clients, real sockets. Who comes in, where the sound goes, how it ends."""

import asyncio
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import structlog
from aiohttp import WSMsgType

from receiver.control import wsdevice, wstalk
from receiver.control.wsdevice import WsDoor, digest_of
from receiver.net.pair import Pair, open_pair
from tests.tools import needs

BOUND_S = 20.0
HUGE = 100 << 20


@pytest.fixture
async def door() -> AsyncIterator[WsDoor]:
    one = WsDoor("wss://media.example.net/taps/")
    await one.start("127.0.0.1", 0)
    yield one
    await one.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=BOUND_S)) as one:
        yield one


@pytest.fixture
def pair() -> Iterator[Pair]:
    one = open_pair()
    yield one
    one.close()


def here(door: WsDoor, uri: str) -> str:
    """The URI as it is reached without what stands in front of the host."""
    return uri.replace("wss://media.example.net", f"ws://127.0.0.1:{door.port}")


async def packet(pair: Pair) -> bytes:
    """The next one at the reader."""
    async with asyncio.timeout(BOUND_S):
        return await asyncio.get_running_loop().sock_recv(pair.socket, 2_000)


async def sound(pair: Pair, octets: int) -> bytes:
    """So many octets of payload."""
    got = b""
    while len(got) < octets:
        got += (await packet(pair))[12:]
    return got


async def counted(door: WsDoor, what: str) -> None:
    """Until one is."""
    async with asyncio.timeout(BOUND_S):
        while not door.counts[what]:  # noqa: ASYNC110  # a counter has no event
            await asyncio.sleep(0)


async def goodbye(connection: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """How the other side closes."""
    message = await connection.receive(BOUND_S)
    assert message.type is WSMsgType.CLOSE, message
    return message.data, str(message.extra)


@pytest.mark.parametrize("law", [0, 8])
async def test_what_is_sent_in_binary_frames_comes_out_as_rtp(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair, law: int
) -> None:
    uri = door.expect(law, pair.writer)
    assert uri.startswith("wss://media.example.net/taps/")
    assert len(uri.rpartition("/")[2]) == 32
    said = os.urandom(5_000)
    async with client.ws_connect(here(door, uri), headers={"Authorization": "whatever"}) as connection:
        for at in range(0, 5_000, 700):
            await connection.send_bytes(said[at : at + 700])
        await connection.send_str("not sound")
        first = await packet(pair)
        assert first[:2] == bytes((0x80, law))
        assert first[12:] + await sound(pair, 5_000 - len(first) + 12) == said
    assert door.counts["octets"] == 5_000
    assert door.counts["frames"] == 8


async def test_every_connection_has_numbers_of_its_own(door: WsDoor, client: aiohttp.ClientSession, pair: Pair) -> None:
    uri, numbers = here(door, door.expect(0, pair.writer)), set()
    for _ in range(3):
        async with client.ws_connect(uri) as connection:
            await connection.send_bytes(b"x")
            numbers.add((await packet(pair))[2:12])
    assert len({each[6:] for each in numbers}) == len({each[2:6] for each in numbers}) == 3


@pytest.mark.parametrize("path", ["", "taps", "taps/guess", "taps/%ff%00", "x" * 4_000])
async def test_who_does_not_know_a_path_gets_404_a_count_and_no_line(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    door.expect(0, pair.writer)
    with structlog.testing.capture_logs() as said, pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(f"ws://127.0.0.1:{door.port}/{path}")
    assert refused.value.status == 404
    assert door.counts["refused"] == 1
    assert not said
    assert not caplog.records


async def test_a_plain_request_to_a_right_path_is_not_let_in(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair
) -> None:
    async with client.get(here(door, door.expect(0, pair.writer)).replace("ws://", "http://")) as answer:
        assert answer.status == 404


async def test_no_more_than_so_many_at_once(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsdevice, "MOST_CONNECTIONS", 1)
    async with client.ws_connect(here(door, door.expect(0, pair.writer))):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect(here(door, door.expect(0, pair.writer)))


async def test_the_end_of_a_tap_is_1000_and_its_path_is_unknown_then(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair
) -> None:
    uri = door.expect(0, pair.writer)
    connection = await client.ws_connect(here(door, uri))
    await connection.send_bytes(bytes(160))
    await sound(pair, 160)
    door.forget(digest_of(uri))
    door.forget(digest_of(uri))
    assert await goodbye(connection) == (1_000, "tap ended")
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.ws_connect(here(door, uri))


async def test_a_second_connection_takes_the_place_of_the_first(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair
) -> None:
    uri = here(door, door.expect(0, pair.writer))
    first = await client.ws_connect(uri)
    await first.send_bytes(b"a" * 160)
    assert await sound(pair, 160) == b"a" * 160
    second = await client.ws_connect(uri)
    await second.send_bytes(b"b" * 160)
    assert await sound(pair, 160) == b"b" * 160
    assert await goodbye(first) == (1_001, "another connection took its place")
    await second.send_bytes(b"c" * 160)
    assert await sound(pair, 160) == b"c" * 160
    assert door.counts["replaced"] == 1


async def test_a_second_connection_does_not_wait_for_a_first_that_is_half_open(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsdevice, "CLOSE_S", 5 * BOUND_S)
    uri = here(door, door.expect(0, pair.writer))
    first = await client.ws_connect(uri)  # never reads: never answers a close
    second = await client.ws_connect(uri)
    await second.send_bytes(bytes(160))
    await sound(pair, 160)
    await first.close()


async def test_going_down_is_1001_for_everybody_at_once(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair
) -> None:
    all_of_them = [await client.ws_connect(here(door, door.expect(0, pair.writer))) for _ in range(20)]
    said = asyncio.gather(*(goodbye(each) for each in all_of_them))
    await door.stop()
    assert set(await said) == {(1_001, "going down")}
    await door.stop()


async def test_nothing_is_1008(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wstalk, "FIRST_S", 0.01)
    connection = await client.ws_connect(here(door, door.expect(0, pair.writer)))
    assert await goodbye(connection) == (1_008, "nothing came")


async def test_only_text_is_1003(door: WsDoor, client: aiohttp.ClientSession, pair: Pair) -> None:
    connection = await client.ws_connect(here(door, door.expect(0, pair.writer)))
    for _ in range(64):
        await connection.send_str("{}")
    assert await goodbye(connection) == (1_003, "only text came")


async def test_a_frame_of_64_kib_less_one_is_taken(door: WsDoor, client: aiohttp.ClientSession, pair: Pair) -> None:
    uri = door.expect(0, pair.writer)
    connection = await client.ws_connect(here(door, uri))
    await connection.send_bytes(bytes(wsdevice.LONGEST_FRAME - 1))
    await counted(door, "octets")
    door.forget(digest_of(uri))  # or it would take the eight seconds that it lasts
    await sound(pair, wsdevice.LONGEST_FRAME - 1)
    await goodbye(connection)


async def test_a_frame_of_100_mb_is_1009_and_never_held(door: WsDoor, pair: Pair) -> None:
    path = here(door, door.expect(0, pair.writer)).partition(f":{door.port}")[2]
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    writer.write(bytes((0x82, 0x80 | 127)) + HUGE.to_bytes(8) + bytes(4))
    chunk = bytes(64 * 1024)
    try:
        for _ in range(HUGE // len(chunk)):
            writer.write(chunk)
            await asyncio.wait_for(writer.drain(), BOUND_S)
    except ConnectionError:
        pass  # they will not have it
    writer.close()
    await counted(door, "too_long")
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 5 * 1024


async def test_a_frame_that_is_too_long_is_told_so(door: WsDoor, client: aiohttp.ClientSession, pair: Pair) -> None:
    connection = await client.ws_connect(here(door, door.expect(0, pair.writer)))
    await connection.send_bytes(bytes(wsdevice.LONGEST_FRAME))
    assert (await goodbye(connection))[0] == 1_009
    await counted(door, "too_long")
    assert door.counts["octets"] == 0


async def test_a_worker_that_is_away_is_counted_and_never_raised(
    door: WsDoor, client: aiohttp.ClientSession, pair: Pair
) -> None:
    uri = here(door, door.expect(0, pair.writer))
    pair.socket.close()
    async with client.ws_connect(uri) as connection:
        for _ in range(5):
            await connection.send_bytes(bytes(160))
        await counted(door, "send_failed")
        assert not connection.closed


async def test_the_secret_shows_nowhere(door: WsDoor, client: aiohttp.ClientSession, pair: Pair) -> None:
    uri = door.expect(0, pair.writer)
    secret = uri.rpartition("/")[2]
    with structlog.testing.capture_logs() as said:
        connection = await client.ws_connect(here(door, uri))
        for _ in range(64):
            await connection.send_str(secret)
        await goodbye(connection)
    assert said
    shown = f"{said} {door!r} {vars(door)} {[vars(each) for each in door._expected.values()]}"
    assert secret not in shown


async def test_two_doors_and_a_taken_port_is_an_oserror(door: WsDoor) -> None:
    other = WsDoor("ws://127.0.0.1/x")
    with pytest.raises(OSError, match="address already in use"):
        await other.start("127.0.0.1", door.port)
    await other.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A certificate of our own, and its key."""
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    names = ("-subj", "/CN=localhost", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate"))
    subprocess.run([*made, *names], check=True, capture_output=True)
    return str(tmp_path / "certificate"), str(tmp_path / "key")


@needs("openssl")
async def test_with_a_certificate_it_speaks_tls(
    client: aiohttp.ClientSession, pair: Pair, certificate: tuple[str, str]
) -> None:
    door = WsDoor("wss://media.example.net/taps")
    await door.start("127.0.0.1", 0, *certificate)
    uri = here(door, door.expect(0, pair.writer)).replace("ws://", "wss://")
    async with client.ws_connect(uri, ssl=False) as connection:
        await connection.send_bytes(b"y" * 160)
        assert await sound(pair, 160) == b"y" * 160
    await door.stop()


async def test_compression_is_not_taken_up(door: WsDoor, client: aiohttp.ClientSession, pair: Pair) -> None:
    async with client.ws_connect(here(door, door.expect(0, pair.writer)), compress=15) as connection:
        assert connection.compress == 0
