"""The crew: workers are started by exec, watched, and started again with what they had and nothing else."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from receiver import crew as crews
from receiver import link
from receiver.crew import Crew
from receiver.keys import Key

STAND_IN = (sys.executable, str(Path(__file__).with_name("standin_worker.py")))


def configure(directory: Path, index: int = 0, **given: object) -> link.Configure:
    return link.Configure(
        index=index, taps=8, tick_ns=10**8, horizon=3200, window=48_000, commit_interval_ns=10**9, segment_frames=0,
        directory=str(directory), name=str(given.get("name", "{recording_id}")), encoding="pcm16", policy="any",
        allow=[], events_payload_type=101, repair=True,
    )  # fmt: skip


def opening(slot: int, special: str = "") -> link.Open:
    return link.Open(
        slot=slot, tap_id=f"t{slot}", recording_id=f"r{slot}", port=1, law=0, policy="any", announced=None, held=False,
        requested_at_ns=1, call_id=None, node_id=None, labels={"standin": special}, direction="both", layout="mono",
    )  # fmt: skip


class Owner:
    """Remembers what it is told; owns what the tests give it."""

    def __init__(self) -> None:
        self.owned: list[tuple[link.ToWorker, Sequence[int]]] = []
        self.story: list[str] = []
        self.heard: list[link.ToControl] = []
        self.kept: list[int] = []
        self.asked_who_lives = 0
        self._news = asyncio.Event()

    def keys(self, worker: int) -> dict[str, Key]:
        return {}

    def living(self, worker: int) -> dict[str, int]:
        self.asked_who_lives += 1
        return {}

    def keep(self, worker: int, memory: int) -> None:
        self.kept.append(memory)

    def belongings(self, worker: int) -> Iterator[tuple[link.ToWorker, Sequence[int]]]:
        self._tell(f"asked {worker}")
        yield from self.owned

    def began(self, worker: int) -> None:
        self._tell(f"began {worker}")

    def died(self, worker: int) -> None:
        self._tell(f"died {worker}")

    def hear(self, worker: int, message: link.ToControl) -> None:
        self.heard.append(message)
        self._news.set()

    def _tell(self, what: str) -> None:
        self.story.append(what)
        self._news.set()

    async def until(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not seen():
                self._news.clear()
                await self._news.wait()

    def count(self, kind: type) -> int:
        return sum(isinstance(message, kind) for message in self.heard)


@pytest.fixture
async def owner() -> Owner:
    return Owner()


@pytest.fixture
async def crew(owner: Owner, tmp_path: Path) -> AsyncIterator[Crew]:
    made = Crew([configure(tmp_path)], owner, STAND_IN, back_off_s=(0.0,))
    made.start()
    await owner.until(lambda: "began 0" in owner.story)
    yield made
    await made.stop(10)


def told(directory: Path, index: int = 0) -> list[list[tuple[str, int]]]:
    """What each life of a worker was told: names of messages and how many descriptors came along."""
    lives: dict[int, list[tuple[str, int]]] = {}
    for line in (directory / f"told-{index}.jsonl").read_text().splitlines():
        pid, name, descriptors = json.loads(line)
        lives.setdefault(pid, []).append((name, descriptors))
    return list(lives.values())


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process point to."""
    kinds = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            kinds.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return kinds


def environment(pid: int) -> list[bytes]:
    """The environment of a process, as it was started."""
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def pid_of(crew: Crew) -> int:
    pid = crew.states()[0]["pid"]
    assert isinstance(pid, int)
    return pid


async def test_a_worker_starts_and_says_that_it_records(crew: Crew, owner: Owner, tmp_path: Path) -> None:
    assert owner.story == ["asked 0", "began 0"]
    assert [type(message) for message in owner.heard[:3]] == [link.Repaired, link.Mapped, link.Ready]
    ready = owner.heard[2]
    assert ready == link.Ready(0, pid_of(crew), True)
    assert crew.states() == [{"worker": 0, "state": "ready", "pid": pid_of(crew), "deaths": 0}]
    assert told(tmp_path) == [[("Configure", 1)]]


async def test_a_killed_worker_comes_back_with_what_it_had_and_nothing_else(
    crew: Crew, owner: Owner, tmp_path: Path
) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        crew.send(0, opening(3), [udp.fileno()])
        owner.owned = [(opening(3), [udp.fileno()])]
        await owner.until(lambda: owner.count(link.Opened) == 1)
        crew.send(0, link.Forget(7, "nobody"))
        os.kill(pid_of(crew), signal.SIGKILL)
        sender.sendto(b"while nobody reads", udp.getsockname())
        await owner.until(lambda: owner.count(link.Opened) == 2)
        await owner.until(lambda: any(isinstance(each, link.Report) and each.packets == [1] for each in owner.heard))
    assert owner.story == ["asked 0", "began 0", "died 0", "asked 0", "began 0"]
    assert [message.fresh for message in owner.heard if isinstance(message, link.Ready)] == [True, False]
    assert owner.count(link.Repaired) == 1  # rule C5 is for the start; now its parts are alive
    assert told(tmp_path)[1] == [("Configure", 1), ("Open", 1)]
    assert crew.states()[0]["deaths"] == 1


async def test_an_unanswered_close_is_asked_again(crew: Crew, owner: Owner, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        close = link.Close(2, "r2", "stopped", None)
        owner.owned = [(opening(2, "die at close"), [udp.fileno()]), (close, ())]
        for message, descriptors in owner.owned:
            crew.send(0, message, descriptors)
        await owner.until(lambda: owner.count(link.Finished) == 1)
    assert told(tmp_path)[1] == [("Configure", 1), ("Open", 1), ("Close", 0)]


async def test_the_memory_is_the_same_one_and_outlives_any_number_of_deaths(crew: Crew, owner: Owner) -> None:
    for life in range(2, 6):
        os.kill(pid_of(crew), signal.SIGKILL)
        await owner.until(lambda life=life: owner.story.count("began 0") == life)  # type: ignore[misc]
        assert os.pread(crew._members[0].memories[0], 9, 0) == bytes([life])


async def test_a_worker_that_sends_nonsense_is_replaced(crew: Crew, owner: Owner) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        crew.send(0, opening(1, "garbage"), [udp.fileno()])
        await owner.until(lambda: owner.story.count("began 0") == 2)


async def test_back_off_grows_and_is_forgotten_after_a_long_life(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    really = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await really(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    now = [0]
    crew = Crew([configure(tmp_path)], owner, STAND_IN, clock_ns=lambda: now[0])
    crew.start()
    for life in range(1, 9):
        await owner.until(lambda life=life: owner.story.count("began 0") == life)  # type: ignore[misc]
        if life == 7:
            now[0] += crews.LONG_LIFE_NS
        os.kill(pid_of(crew), signal.SIGKILL)
        await owner.until(lambda life=life: owner.story.count("died 0") == life)  # type: ignore[misc]
    await owner.until(lambda: owner.story.count("began 0") == 9)
    assert pauses == [0.0, 0.1, 0.5, 2.0, 2.0, 2.0, 0.0, 0.1]
    await crew.stop(10)


async def test_a_worker_that_says_nothing_for_too_long_is_killed(owner: Owner, tmp_path: Path) -> None:
    now = [0]
    crew = Crew([configure(tmp_path)], owner, STAND_IN, back_off_s=(0.0,), clock_ns=lambda: now[0])
    crew.start()
    await owner.until(lambda: "began 0" in owner.story)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        crew.send(0, opening(1, "hang"), [udp.fileno()])
        await owner.until(lambda: owner.count(link.Opened) == 1)
        now[0] += crews.PATIENCE_NS // 4
        crew.check()
        assert owner.story == ["asked 0", "began 0"]
        for _ in range(5):
            now[0] += crews.PATIENCE_NS // 4
            crew.check()
        await owner.until(lambda: owner.story == ["asked 0", "began 0", "died 0", "asked 0", "began 0"])
    await crew.stop(10)


async def test_who_slept_himself_does_not_blame_the_worker(owner: Owner, tmp_path: Path) -> None:
    now = [0]
    crew = Crew([configure(tmp_path)], owner, STAND_IN, clock_ns=lambda: now[0])
    crew.start()
    await owner.until(lambda: "began 0" in owner.story)
    now[0] += 100 * crews.PATIENCE_NS
    crew.check()
    reports = owner.count(link.Report)
    await owner.until(lambda: owner.count(link.Report) >= reports + 3 or "died 0" in owner.story)
    assert owner.story == ["asked 0", "began 0"]
    await crew.stop(10)
    assert "died 0" in owner.story


async def test_a_worker_that_does_not_come_up_is_killed(owner: Owner, tmp_path: Path) -> None:
    now = [0]
    command = (sys.executable, "-c", "import time; time.sleep(3600)")
    crew = Crew([configure(tmp_path, index=1)], owner, command, back_off_s=(0.0,), clock_ns=lambda: now[0])
    member = crew._members[0]
    member.configure = configure(tmp_path, index=0)
    crew._repaired = True
    crew.start()
    await owner.until(lambda: "asked 0" in owner.story)
    for _ in range(int(crews.START_NS / crews.PATIENCE_NS * 4) + 2):
        now[0] += crews.PATIENCE_NS // 4
        crew.check()
    await owner.until(lambda: "died 0" in owner.story)
    await crew.stop(1)


async def test_a_message_that_cannot_be_taken_in_costs_nobody_his_worker(
    crew: Crew, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear, failures = owner.hear, [RuntimeError("a defect")]

    def hear_badly(worker: int, message: link.ToControl) -> None:
        if failures:
            raise failures.pop()
        hear(worker, message)

    reports = owner.count(link.Report)
    monkeypatch.setattr(owner, "hear", hear_badly)
    await owner.until(lambda: owner.count(link.Report) > reports)
    assert failures == []
    assert owner.story == ["asked 0", "began 0"]


async def test_a_defect_that_ends_the_keeping_ends_the_daemon(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(worker: int) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(owner, "belongings", fail)
    crew = Crew([configure(tmp_path)], owner, STAND_IN)
    crew.start()
    async with asyncio.timeout(10):
        assert await crew.failed == 1
    await crew.stop(10)


async def test_a_process_without_a_link_is_no_worker(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crews, "GRACE_S", 0.01)
    hangs_up = "import os, sys, time; os.close(int(sys.argv[4])); time.sleep(3600)"
    crew = Crew([configure(tmp_path)], owner, (sys.executable, "-c", hangs_up), back_off_s=(0.0,))
    crew.start()
    await owner.until(lambda: owner.story.count("died 0") == 2)
    await crew.stop(10)


@pytest.mark.parametrize("command", [("/nowhere/to/be/found",), (sys.executable, "-c", "raise SystemExit(1)")])
async def test_one_that_cannot_be_started_is_tried_again(
    command: tuple[str, ...], owner: Owner, tmp_path: Path
) -> None:
    crew = Crew([configure(tmp_path)], owner, command, back_off_s=(0.0,))
    crew.start()
    await owner.until(lambda: owner.story.count("died 0") >= 3)
    assert not crew.failed.done()
    await crew.stop(10)


async def test_one_that_cannot_be_helped_by_starting_again_is_not_tried_again(owner: Owner, tmp_path: Path) -> None:
    crew = Crew([configure(tmp_path, name="hopeless")], owner, STAND_IN, back_off_s=(0.0,))
    crew.start()
    async with asyncio.timeout(10):
        assert await crew.failed == 73
    await crew.stop(10)


async def test_at_the_end_of_the_link_workers_leave_by_themselves(owner: Owner, tmp_path: Path) -> None:
    crew = Crew([configure(tmp_path, index=index) for index in range(2)], owner, STAND_IN)
    crew.start()
    await owner.until(lambda: len(owner.story) == 4)
    processes = [member.process for member in crew._members]
    await crew.stop(30)
    assert [process.returncode for process in processes if process] == [0, 0]
    assert [state["state"] for state in crew.states()] == ["gone", "gone"]
    assert len([message for message in owner.heard if isinstance(message, link.Repaired)]) == 1  # worker 0 alone


async def test_one_that_does_not_leave_is_killed(owner: Owner, tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(3600)")
    crew = Crew([configure(tmp_path)], owner, command)
    crew.start()
    await owner.until(lambda: "asked 0" in owner.story)
    process = crew._members[0].process
    await crew.stop(0.05)
    assert process is not None
    assert process.returncode == -signal.SIGKILL


async def test_a_worker_inherits_what_it_is_to_inherit_and_its_environment(owner: Owner, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        crew = Crew([configure(tmp_path)], owner, STAND_IN, (lock.fileno(),), {"TAPDECK_LOG__LEVEL": "debug"})
        crew.start()
        await owner.until(lambda: "began 0" in owner.story)
    assert str(tmp_path / "lock") in open_files(pid_of(crew))
    assert b"TAPDECK_LOG__LEVEL=debug" in environment(pid_of(crew))
    await crew.stop(10)


async def test_nothing_of_the_control_process_leaks_into_a_worker(crew: Crew) -> None:
    """Standard descriptors, the link, the memory; the rest its own loop made."""
    theirs = open_files(pid_of(crew))
    assert len([kind for kind in theirs if "memfd:tapdeck-0" in kind]) == 1
    assert not {kind for kind in theirs if kind.startswith("socket:")} & set(open_files(os.getpid()))


def test_the_usual_command_is_this_program() -> None:
    assert list(crews.COMMAND) == [sys.executable, "-m", "receiver", "worker"]


async def test_d7_memories_of_earlier_processes_are_offered_first_and_what_the_worker_took_is_kept(
    owner: Owner, tmp_path: Path
) -> None:
    before = os.memfd_create("before")
    crew = Crew([configure(tmp_path)], owner, STAND_IN, back_off_s=(0.0,), memories={0: [before]})
    fresh = crew._members[0].memories[1]
    crew.start()
    await owner.until(lambda: "began 0" in owner.story)
    assert told(tmp_path) == [[("Configure", 2)]]
    assert (owner.kept, crew._members[0].memories) == ([before], [before])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fresh)
    os.kill(pid_of(crew), signal.SIGKILL)
    await owner.until(lambda: owner.story.count("began 0") == 2)
    assert told(tmp_path)[1][0] == ("Configure", 1)
    assert owner.asked_who_lives == 1, "the next life is a worker's death, and all that its memory holds lives"
    assert owner.kept == [before], "said once"
    await crew.stop(10)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(before)


async def test_d8_something_new_is_told_to_those_that_run_and_to_those_that_come(
    crew: Crew, owner: Owner, tmp_path: Path
) -> None:
    crew.take({"TAPDECK_LOG__LEVEL": "debug"}, link.Loudness("debug", "json"))
    os.kill(pid_of(crew), signal.SIGKILL)
    await owner.until(lambda: owner.story.count("began 0") == 2)
    assert b"TAPDECK_LOG__LEVEL=debug" in await asyncio.to_thread(Path(f"/proc/{pid_of(crew)}/environ").read_bytes)
