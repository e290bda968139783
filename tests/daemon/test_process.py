"""The daemon from start to stop: with a stand-in for the worker, everything else real."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.daemon.process import Daemon
from receiver.ledger.folder import Folder, FolderError
from receiver.settings import ConfigError
from tests.daemon.made import ROOT, STAND_IN, Process, settings_for


class Alive:
    """A daemon in this process, and who asks it."""

    def __init__(self, daemon: Daemon, session: aiohttp.ClientSession) -> None:
        self.daemon, self.session = daemon, session

    async def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and answer: GET, or POST where there is a body."""
        method = "GET" if body is None else "POST"
        async with self.session.request(method, self.daemon.url + path, json=body) as response:
            return response.status, await response.json(content_type=None)

    async def until_ready(self) -> None:
        """Wait until taps are accepted."""
        await self.until(lambda: self.ask("/readyz"), lambda answer: answer[0] == 200)

    async def tap(self, **body: object) -> dict[str, Any]:
        """Open one."""
        status, answer = await self.ask("/v1/taps", {"source": "any"} | body)
        assert status == 201, answer
        tap: dict[str, Any] = answer
        return tap

    async def until(self, question: Callable[[], Awaitable[Any]], right: Callable[[Any], bool]) -> Any:
        """Ask until the answer is right; return it."""
        for _ in range(2000):
            answer = await question()
            if right(answer):
                return answer
            await asyncio.sleep(0.01)
        raise AssertionError(answer)

    async def shows(self, tap: dict[str, Any], right: Callable[[Any], bool]) -> None:
        """Wait until a tap shows what is right."""
        await self.until(lambda: self.ask(f"/v1/taps/{tap['id']}"), lambda answer: right(answer[1]))


@pytest.fixture
async def alive(tmp_path: Path) -> AsyncIterator[Alive]:
    """A daemon that is ready."""
    daemon = Daemon(settings_for(tmp_path), STAND_IN)
    await daemon.start()
    async with aiohttp.ClientSession() as session:
        made = Alive(daemon, session)
        await made.until_ready()
        yield made
    await daemon.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "storage"
    made.mkdir()
    return made


@pytest.fixture
def processes(folder: Path) -> Iterator[list[Process]]:
    """Whatever daemons a test starts, none is left."""
    made: list[Process] = []
    yield made
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def send(tap: dict[str, Any], count: int = 1) -> None:
    """Datagrams to where the tap is."""
    params = tap["device"]["params"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(b"sound", (params["addr"], params["port"]))


async def test_a_tap_from_post_to_a_recording_in_ready(alive: Alive, tmp_path: Path) -> None:
    tap = await alive.tap(labels={"team": "blue"})
    assert tap["state"] == "listening"
    send(tap, 3)
    await alive.shows(tap, lambda seen: seen["state"] == "receiving")
    status, stopped = await alive.ask(f"/v1/taps/{tap['id']}/stop?wait=ready", {})
    assert (status, stopped["state"], stopped["outcome"], stopped["ending"]) == (202, "finished", "complete", "stopped")
    status, recording = await alive.ask(f"/v1/recordings/{tap['recording_id']}")
    assert (status, recording["outcome"], recording["labels"]) == (200, "complete", {"team": "blue"})


async def test_readyz_shows_workers_and_what_was_counted(alive: Alive) -> None:
    tap = await alive.tap()
    send(tap, 5)
    _, ready = await alive.until(lambda: alive.ask("/readyz"), lambda answer: answer[1]["packets"] == {"accepted": 5})
    assert ready["taps"] == {"receiving": 1}
    assert ready["workers"][0]["state"] == "ready"
    assert ready["workers"][0]["gauges"] == {"backlog": 0.0}


async def test_p3_a_killed_worker_goes_on_with_the_same_tap_and_readyz_says_so_meanwhile(alive: Alive) -> None:
    tap = await alive.tap()
    complaints: list[dict[str, str]] = []
    died = alive.daemon.recorder.roster.died

    def dying(worker: int) -> None:
        died(worker)
        complaints.append(alive.daemon.recorder.health.complaints)

    alive.daemon.recorder.roster.died = dying  # type: ignore[method-assign]
    pid = (await alive.ask("/readyz"))[1]["workers"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    await alive.until(lambda: alive.ask("/livez"), lambda answer: bool(complaints))
    send(tap, 4)  # nobody reads: the kernel queues
    await alive.until_ready()
    await alive.shows(tap, lambda seen: seen["counts"]["packets"] == 4)
    assert complaints == [{"worker 0": "restarting"}]
    ready = (await alive.ask("/readyz"))[1]
    assert ready["workers"][0]["deaths"] == 1
    assert ready["workers"][0]["pid"] != pid


async def test_p6_a_worker_that_dies_while_it_finishes_finishes_after_all(alive: Alive) -> None:
    tap = await alive.tap(labels={"standin": "die at close"})
    _, stopped = await alive.ask(f"/v1/taps/{tap['id']}/stop?wait=ready", {})
    assert (stopped["state"], stopped["outcome"]) == ("finished", "empty")


@pytest.mark.parametrize("special", ["die once", "garbage"])
async def test_p6_a_worker_that_dies_of_an_order_gets_it_again(alive: Alive, special: str) -> None:
    assert (await alive.tap(labels={"standin": special}))["state"] == "listening"


async def test_d4_a_refusal_for_want_of_storage_is_said_by_readyz_until_it_works_again(alive: Alive) -> None:
    status, answer = await alive.ask("/v1/taps", {"source": "any", "labels": {"standin": "refuse"}})
    assert (status, answer["code"]) == (503, "storage")
    status, ready = await alive.ask("/readyz")
    assert (status, ready["reasons"]) == (503, {"storage": "no space"})
    await alive.tap()
    assert (await alive.ask("/readyz"))[0] == 200


async def test_when_ports_run_out_the_daemon_lives(tmp_path: Path) -> None:
    daemon = Daemon(settings_for(tmp_path, media__max_taps=2, media__ports="27990-27991"), STAND_IN)
    await daemon.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 27990))
        async with aiohttp.ClientSession() as session:
            alive = Alive(daemon, session)
            await alive.until_ready()
            tap = await alive.tap()
            assert tap["device"]["params"]["port"] == 27991  # a port taken by somebody else: the next one
            async with session.post(daemon.url + "/v1/taps", json={"source": "any"}) as response:
                assert (response.status, (await response.json(content_type=None))["code"]) == (503, "no_port")
                assert int(response.headers["Retry-After"]) >= 1
            assert (await alive.ask("/livez"))[0] == 200
    await daemon.stop()


async def test_two_daemons_do_not_share_a_folder(alive: Alive, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="in use by another daemon"):
        await Daemon(settings_for(tmp_path), STAND_IN).start()


async def test_a_port_of_the_api_that_is_taken_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=r"http\.listen: cannot listen on"):
            await Daemon(settings_for(tmp_path, http__listen=listen), STAND_IN).start()
    Folder(tmp_path).release()  # nothing is held


async def test_a_broken_ledger_is_rebuilt_at_start(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_bytes(b"ruins" * 1000)
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "r.json").write_bytes(
        b'{"recording_id": "r", "tap_id": "t", "outcome": "complete", "ending": "stopped", "file": "r.wav"}'
    )
    daemon = Daemon(settings_for(tmp_path), STAND_IN)
    await daemon.start()
    async with aiohttp.ClientSession() as session:
        status, tap = await Alive(daemon, session).ask("/v1/taps/t")
    assert (status, tap["outcome"]) == (200, "complete")
    await daemon.stop()
    assert (tmp_path / "ledger.sqlite3.broken-1").exists()


async def test_d7_stop_ends_all_taps_with_shutdown(tmp_path: Path) -> None:
    daemon = Daemon(settings_for(tmp_path), STAND_IN)
    await daemon.start()
    async with aiohttp.ClientSession() as session:
        alive = Alive(daemon, session)
        await alive.until_ready()
        for _ in range(3):
            await alive.tap()
    assert await daemon.stop() == 0
    assert len(list((tmp_path / "ready").glob("*.json"))) == 3
    assert not list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.all)])
def test_d7_a_signal_finishes_everything_and_the_exit_status_is_0(
    number: int, folder: Path, processes: list[Process]
) -> None:
    processes.append(daemon := Process(folder))
    daemon.until_ready()
    status, tap = daemon.ask("/v1/taps", {"source": "any"})
    assert status == 201
    assert daemon.end(number) == 0
    processes.append(again := Process(folder))
    again.until_ready()
    _, seen = again.ask(f"/v1/taps/{tap['id']}")
    assert (seen["state"], seen["outcome"], seen["ending"]) == ("finished", "empty", "shutdown")
    assert again.end(number) == 0


@pytest.mark.all
def test_d7_a_second_signal_does_not_wait_for_a_worker_that_hangs(folder: Path, processes: list[Process]) -> None:
    processes.append(daemon := Process(folder, environ={"TAPDECK_DAEMON__STOP_TIMEOUT_S": "3600"}))
    daemon.until_ready()
    status, tap = daemon.ask("/v1/taps", {"source": "any", "labels": {"standin": "hang"}})
    assert status == 201
    daemon.process.send_signal(signal.SIGTERM)
    while daemon.ask("/readyz")[1]["reasons"].get("daemon") != "going down":
        assert daemon.process.poll() is None
    status, refused = daemon.ask("/v1/taps", {"source": "any"})
    assert (status, refused["code"]) == (503, "going_down")
    assert daemon.end(signal.SIGTERM) == 0
    assert daemon.said("gone")[0]["unfinished"] == 1
    processes.append(again := Process(folder))
    again.until_ready()
    _, seen = again.ask(f"/v1/taps/{tap['id']}")
    assert (seen["outcome"], seen["ending"]) == ("degraded", "recovered")


@pytest.mark.all
def test_d7_the_stop_timeout_is_kept(folder: Path, processes: list[Process]) -> None:
    processes.append(daemon := Process(folder, environ={"TAPDECK_DAEMON__STOP_TIMEOUT_S": "1"}))
    daemon.until_ready()
    assert daemon.ask("/v1/taps", {"source": "any", "labels": {"standin": "hang"}})[0] == 201
    assert daemon.end(signal.SIGTERM) == 0
    assert daemon.said("gone")[0]["unfinished"] == 1


def test_d8_sighup_takes_what_can_change_and_keeps_the_old_where_the_new_is_wrong(
    folder: Path, processes: list[Process]
) -> None:
    config = folder.parent / "tapdeck.toml"
    config.write_text('taps.direction = "both"\n')
    processes.append(daemon := Process(folder, "--config", str(config)))
    daemon.until_ready()

    def reloaded(text: str, event: str, times: int = 1) -> dict[str, Any]:
        config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        while len(daemon.said(event)) < times:
            assert daemon.process.poll() is None
        return daemon.said(event)[-1]

    new = 'taps.direction = "speak"\nhttp.token = "new"\nmedia.tick_ms = 50\n'
    done = reloaded(new, "the configuration was read anew")
    assert done["changed"] == ["http.token", "taps.direction"]
    assert daemon.said("these changes wait for a restart")[0]["names"] == ["media.tick_ms"]
    assert daemon.ask("/v1/taps")[0] == 401, "the token is asked for from now on"
    wrong = reloaded("taps.direction = 7\n", "the configuration is wrong, the old one stays")
    assert "taps.direction: expected" in wrong["mistakes"][0]
    reloaded('taps.direction = "speak"\n', "the configuration was read anew", 2)
    status, tap = daemon.ask("/v1/taps", {"source": "any"})
    assert (status, tap["direction"]) == (201, "speak")
    assert daemon.end(signal.SIGTERM) == 0


def test_d7_to_hand_over_where_nobody_keeps_anything_is_to_stop(folder: Path, processes: list[Process]) -> None:
    processes.append(daemon := Process(folder))
    daemon.until_ready()
    assert daemon.ask("/v1/taps", {"source": "any"})[0] == 201
    assert daemon.end(signal.SIGUSR1) == 0
    assert daemon.said("gone")[0]["unfinished"] == 0


def test_p6_a_daemon_killed_at_any_instant_leaves_no_tap_without_outcome(
    folder: Path, processes: list[Process]
) -> None:
    processes.append(daemon := Process(folder))
    daemon.until_ready()
    (folder / "linger").touch()
    taps = [daemon.ask("/v1/taps", {"source": "any"})[1] for _ in range(3)]
    daemon.ask(f"/v1/taps/{taps[0]['id']}/stop?wait=ready", {})
    assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    (folder / "spool" / f"{taps[2]['recording_id']}.draft").unlink()  # as if it had died before rule C1 was done
    processes.append(again := Process(folder))
    again.until_ready()
    seen = [again.ask(f"/v1/taps/{tap['id']}")[1] for tap in taps]
    assert [(tap["outcome"], tap["ending"]) for tap in seen] == [
        ("empty", "stopped"), ("degraded", "recovered"), ("degraded", "recovered"),
    ]  # fmt: skip
    assert seen[2]["problem"]["code"] == "unaccounted"
    assert (folder / "left").exists()  # the first one's worker had left before anything was repaired


async def test_p6_a_lost_ledger_comes_back_with_all_that_is_in_ready(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []
    for life in range(2):
        daemon = Daemon(settings_for(tmp_path), STAND_IN)
        await daemon.start()
        async with aiohttp.ClientSession() as session:
            alive = Alive(daemon, session)
            await alive.until_ready()
            if life == 0:
                seen.append({(await alive.tap())["id"]: "empty" for _ in range(2)})
            else:
                taps = (await alive.ask("/v1/taps"))[1]["taps"]
                seen.append({tap["id"]: tap["outcome"] for tap in taps})
        await daemon.stop()
        for name in ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"):
            (tmp_path / name).unlink(missing_ok=True)
    assert seen[0] == seen[1]


@pytest.mark.all
@pytest.mark.parametrize(("source", "lines"), [("any", 1), ("announced", 0)])
def test_b2_that_any_source_is_admitted_is_said_at_start(
    source: str, lines: int, folder: Path, processes: list[Process]
) -> None:
    processes.append(one := Process(folder, environ={"TAPDECK_MEDIA__SOURCE": source}))
    one.until_ready()
    assert len(one.said("sound of any source is admitted")) == lines


@pytest.mark.all
def test_without_its_folder_the_exit_status_is_73(folder: Path, processes: list[Process]) -> None:
    processes.append(daemon := Process(folder / "missing"))
    assert daemon.process.wait(30) == 73
    assert "does not exist; is the volume mounted?" in daemon.log.read_text()


def test_a_worker_that_can_never_start_ends_the_daemon_with_its_status(folder: Path, processes: list[Process]) -> None:
    (folder / "hopeless").touch()
    processes.append(daemon := Process(folder))
    assert daemon.process.wait(30) == 73
    assert daemon.said("a media worker cannot start")


@pytest.mark.all
def test_an_address_that_is_not_of_this_host_is_78(folder: Path, processes: list[Process]) -> None:
    processes.append(daemon := Process(folder, environ={"TAPDECK_MEDIA__BIND": "192.0.2.1"}))
    assert daemon.process.wait(30) == 78
    assert "media.bind: expected an address of this host" in daemon.log.read_text()


def test_d9_a_token_is_in_no_line_and_in_no_argument(folder: Path, processes: list[Process]) -> None:
    processes.append(daemon := Process(folder, environ={"TAPDECK_HTTP__TOKEN": "hush-hush"}))
    daemon.until_ready()
    (worker,) = daemon.ask("/readyz")[1]["workers"]
    assert daemon.ask("/v1/taps")[0] == 401
    for pid in (daemon.process.pid, worker["pid"]):
        assert b"hush-hush" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert daemon.end(signal.SIGTERM) == 0
    assert "hush-hush" not in daemon.log.read_text()


def test_the_control_process_never_imports_numpy() -> None:
    code = "import sys, receiver.daemon.process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = done.stdout.split()
    assert not [name for name in loaded if name.split(".")[0] in ("numpy", "soundfile", "cffi")]
    assert not [name for name in loaded if name.startswith(("receiver.media", "receiver.worker", "receiver.wire"))]
