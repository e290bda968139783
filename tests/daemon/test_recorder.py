"""All that records, put together and taken apart; that it records is told by the daemon's tests and the journeys."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from receiver.control.relay import Credentials
from receiver.control.taps import FINAL
from receiver.daemon.berths import Berths
from receiver.daemon.estate import Estate
from receiver.daemon.recorder import Recorder
from receiver.ledger.folder import Folder, FolderError
from receiver.ledger.store import Ledger
from receiver.net.ports import Ports
from receiver.settings import ConfigError
from tests.control.made import WISH
from tests.control.relaypeer import RelayPeer
from tests.daemon.made import STAND_IN, settings_for
from tests.daemon.test_estate import Service, row, service

__all__ = ["service"]  # a fixture


def sockets() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def test_it_runs_records_and_leaves_nothing(tmp_path: Path) -> None:
    before = sockets()
    relay = {"relay__project": "p", "relay__token": "t"}
    recorder = Recorder(settings_for(tmp_path, **relay), STAND_IN, RelayPeer())
    await recorder.open()
    recorder.start()
    async with asyncio.timeout(30):
        await recorder.records.wait()
    tap = await recorder.roster.open(WISH)
    assert recorder.relay is not None
    await recorder.relay.client.until_up(10)
    await recorder.finish(10)
    assert tap.state in FINAL
    assert tap.ending == "shutdown"
    assert await recorder.close(3) == 0
    Folder(tmp_path).release()
    assert sockets() <= before + 1  # the loop's own


async def test_what_a_worker_counted_from_its_start_outlives_it(tmp_path: Path) -> None:
    recorder = Recorder(settings_for(tmp_path), STAND_IN)
    await recorder.open()
    recorder.counters.note(0, {}, {"late_ticks": 3})
    recorder.died(0)
    recorder.counters.note(0, {}, {"late_ticks": 1})
    assert recorder.counters.total("late_ticks") == 4
    await recorder.close()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"media__bind": "203.0.113.77"}, "media.bind"),
        ({"relay__project": "p", "relay__token": "t", "relay__ca_file": "/nowhere"}, "relay.ca_file"),
        ({"ws__uri": "wss://x", "ws__certificate": __file__, "ws__key": __file__}, "ws.certificate"),
    ],
)
async def test_what_cannot_be_leaves_the_folder_free(tmp_path: Path, keys: dict[str, str], said: str) -> None:
    given = {"ws__listen": "127.0.0.1:0", **keys} if "ws__uri" in keys else keys
    recorder = Recorder(settings_for(tmp_path, **given), STAND_IN)
    with pytest.raises(ConfigError, match=said):
        await recorder.open()
    Folder(tmp_path).release()


async def test_a_ws_door_that_is_taken_is_said_with_its_key(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        recorder = Recorder(settings_for(tmp_path, ws__listen=where, ws__uri="wss://x"), STAND_IN)
        with pytest.raises(ConfigError, match=r"ws\.listen: cannot listen on"):
            await recorder.open()
    Folder(tmp_path).release()


async def test_d7_a_start_that_fails_leaves_the_sockets_with_the_manager(tmp_path: Path, service: Service) -> None:
    berth = Berths(Ports("127.0.0.1", 29_000, 29_999, cooldown_s=0), None, service.manager()).take(WISH)
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.ask(row(1, berth.number))
    ledger.close()
    estate = Estate(service.manager(), {str(berth.number): [os.dup(berth.socket.fileno())]})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = settings_for(tmp_path, ws__listen=where, ws__uri="wss://x")
        with pytest.raises(ConfigError, match=r"ws\.listen"):
            await Recorder(settings, STAND_IN, estate=estate).open()
    assert set(service.take().kept) == {str(berth.number)}
    berth.release()


async def test_a_folder_that_somebody_has_is_not_ours(tmp_path: Path) -> None:
    held = Folder(tmp_path)
    with pytest.raises(FolderError, match="in use"):
        await Recorder(settings_for(tmp_path), STAND_IN).open()
    held.release()


def test_d9_a_recorder_holds_its_keys_where_nobody_sees_them() -> None:
    assert "PTsecret" not in repr(Credentials("p", "PTsecret"))
