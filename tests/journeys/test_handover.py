"""Rule D7 with a real daemon under a service manager that keeps descriptors: restarts, kills and stops in the middle of
calls. Every sample that was sent lies at its place, every counter is exact, and nothing of a tap is kept for longer."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver import keys
from receiver.archive.check import check
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from receiver.lab.switch.process import SwitchProcess
from tests.journeys.exchange import TOKEN, sidecar_of, tap_of, until
from tests.journeys.host import Host
from tests.journeys.servicemanager import ServiceManager
from tests.journeys.test_ws_device import Sender, heard, said, with_ws
from tests.tools import count

ROOT = Path(__file__).parents[2]
MEMORY = {"memory-0": 1}
"""What is kept while there is no tap."""
FEW = ["everything"] * 4
MANY = ["lossy", "reordered", "duplicated", "jittery", "clean"] * 40


@contextmanager
def served(folder: Path, **keys: str) -> Iterator[tuple[Host, ServiceManager]]:
    """A daemon whose manager keeps what it is given."""
    one = Host(folder, **keys)
    with ServiceManager(folder, one.command) as manager:
        manager.start()
        yield one, manager


def change(one: Host, **keys: str) -> None:
    """Other settings, for the next start."""
    kept = [line for line in one.config.read_text().splitlines() if line.partition(" ")[0] not in keys]
    one.config.write_text("\n".join([*kept, *(f"{key} = {value}" for key, value in keys.items()), ""]))


class Conversation:
    """One caller for each weather, each speaking to a tap of its own."""

    def __init__(
        self, one: Host, logs: Path, weathers: Sequence[str], seconds: float, srtp_file: Path | None = None
    ) -> None:
        logs.mkdir()
        self._one, self._logs = one, logs
        callers = tuple(Caller(id=i, seconds=seconds, weather=each) for i, each in enumerate(weathers))
        sealed = str(srtp_file) if srtp_file else None
        self._sender = SenderProcess(Plan(callers=callers, seed=3, log=str(logs), srtp_file=sealed))
        key = keys.read_file(srtp_file.read_text()) if srtp_file else None
        more = {"srtp": {"suite": key.suite, "key": keys.written(key)}} if key else {}
        self.taps = [one.post("/v1/taps", {"source": source, **more}) for source in self._sender.sources]

    def __enter__(self) -> "Conversation":
        self._sender.go([tap["uri"].partition("//")[2] for tap in self.taps])
        return self

    def __exit__(self, *_: object) -> None:
        self._sender.close()

    def go_on(self, packets: int = 20) -> None:
        """Wait until everybody has been heard with so many packets more than now."""
        before = self._packets()
        until(lambda: all(now >= then + packets for now, then in zip(self._packets(), before, strict=True)))

    def over(self) -> None:
        """Everybody has said everything."""
        assert not self._sender.wait(60.0).refused

    def stop(self) -> None:
        """End the taps, and wait until each has its outcome."""
        for wait in ("", "?wait=ready"):
            for tap in self.taps:
                self._one.post(f"/v1/taps/{tap['id']}/stop{wait}", {})

    def prove(self, ending: str = "stopped") -> None:
        """Every sample of every tap lies where it should, and every counter is true."""
        sidecars = {json.loads(path.read_bytes())["recording_id"]: path for path in self._one.sidecars()}
        assert len(sidecars) == len(self.taps)
        proofs = [prove(sidecars[tap["recording_id"]], file_of(self._logs, i), Expected(ending=ending))
                  for i, tap in enumerate(self.taps)]  # fmt: skip
        wrong = [str(proof) for proof in proofs if not proof.exact]
        assert not wrong, f"{len(wrong)} of {len(proofs)}:\n" + "\n".join(wrong[:3])
        assert all(proof.received > 0 for proof in proofs)
        assert not check(self._one.recordings)

    def _packets(self) -> list[int]:
        told = json.loads(self._one.get("/v1/taps?limit=500")[1])["taps"]
        return [tap.get("counts", {}).get("packets", 0) for tap in told]


def restart(manager: ServiceManager, one: Host) -> None:
    assert manager.restart() == 0


def restart_twice(manager: ServiceManager, one: Host) -> None:
    assert manager.restart() == 0
    assert manager.restart() == 0


def restart_with_another_window(manager: ServiceManager, one: Host) -> None:
    change(one, **{"media.window_ms": "7000"})
    assert manager.restart() == 0


def restart_with_another_window_and_back(manager: ServiceManager, one: Host) -> None:
    restart_with_another_window(manager, one)
    change(one, **{"media.window_ms": "6000"})
    assert manager.restart() == 0


def restart_with_room_for_more_taps(manager: ServiceManager, one: Host) -> None:
    change(one, **{"media.max_taps": "96"})
    assert manager.restart() == 0


def restart_with_room_for_fewer_taps(manager: ServiceManager, one: Host) -> None:
    change(one, **{"media.max_taps": "2"})
    assert manager.restart() == 0


def restart_with_another_version(manager: ServiceManager, one: Host) -> None:
    """Its columns lie elsewhere, because one has been added: the package itself is another."""
    following = one.folder / "following" / "receiver"
    shutil.copytree(ROOT / "receiver", following, ignore=shutil.ignore_patterns("__pycache__"))
    rewrite(following / "__init__.py", '__version__ = "', '__version__ = "77.')
    column = '("recording", "S36"),'
    rewrite(following / "media" / "columns.py", column, f'("of_a_later_version", "i8"), {column}')
    manager.change(PYTHONPATH=str(following.parent), PYTHONSAFEPATH="1")
    assert manager.restart() == 0
    assert json.loads(one.get("/openapi.json")[1])["info"]["version"].startswith("77.")


def rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def kill_the_main_process(manager: ServiceManager, one: Host) -> None:
    manager.kill(patient=True)


def kill_everybody(manager: ServiceManager, one: Host) -> None:
    os.kill(one.state()["workers"][0]["pid"], signal.SIGKILL)
    manager.kill()


def kill_everybody_twice(manager: ServiceManager, one: Host) -> None:
    kill_everybody(manager, one)
    kill_everybody(manager, one)


NEW_MEMORY = [
    restart_with_another_window, restart_with_another_window_and_back, restart_with_room_for_more_taps,
    restart_with_room_for_fewer_taps, restart_with_another_version,
]  # fmt: skip
MOST_UNLIKE = [restart_with_another_window, restart_with_another_version, kill_everybody]
SAME_MEMORY = [restart_twice, kill_the_main_process, kill_everybody, kill_everybody_twice]
THE_OTHERS = [blow for blow in (*NEW_MEMORY, *SAME_MEMORY) if blow not in MOST_UNLIKE]


def from_positions(one: Host) -> int:
    """How many taps the last start took from what was written down, and not from the memory itself."""
    lines = (one.folder / "service.log").read_text().splitlines()
    return int(json.loads([line for line in lines if "from_positions" in line][-1])["from_positions"])


def kept(manager: ServiceManager) -> Counter[str]:
    """How many descriptors there are of which name, whichever version of it."""
    return Counter(name.partition(".")[0] for name in manager.stored)


@pytest.mark.parametrize(
    "blow",
    [
        restart,
        *(pytest.param(blow, marks=pytest.mark.all) for blow in MOST_UNLIKE),
        *(pytest.param(blow, marks=pytest.mark.full) for blow in THE_OTHERS),
    ],
)
def test_p3_calls_go_on_and_no_sample_is_lost(tmp_path: Path, blow: Callable[[ServiceManager, Host], None]) -> None:
    with served(tmp_path) as (one, manager):
        with Conversation(one, tmp_path / "logs", FEW, seconds=count(3.0, all=7.0, full=60.0)) as talk:
            talk.go_on()
            before, old = kept(manager), manager.pid
            assert before.total() == len(FEW) + 1
            blow(manager, one)
            assert manager.pid != old
            assert kept(manager) == before
            assert from_positions(one) == (len(FEW) if blow in NEW_MEMORY else 0)
            talk.go_on()
            assert not one.sidecars()
            talk.over()
        talk.stop()
        talk.prove()
        assert kept(manager) == MEMORY
        assert manager.stop() == 0


@pytest.mark.all
def test_p3_a_tap_that_is_finishing_is_finished_by_the_next_process(tmp_path: Path) -> None:
    with served(tmp_path) as (one, manager):
        with Conversation(one, tmp_path / "logs", FEW, seconds=2.0) as talk:
            talk.over()
        for tap in talk.taps:
            one.post(f"/v1/taps/{tap['id']}/stop", {})
        assert manager.restart() == 0
        talk.stop()
        talk.prove()
        assert kept(manager) == MEMORY


@pytest.mark.all
def test_d7_a_stop_ends_all_and_nothing_is_kept(tmp_path: Path) -> None:
    with served(tmp_path) as (one, manager):
        with Conversation(one, tmp_path / "logs", FEW, seconds=2.0) as talk:
            talk.over()
        stopping = manager.times("STOPPING")
        assert manager.restart(signal.SIGTERM) == 0
        assert manager.times("STOPPING") == stopping + 1
        talk.prove(ending="shutdown")
        assert kept(manager) == MEMORY, "no tap is left for the manager to let go"
        assert not list((one.recordings / "spool").glob("*.part"))


@pytest.mark.all
def test_p6_calls_that_nobody_can_go_on_with_are_ended_by_c5_and_their_sockets_let_go(tmp_path: Path) -> None:
    """Killed as a whole, so no place was written down; and started with a memory of another shape."""
    with served(tmp_path) as (one, manager):
        with Conversation(one, tmp_path / "logs", ["clean"] * 2, seconds=6.0) as talk:
            talk.go_on(150)
            change(one, **{"media.window_ms": "7000"})
            kill_everybody(manager, one)
            for tap in talk.taps:
                told = until(lambda tap=tap: json.loads(one.get(f"/v1/taps/{tap['id']}")[1]),  # type: ignore[misc]
                             lambda told: "outcome" in told)  # fmt: skip
                assert (told["ending"], told["outcome"]) == ("recovered", "degraded")
            assert kept(manager) == MEMORY
        assert not check(one.recordings)


@pytest.mark.all
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM], ids=["handed over", "stopped"])
def test_a16_p5_a_port_that_was_given_back_rests_in_the_next_process(tmp_path: Path, number: signal.Signals) -> None:
    with served(tmp_path, **{"media.cooldown_s": "60"}) as (one, manager):
        before = one.post("/v1/taps", {"source": "any"})
        one.post(f"/v1/taps/{before['id']}/stop?wait=ready", {})
        assert manager.restart(number) == 0
        assert one.post("/v1/taps", {"source": "any"})["uri"] != before["uri"]


@pytest.mark.all
def test_d7_readiness_status_and_life_are_told(tmp_path: Path) -> None:
    with served(tmp_path) as (one, manager):
        one.post("/v1/taps", {"source": "127.0.0.1:9"})
        until(lambda: manager.status == "1 taps, 0 packets/s; ready")
        until(lambda: manager.times("WATCHDOG"))
        assert manager.times("READY") == 1
        assert one.ready()


@pytest.mark.all
def test_d7_a_tap_over_a_websocket_goes_on_at_its_uri_when_its_sender_comes_again(tmp_path: Path) -> None:
    with served(tmp_path, **with_ws("PCMU")) as (one, manager):
        tap = one.post("/v1/taps", {"device": "ws"})
        (pair,) = {*kept(manager)} - {*MEMORY}
        assert kept(manager)[pair] == 2
        sender = Sender(tap["uri"], law=0)
        asyncio.run(sender.connection(8_000))
        for blow in (restart, restart_with_another_window, kill_everybody):
            blow(manager, one)
            asyncio.run(sender.connection(8_000))
        samples, told = heard(one, tap)
        assert np.array_equal(samples[samples != 0], said_at_all(0, 4 * 8_000))
        assert told["ending"] == "stopped"
        assert kept(manager) == MEMORY
        assert tap["uri"].rpartition("/")[2] not in (tmp_path / "service.log").read_text()


def said_at_all(first: int, number: int) -> NDArray[np.int16]:
    """A sender's samples without those that are 0."""
    samples = said(first, number, 0)
    loud: NDArray[np.int16] = samples[samples != 0]
    return loud


@pytest.mark.all
@pytest.mark.parametrize(
    "blow",
    [restart, *(pytest.param(blow, marks=pytest.mark.full) for blow in (restart_with_another_window, kill_everybody))],
)
def test_d7_a_tap_on_the_relay_goes_on_in_the_same_session_and_ends_with_its_call(
    tmp_path: Path, blow: Callable[[ServiceManager, Host], None]
) -> None:
    (tmp_path / "senders").mkdir()
    with SwitchProcess(TOKEN, tmp_path / "senders") as switch:
        relay = {"relay.host": f'"{switch.url}"', "relay.project": '"lab"', "relay.token": f'"{TOKEN}"'}
        with served(tmp_path, **relay, record='[{topic = "office"}]') as (one, manager):
            until(one.ready)
            call_id = switch.ring("office", voice={"id": 3, "weather": "everything", "seconds": 8, "hang_up": True})
            tap = tap_of(one, call_id, "receiving")
            until(lambda: kept(manager), lambda kept: len(kept) == 3 and kept["relay"] == 1)
            blow(manager, one)
            tap = tap_of(one, call_id, "finished")
            assert tap["ending"] in ("relay_finished", "call_ended"), "whichever the switch says first"
            assert tap["outcome"] == "complete"
            path, _ = sidecar_of(one, tap)
            proof = prove(path, file_of(tmp_path / "senders", 3), Expected())
            assert proof.exact, str(proof)
            (session,) = switch.ask("GET", "/lab/sessions")
            assert session["sockets"] == 2, "the same session, taken up again"
            assert kept(manager) == {**MEMORY, "relay": 1}


@pytest.mark.full  # in --all a real systemd hands 200 over
@pytest.mark.parametrize("blow", [restart, restart_with_another_window, kill_everybody])
def test_p3_two_hundred_calls_go_on(
    tmp_path: Path, blow: Callable[[ServiceManager, Host], None], record_property: Callable[[str, object], None]
) -> None:
    many = {"media.max_taps": "250", "media.ports": '"20000-20999"'}
    with served(tmp_path, **many) as (one, manager):
        with Conversation(one, tmp_path / "logs", MANY, seconds=9.0) as talk:
            talk.go_on()
            began_s = time.monotonic()
            blow(manager, one)
            gap_s = time.monotonic() - began_s
            record_property("gap_s", round(gap_s, 2))
            print(f"{blow.__name__}, {len(MANY)} taps: ready again after {gap_s:.2f} s")
            talk.go_on()
            talk.over()
        talk.stop()
        talk.prove()
        assert kept(manager) == MEMORY
