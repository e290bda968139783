"""The media workers as the control process sees them: started by exec, watched, and started again when they die.

The control process owns one memory file per worker (design, section 2). A worker that was started again gets the same
memory file, the same sockets and the same orders as the one before, and nothing else; what it does with them is rules
K. So killing one is safe at any instant, and that is what happens to one that says nothing for too long.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

import msgspec
import structlog

from receiver import link
from receiver.keys import Key

COMMAND: Final = (sys.executable, "-m", "receiver", "worker")
BACK_OFF_S: Final = (0.0, 0.1, 0.5, 2.0)  # the last one from then on
LONG_LIFE_NS: Final = 10_000_000_000  # one that recorded for so long did not die of its start
PATIENCE_NS: Final = 15_000_000_000  # without a word from one that records, or with our words not taken
START_NS: Final = 60_000_000_000  # until it records; rule C5 may take as long as it needs
GRACE_S: Final = 2.0  # between the end of the link and the end of the process
HOPELESS: Final = frozenset({73, 77, 78})  # exit statuses that starting again does not mend

log = structlog.get_logger("crew")


class Owner(Protocol):
    """Who knows the taps."""

    def living(self, worker: int) -> dict[str, int]:
        """Which recordings go on in a worker that is started for the first time, by slot."""

    def keys(self, worker: int) -> dict[str, Key]:
        """SRTP keys of a worker's living recordings."""

    def belongings(self, worker: int) -> Iterator[tuple[link.ToWorker, Sequence[int]]]:
        """What a worker that was started must be told, with descriptors."""

    def began(self, worker: int) -> None:
        """The worker records."""

    def keep(self, worker: int, memory: int) -> None:
        """This is the worker's memory from now on, and no other."""

    def died(self, worker: int) -> None:
        """The worker is gone; another one will come."""

    def hear(self, worker: int, message: link.ToControl) -> None:
        """Everything that a worker says."""


@dataclass(slots=True)
class Member:
    """One worker's place: the memory stays, processes come and go."""

    configure: link.Configure
    memories: list[int]  # descriptors: those of earlier processes, then a fresh one; one, as soon as a worker chose
    state: str = "starting"  # starting, repairing, ready, restarting, gone
    end: link.Link[link.ToWorker, link.ToControl] | None = None
    process: asyncio.subprocess.Process | None = None
    born_ns: int = 0
    began_ns: int | None = None
    heard_ns: int = 0
    chosen: bool = False
    deaths: int = 0
    tries: int = 0
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)


class Crew:
    """One worker per ``Configure``. ``command`` is what is executed, before ``--index N --link FD``.

    Workers inherit the descriptors ``inherited``, and know nothing of them; ``environ`` is added to their environment.
    ``memories`` are a worker's memory files from earlier processes; they are ours from now on. ``failed`` is done (with
    an exit status) when a worker could not even start, for a reason that stays.
    """

    def __init__(
        self,
        configures: Sequence[link.Configure],
        owner: Owner,
        command: Sequence[str] = COMMAND,
        inherited: Sequence[int] = (),
        environ: Mapping[str, str] = MappingProxyType({}),
        memories: Mapping[int, Sequence[int]] = MappingProxyType({}),
        back_off_s: Sequence[float] = BACK_OFF_S,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._owner, self._command, self._back_off_s, self._clock_ns = owner, command, back_off_s, clock_ns
        self._inherited, self._environ = tuple(inherited), dict(environ)
        self._leaving = False
        self._repaired = False
        self._checked_ns = clock_ns()
        self._members = [Member(each, [*memories.get(each.index, ()), _fresh(each.index)]) for each in configures]
        self.failed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Start them all."""
        for member in self._members:
            member.task = asyncio.ensure_future(self._keep(member))
            member.task.add_done_callback(self._kept)

    def send(self, worker: int, message: link.ToWorker, descriptors: Sequence[int] = ()) -> None:
        """Tell a worker. One that is away does not miss anything: it will be told its belongings."""
        end = self._members[worker].end
        if end is not None:
            end.send(message, descriptors)

    def take(self, environ: Mapping[str, str], message: link.ToWorker) -> None:
        """Tell every worker something new, those that are started from now on by their environment (rule D8)."""
        self._environ = dict(environ)
        for member in self._members:
            self.send(member.configure.index, message)

    def states(self) -> list[dict[str, str | int | None]]:
        """What there is to say of each, for ``/readyz``."""
        return [
            {
                "worker": member.configure.index,
                "state": member.state,
                "pid": member.process.pid if member.process else None,
                "deaths": member.deaths,
            }
            for member in self._members
        ]

    def check(self) -> None:
        """Kill those that are stuck; the next one goes on. To be called about once a second."""
        now_ns, before_ns = self._clock_ns(), self._checked_ns
        self._checked_ns = now_ns
        for member in self._members:
            if now_ns - before_ns > PATIENCE_NS // 3:  # it was us who slept
                member.heard_ns = now_ns
            why = self._stuck(member, now_ns)
            if why is not None and member.process is not None and member.process.returncode is None:
                log.error("worker is stuck, it is killed", worker=member.configure.index, why=why)
                with suppress(ProcessLookupError):
                    member.process.kill()

    async def stop(self, limit_s: float) -> None:
        """Hang up: workers drain, commit and leave. Who has not left after ``limit_s`` is killed."""
        self._leaving = True
        for member in self._members:
            if member.end is not None:
                member.end.close()
            elif member.task is not None and member.state == "restarting":
                member.task.cancel()
        tasks = [member.task for member in self._members if member.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit_s)
            for task in late:
                task.cancel()
            for member in self._members:
                if member.process is not None and member.process.returncode is None:
                    log.error("worker did not leave in time, it is killed", worker=member.configure.index)
                    with suppress(ProcessLookupError):
                        member.process.kill()
                    await member.process.wait()
            await asyncio.gather(*tasks, return_exceptions=True)
        for member in self._members:
            for memory in member.memories:
                os.close(memory)

    # --- inside

    async def _keep(self, member: Member) -> None:
        """One process after the other, until we leave."""
        index = member.configure.index
        while True:
            try:
                await self._spawn(member)
                why = await self._listen(member)
            except OSError as error:  # no memory, no process, no descriptor left
                why = f"cannot be started: {error}"
            status = await self._bury(member)
            member.state = "gone" if self._leaving else "restarting"
            self._owner.died(index)
            if self._leaving:
                return
            began_ns, member.began_ns = member.began_ns, None
            if status in HOPELESS and began_ns is None and not self.failed.done():
                self.failed.set_result(status)
                return
            if began_ns is not None and self._clock_ns() - began_ns >= LONG_LIFE_NS:
                member.tries = 0
            pause_s = self._back_off_s[min(member.tries, len(self._back_off_s) - 1)]
            member.tries += 1
            member.deaths += 1
            log.error("worker died", worker=index, why=why, status=_in_words(status), again_in_s=pause_s)
            await asyncio.sleep(pause_s)

    def _kept(self, task: "asyncio.Task[None]") -> None:
        """Nobody keeps this worker any more: if that is a defect of ours, a new daemon is better than none."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical("a worker's keeper failed", exc_info=error)
            if not self.failed.done():
                self.failed.set_result(1)

    async def _spawn(self, member: Member) -> None:
        """Start a process and tell it everything it must know."""
        index = member.configure.index
        ours, theirs = link.pair()
        try:
            member.process = await asyncio.create_subprocess_exec(
                *self._command, "--index", str(index), "--link", str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL, pass_fds=(theirs.fileno(), *self._inherited),
                env=os.environ | self._environ,
                process_group=0,  # ^C in a terminal is for us: workers obey the link
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        member.born_ns = member.heard_ns = self._clock_ns()
        repair = index == 0 and not self._repaired
        member.state = "repairing" if repair else "starting"
        member.end = link.control_end(ours)
        living = None if member.chosen else self._owner.living(index)
        keys = self._owner.keys(index)
        configure = msgspec.structs.replace(member.configure, repair=repair, living=living, keys=keys)
        member.end.send(configure, member.memories)
        for message, descriptors in self._owner.belongings(index):
            member.end.send(message, descriptors)
        if self._leaving:
            member.end.close()

    async def _listen(self, member: Member) -> str:
        """Pass on what the worker says, until it says no more; return why."""
        assert member.end is not None
        try:
            while (received := await member.end.receive()) is not None:
                member.heard_ns = self._clock_ns()
                if isinstance(received.message, link.Ready):
                    member.state, member.began_ns = "ready", member.heard_ns
                    log.info("worker records", worker=member.configure.index, pid=received.message.pid)
                    self._owner.began(member.configure.index)
                elif isinstance(received.message, link.Mapped):
                    self._choose(member, received.message.memory)
                elif isinstance(received.message, link.Repaired):
                    self._repaired = True
                self._pass_on(member.configure.index, received.message)
        except link.LinkBroken as error:
            return str(error)
        return "end of file on the link"

    def _choose(self, member: Member, which: int) -> None:
        """A worker has mapped one of its memories: the others are nobody's any more."""
        for number, memory in enumerate(member.memories):
            if number != which:
                os.close(memory)
        if not member.chosen:
            self._owner.keep(member.configure.index, member.memories[which])
        member.memories, member.chosen = [member.memories[which]], True

    def _pass_on(self, worker: int, message: link.ToControl) -> None:
        try:
            self._owner.hear(worker, message)
        except Exception:  # a defect of ours costs one message, not the worker
            log.exception("message of a worker could not be taken in", worker=worker, message=type(message).__name__)

    async def _bury(self, member: Member) -> int | None:
        """See to it that the process is gone; return its exit status (negative: the signal)."""
        if member.end is not None:
            member.end.close()
            member.end = None
        process = member.process
        if process is None:
            return None
        if not self._leaving:  # while we leave, `stop` holds the clock
            try:
                async with asyncio.timeout(GRACE_S):
                    await process.wait()
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
        await process.wait()
        member.process = None
        return process.returncode

    @staticmethod
    def _stuck(member: Member, now_ns: int) -> str | None:
        if member.end is None:
            return None
        if member.end.blocked_ns(now_ns) > PATIENCE_NS:
            return "it takes no orders"
        if member.state == "ready" and now_ns - member.heard_ns > PATIENCE_NS:
            return "it says nothing"
        if member.state == "starting" and now_ns - member.born_ns > START_NS:
            return "it does not come up"
        return None


def _fresh(worker: int) -> int:
    return os.memfd_create(f"tapdeck-{worker}", os.MFD_CLOEXEC)


def _in_words(status: int | None) -> str:
    if status is None:
        return "not started"
    if status < 0:
        with suppress(ValueError):
            return signal.Signals(-status).name
    return str(status)
