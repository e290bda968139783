"""Rule D7 with a real daemon under a service manager that keeps descriptors: restarts, kills and stops in the middle of
calls. Every sample that was sent lies at its place, every counter is exact, and nothing of a tap is kept for longer."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from receiver.archive.check import check
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from tests.journeys.exchange import until
from tests.journeys.host import Host
from tests.journeys.servicemanager import ServiceManager
from tests.tools import count

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

    def __init__(self, one: Host, logs: Path, weathers: Sequence[str], seconds: float) -> None:
        logs.mkdir()
        self._one, self._logs = one, logs
        callers = tuple(Caller(id=i, seconds=seconds, weather=each) for i, each in enumerate(weathers))
        self._sender = SenderProcess(Plan(callers=callers, seed=3, log=str(logs)))
        self.taps = [one.post("/v1/taps", {"source": source}) for source in self._sender.sources]

    def __enter__(self) -> "Conversation":
        self._sender.go([tap["uri"].removeprefix("rtp://") for tap in self.taps])
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

    def prove(self, ending: str = "stopped", only: Callable[[dict[str, Any]], bool] = lambda _: True) -> None:
        """Every sample of every tap lies where it should, and every counter is true."""
        sidecars = {json.loads(path.read_bytes())["recording_id"]: path for path in self._one.sidecars()}
        assert len(sidecars) == len(self.taps)
        proofs = [prove(sidecars[tap["recording_id"]], file_of(self._logs, i), Expected(ending=ending))
                  for i, tap in enumerate(self.taps)]  # fmt: skip
        wrong = [str(proof) for proof in proofs if not proof.exact]
        assert not wrong, f"{len(wrong)} of {len(proofs)}:\n" + "\n".join(wrong[:3]) + self._one.log()
        assert all(proof.received > 0 for proof in proofs)
        assert not check(self._one.recordings)

    def _packets(self) -> list[int]:
        told = json.loads(self._one.get("/v1/taps?limit=500")[1])["taps"]
        return [tap.get("counts", {}).get("packets", 0) for tap in told]


def restart(manager: ServiceManager, one: Host) -> None:
    manager.restart()


def restart_twice(manager: ServiceManager, one: Host) -> None:
    manager.restart()
    manager.restart()


def restart_with_another_window(manager: ServiceManager, one: Host) -> None:
    change(one, **{"media.window_ms": "7000"})
    manager.restart()


def restart_with_another_window_and_back(manager: ServiceManager, one: Host) -> None:
    restart_with_another_window(manager, one)
    change(one, **{"media.window_ms": "6000"})
    manager.restart()


def restart_with_room_for_more_taps(manager: ServiceManager, one: Host) -> None:
    change(one, **{"media.max_taps": "96"})
    manager.restart()


def restart_with_room_for_fewer_taps(manager: ServiceManager, one: Host) -> None:
    change(one, **{"media.max_taps": "2"})
    manager.restart()


def kill_the_main_process(manager: ServiceManager, one: Host) -> None:
    manager.kill(workers=False)


def kill_everybody(manager: ServiceManager, one: Host) -> None:
    manager.kill(workers=True)


def kill_everybody_twice(manager: ServiceManager, one: Host) -> None:
    kill_everybody(manager, one)
    kill_everybody(manager, one)


BLOWS = [
    restart_twice, restart_with_another_window, restart_with_another_window_and_back, restart_with_room_for_more_taps,
    restart_with_room_for_fewer_taps, kill_the_main_process, kill_everybody, kill_everybody_twice,
]  # fmt: skip


@pytest.mark.parametrize("blow", [restart, *(pytest.param(blow, marks=pytest.mark.all) for blow in BLOWS)])
def test_p3_calls_go_on_and_no_sample_is_lost(tmp_path: Path, blow: Callable[[ServiceManager, Host], None]) -> None:
    with served(tmp_path) as (one, manager):
        with Conversation(one, tmp_path / "logs", FEW, seconds=count(5.0, all=9.0, full=60.0)) as talk:
            talk.go_on()
            assert sum(manager.kept.values()) == len(FEW) + 1
            before, old = manager.kept, manager.pid
            blow(manager, one)
            assert manager.pid != old
            assert manager.kept == before
            talk.go_on()
            assert len([*one.sidecars()]) == 0
            talk.over()
        talk.stop()
        talk.prove()
        assert manager.kept == MEMORY
        manager.stop()
