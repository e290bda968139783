"""The worker as a process: what it does at the end of the link, how it dies, what it obeys."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from receiver import link
from receiver.archive import sidecar
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from receiver.worker import process
from tests.journeys.recorder import crowd, recorder, send
from tests.worker.office import BOUND_S, Line, Office, configure, office, until

Call = Callable[..., Line]
COMMAND = (sys.executable, "-W", "error", "-m", "receiver", "worker", "--index", "0", "--link")


@dataclass
class Real:
    """A worker process, and our end of its link."""

    process: subprocess.Popen[bytes]
    end: link.Link[link.ToWorker, link.ToControl]

    async def next(self, kind: type[Any]) -> Any:
        """The next message of a kind."""
        async with asyncio.timeout(BOUND_S):
            while (received := await self.end.receive()) is not None:
                if isinstance(received.message, kind):
                    return received.message
        raise AssertionError(f"the worker ended before it said {kind}")

    async def left(self) -> int:
        """Its exit status."""
        return await asyncio.to_thread(self.process.wait, BOUND_S)


@asynccontextmanager
async def started(configure: link.Configure, memory: int, stderr: Any = None, **env: str) -> AsyncIterator[Real]:
    """One, until the test is over."""
    ours, theirs = link.pair()
    number = theirs.fileno()
    running = subprocess.Popen(  # noqa: ASYNC220  # it is only begun here
        [*COMMAND, str(number)], pass_fds=[number], stderr=stderr, env={**os.environ, **env}
    )
    theirs.close()
    one = Real(running, link.control_end(ours))
    one.end.send(configure, [memory])
    try:
        yield one
    finally:
        one.end.close()
        running.kill()
        running.wait()


@pytest.mark.all
async def test_c5_at_the_end_of_the_link_all_is_durable_and_the_next_start_finishes_it(tmp_path: Path) -> None:
    """Control dies: the worker drains, commits and leaves with 0; every sample that came is in the recordings."""
    weathers, logs = ("clean", "lossy", "reordered", "duplicated"), tmp_path / "logs"
    with SenderProcess(crowd(4, 1.5, weathers, logs)) as sender:
        async with recorder(tmp_path / "recordings") as one:
            taps = await one.open(sender.sources)
            await (await send(sender, taps))
            running = one.crew._members[0].process
        assert running is not None
        assert running.returncode == 0
        memory = os.memfd_create("the next one")
        async with started(configure(tmp_path / "recordings", repair=True), memory) as two:
            repaired = await two.next(link.Repaired)
        os.close(memory)
    told = [sidecar.decode(octets) for octets in repaired.sidecars]
    assert {each.ending for each in told} == {"recovered"}
    for k, tap in enumerate(taps):
        proof = prove(one.sidecar_of(tap), file_of(logs, k), Expected(ending="recovered", outcome="degraded"))
        assert (proof.missing, proof.wrong) == (0, 0), str(proof)
        assert proof.received > 0


@pytest.mark.all
async def test_d7_a_worker_obeys_the_link_and_no_signal(tmp_path: Path, memory: int) -> None:
    async with started(configure(tmp_path), memory) as one:
        await one.next(link.Ready)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            one.process.send_signal(number)
        await one.next(link.Report)
        assert one.process.poll() is None
        one.end.close()
        assert await one.left() == 0


async def test_a_worker_logs_json_where_nobody_watches_at_the_level_that_was_asked_for(
    tmp_path: Path, memory: int
) -> None:
    directory = tmp_path / "recordings"
    for level, lines in (("warning", 1), ("critical", 0)):
        directory.mkdir(exist_ok=True)
        with (tmp_path / level).open("wb") as stderr:
            async with started(configure(directory), memory, stderr, TAPDECK_LOG__LEVEL=level) as one:
                await one.next(link.Ready)
            async with started(configure(directory), memory, stderr, TAPDECK_LOG__LEVEL=level) as two:
                assert not (await two.next(link.Ready)).fresh
        said = [json.loads(line) for line in (tmp_path / level).read_text().splitlines()]
        assert [entry["event"] for entry in said][-1:] == ["worker took up what another left"] * lines


@pytest.mark.parametrize("order", ["nonsense", "another layout", "no folder"])
async def test_what_makes_a_worker_useless_ends_it_with_a_word(order: str, tmp_path: Path, memory: int) -> None:
    directory = tmp_path / "missing" if order == "no folder" else tmp_path
    with (tmp_path / "log").open("wb") as stderr:
        if order == "another layout":
            os.write(memory, b"something quite different")
        async with started(configure(directory), memory, stderr) as one:
            if order == "nonsense":
                await one.next(link.Ready)
                one.end._end.send(b"\0nonsense")
            status = await one.left()
    assert status == (73 if order == "no folder" else 1)
    assert (tmp_path / "log").read_text()


async def test_k8_news_that_a_worker_could_not_say_stand_in_the_report_of_the_next(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(5)
        one.hear()
    async with office(tmp_path, memory) as two:
        await two.open(line)
        [report] = two.worker.reports.make()
        assert (report.recording_ids, report.packets) == ([line.id], [5])
        assert report.first_ns[0] > 0


async def test_the_last_read_takes_what_the_kernel_holds_also_of_taps_that_are_closing(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line, closing = call(0), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(line, closing)
        line.talk(90)
        closing.talk(20)
        one.take(link.Close(1, closing.id, "stopped", None))
        assert await one.worker.end()
        assert await one.worker.errands.idle(BOUND_S)
        row = int(one.tap(line)["row"])
        assert one.tap(line)["verdicts"][0] == 90
        assert one.state.written[row] == one.state.live.rows["edge"][row]
        assert (await one.finished(closing)).frames == 20 * 160
        one.worker.commit.close = lambda: None  # type: ignore[method-assign]  # it is


async def test_an_end_does_not_wait_for_a_disk_that_hangs(
    tmp_path: Path, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, memory) as one:
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        real = one.worker.commit.close

        def hangs() -> None:
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(BOUND_S)

        monkeypatch.setattr(process, "COMMIT_S", 0.01)
        one.worker.commit.close = hangs  # type: ignore[method-assign]
        assert not await one.worker.end()
        gate.set()
        one.worker.commit.close = real  # type: ignore[method-assign]


async def test_a_slice_reads_hands_on_and_reports(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    one = Office(tmp_path, memory, tick_ns=5_000_000, commit_interval_ns=20_000_000)
    one.worker.recover()
    one.worker.start()
    await one.open(line)
    line.talk(60)
    row = int(one.tap(line)["row"])
    await until(lambda: one.state.cleared[row] > 0)
    assert [message.event for message in one.heard(link.Happened)] == ["receiving"]
    told = await one.close(line)
    assert (told.outcome, told.frames) == ("complete", 60 * 160)
    one.worker.tick.stop()
    await one.leave()
