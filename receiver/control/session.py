"""One session with the relay over any number of sockets: connected, kept alive, and connected again (rules D1, D3).

A task of its own reads; who asks awaits a future; who listens is called in the order of arrival and must not wait. So
no handler can hold the reader up, and no wait is without a bound:

* a socket: 10 s to open, 10 s to greet, 10 s for a text to be taken;
* an answer: 10 s, after which the socket counts as half open and is replaced;
* silence: after 30 s without a word we ask ``signalwire.ping`` ourselves, and its answer has 10 s as well;
* after ``disconnect``: 5 s for the relay to close, then we do;
* the next socket: after 1 s, doubled up to 30 s, each ± 25 %, back to 1 s only by an authentication that worked;
* refused credentials: said once, tried again every 60 s ± 20 %.

A question whose socket falls fails at once; what becomes of calls and taps then is not decided here.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import structlog

from receiver.control import words
from receiver.control.door import Door, Socket, SocketClosed
from receiver.control.errors import RelayAway, RelayDenied, RelayError
from receiver.control.relay import Credentials, Draining, Greeted, Happening, Heard, Memory, Refused, Relay
from receiver.control.rpc import Answered, Fault, Nonsense, fault

OPEN_S: Final = 10.0
ANSWER_S: Final = 10.0
QUIET_S: Final = 30.0
FAREWELL_S: Final = 5.0
BACK_OFF_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # the last one from then on
SPREAD: Final = 0.25
DENIED_S: Final = 60.0
DENIED_SPREAD: Final = 0.2
DENIED: Final = "-32002"  # authentication failed: it will not mend by itself
DEFECT: Final = "a defect of ours, see the log"

log = structlog.get_logger("relay")


class Standing(NamedTuple):
    """How we stand with the relay. ``why`` is a sentence for the operator; empty while up."""

    up: bool
    denied: bool
    why: str


AT_FIRST: Final = Standing(False, False, "connecting")
CLOSED: Final = Standing(False, False, "closed")


class Session:
    """Keeps one session. ``hear`` gets every event, ``changed`` every change: up (with ``restored``), or not up."""

    def __init__(
        self,
        door: Door,
        credentials: Credentials,
        topics: Sequence[str] = (),
        *,
        hear: Callable[[words.Event], None] = lambda event: None,
        changed: Callable[[Standing, bool], None] = lambda standing, restored: None,
        dice: random.Random | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._door, self._credentials, self.topics = door, credentials, tuple(topics)
        self._hear, self._changed, self._dice = hear, changed, dice or random.Random()
        self._memory = memory or Memory()
        self._relay: Relay | None = None
        self._answers: dict[str, asyncio.Future[Answered]] = {}
        self._sending: asyncio.Event = asyncio.Event()
        self._heard_s = 0.0
        self._broken: asyncio.Future[str] | None = None
        self._moved = asyncio.Event()
        self._greeted = self._denied = self._said_denied = False
        self._task: asyncio.Task[None] | None = None
        self.standing = AT_FIRST
        self.counts: Counter[str] = Counter()
        """sockets, events, unknown_events, nonsense."""

    # --- asked from outside

    @property
    def up(self) -> bool:
        """Whether the relay can be asked now."""
        return self.standing.up

    def start(self) -> None:
        """Connect, and stay connected until `close`."""
        self._task = asyncio.ensure_future(self._keep())

    async def close(self) -> None:
        """Leave: close the socket, fail who waits."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._stand(CLOSED)

    async def until_up(self, limit_s: float) -> None:
        """Wait until authenticated. Raises `RelayDenied` as soon as that is known, `RelayAway` after ``limit_s`` or
        when the session is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not self.up and self.standing != CLOSED:
                    if self.standing.denied:
                        raise RelayDenied(self.standing.why)
                    self._moved.clear()
                    await self._moved.wait()
        if not self.up:
            raise RelayAway(self.standing.why)

    async def execute(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask; return the result. Raises `RelayError` (it will not), `RelayAway` (nobody knows)."""
        number = self._relay.call(method, params) if self._relay is not None else None
        if number is None:
            raise RelayAway(self.standing.why or "the relay is about to close the socket")
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        self._sending.set()
        try:
            async with asyncio.timeout(ANSWER_S):
                answered = await future
        except TimeoutError:
            self._break(f"no answer to {method} for {ANSWER_S:g} s")
            raise RelayAway(f"no answer to {method} for {ANSWER_S:g} s") from None
        finally:
            self._answers.pop(number, None)
        refusal = _refusal(answered)
        if refusal is not None:
            raise RelayError(*refusal)
        return answered.result

    # --- one socket after the other

    async def _keep(self) -> None:
        tries = 0
        while True:
            self._greeted = self._denied = False
            try:
                why = await self._live()
            except Exception:  # a defect of ours costs one socket, not the session
                log.exception("the socket to the relay failed")
                why = DEFECT
            tries = 0 if self._greeted else tries
            pause_s = self._pause_s(tries)
            tries += 1
            self._stand(Standing(False, self._denied, why))
            log.info("relay is away", why=why, again_in_s=round(pause_s, 1))
            await asyncio.sleep(pause_s)

    def _pause_s(self, tries: int) -> float:
        if self._denied:
            return DENIED_S * self._dice.uniform(1 - DENIED_SPREAD, 1 + DENIED_SPREAD)
        return BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)] * self._dice.uniform(1 - SPREAD, 1 + SPREAD)

    async def _live(self) -> str:
        """Open one socket and live on it; return why it is over."""
        try:
            async with asyncio.timeout(OPEN_S):
                socket = await self._door.open()
        except SocketClosed as error:
            return str(error)
        except TimeoutError:
            return f"no socket after {OPEN_S:g} s"
        self.counts["sockets"] += 1
        self._relay = Relay(self._credentials, self._memory, self.topics)
        self._broken = asyncio.get_running_loop().create_future()
        self._relay.begin()
        self._sending.set()
        works = (self._read(socket), self._write(socket), self._watch())
        tasks = [asyncio.ensure_future(work) for work in works]
        why = CLOSED.why
        try:
            await asyncio.wait([*tasks, self._broken], return_when=asyncio.FIRST_COMPLETED)
            why = next(each.result() for each in (self._broken, *tasks) if each.done())
        except Exception:
            why = DEFECT
            raise
        finally:
            self._fall(tasks, why)
            await _to_its_end(self._bury(socket, tasks))
        return why

    def _fall(self, tasks: "Sequence[asyncio.Task[str]]", why: str) -> None:
        """Nothing can be asked any more, and who asked is told so, before the socket takes its time to close."""
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.lost()
        for task in tasks:
            task.cancel()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(RelayAway("the socket fell before the answer"))
        self._stand(Standing(False, self._denied, why))

    async def _bury(self, socket: Socket, tasks: "Sequence[asyncio.Task[str]]") -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(SocketClosed, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await socket.close()

    async def _read(self, socket: Socket) -> str:
        loop = asyncio.get_running_loop()
        while True:
            try:
                text = await socket.receive()
            except SocketClosed as error:
                if error.nonsense:
                    self._nonsense(str(error))
                return str(error)
            self._heard_s = loop.time()
            assert self._relay is not None
            happenings = self._relay.receive(text)
            self._sending.set()  # acks first: they are in the outbox by now
            for happening in happenings:
                self._take(happening)

    async def _write(self, socket: Socket) -> str:
        while True:
            await self._sending.wait()
            self._sending.clear()
            assert self._relay is not None
            for text in self._relay.take():
                try:
                    async with asyncio.timeout(ANSWER_S):  # it may speak and yet not listen: acks would pile up
                        await socket.send(text)
                except SocketClosed as error:
                    return str(error)
                except TimeoutError:
                    return f"nothing was taken for {ANSWER_S:g} s"

    async def _watch(self) -> str:
        """Whether the other side still lives: it greets in time, and is heard of now and then."""
        loop = asyncio.get_running_loop()
        self._heard_s = loop.time()
        await asyncio.sleep(ANSWER_S)
        if not self._greeted:
            return f"no greeting for {ANSWER_S:g} s"
        while True:
            quiet_s = loop.time() - self._heard_s
            if quiet_s < QUIET_S or not self.up:  # after a farewell `_farewell` has the say
                await asyncio.sleep(max(QUIET_S - quiet_s, 1.0))
                continue
            try:
                await self.execute("signalwire.ping", {})
            except RelayAway as error:
                return str(error)
            except RelayError as error:
                log.debug("the relay does not like to be pinged", code=error.code)  # and yet it answers

    # --- what happens on it

    def _take(self, happening: Happening) -> None:
        match happening:
            case Heard(event=None):
                self.counts["unknown_events"] += 1
            case Heard(event=event) if event is not None:
                self.counts["events"] += 1
                self._pass_on(event)
            case Answered():
                self._answered(happening)
            case Greeted(restored=restored):
                self._up(restored)
            case Refused(fault=fault):
                self._refused(fault)
            case Draining(restart=restart):
                log.info("the relay says farewell", restart=restart)
                self._stand(Standing(False, False, "the relay said farewell"))
                asyncio.get_running_loop().call_later(FAREWELL_S, self._farewell, self._relay)
            case Nonsense(why=why):
                self._nonsense(why)
                self._break(why)

    def _pass_on(self, event: words.Event) -> None:
        try:
            self._hear(event)
        except Exception:  # a defect of ours costs one event, not the session
            log.exception("an event could not be taken in", kind=type(event).__name__)

    def _answered(self, answered: Answered) -> None:
        future = self._answers.get(answered.id)
        if future is not None and not future.done():
            future.set_result(answered)
        elif (refusal := _refusal(answered)) is not None:
            log.warning("the relay refused", method=answered.method, why=refusal.message)

    def _up(self, restored: bool) -> None:
        self._greeted, self._said_denied = True, False
        log.info("relay is up", restored=restored)
        if self.topics and self._relay is not None:
            self._relay.call("signalwire.receive", {"contexts": list(self.topics)})
            self._sending.set()
        self._stand(Standing(True, False, ""), restored)

    def _refused(self, fault: Fault) -> None:
        self._denied = fault.code == DENIED
        why = f"{fault.message} (code {fault.code})"
        if self._denied and not self._said_denied:
            log.error("the relay refused project and token", why=why, hint="look at [relay].project and [relay].token")
            self._said_denied = True
        self._break(why)

    def _nonsense(self, why: str) -> None:
        self.counts["nonsense"] += 1
        if self.counts["nonsense"] == 1:
            log.warning("the relay sent nonsense, the socket is replaced; said once, then counted", why=why)

    def _farewell(self, relay: Relay | None) -> None:
        if relay is self._relay:
            self._break("the relay said farewell")

    def _break(self, why: str) -> None:
        """Give this socket up."""
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(why)

    def _stand(self, standing: Standing, restored: bool = False) -> None:
        if standing == self.standing:
            return
        self.standing = standing
        self._moved.set()
        try:
            self._changed(standing, restored)
        except Exception:  # the same
            log.exception("a change of standing could not be taken in")


def _refusal(answered: Answered) -> Fault | None:
    """Why an answer is a no: an error, or a result whose code is none of success."""
    if answered.fault is not None or words.success(answered.result):
        return answered.fault
    return fault(answered.result.get("code"), answered.result.get("message", ""))


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do bounded work to its end, also when cancelled meanwhile; then be cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
