"""Our own taps on the relay: asked for when port and files are there, listened to, stopped before they are closed.

The roster says when (`Attendant`), the relay's client says what became of it, and this is what joins the two: rule B1
(bind first, ask, read when the answer is there), D1 and D6 (a socket that falls ends no recording), D2 (by control id,
twice is once), D4 (a refusal is an outcome). Recordings end on the first of: ``finished``, the call's end, a stop, a
refusal, or their own limits.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

from receiver.control import reconcile, words
from receiver.control.calls import Client
from receiver.control.calltap import CallTap, TapRefused
from receiver.control.devices import RtpDevice, WsDevice
from receiver.control.errors import RelayAway, RelayError
from receiver.control.reconcile import Debt, Debts
from receiver.control.roster import Roster
from receiver.control.taps import Ending, State, Tap, Word
from receiver.ledger.rows import Problem

LEAVE_S: Final = 2.0  # for the relay to stop sending, before the recording is closed all the same
ENDINGS: Final = {"finished": Ending.RELAY_FINISHED, "call_ended": Ending.CALL_ENDED, "gone": Ending.CALL_ENDED}

log = structlog.get_logger("relay")


class Attendance:
    """Joins ``roster`` and ``client``. ``address`` is what the relay is told to send RTP to."""

    def __init__(self, roster: Roster, client: Client, address: str | None) -> None:
        self._roster, self._client, self._address = roster, client, address
        self._asking: set[str] = set()  # by tap id: the relay has not answered yet
        self._taps: dict[str, tuple[Tap, CallTap]] = {}
        self._debts = Debts()
        self._tasks: set[asyncio.Task[None]] = set()
        roster.attended_by(self)
        client.listen(on_up=self._up, on_down=self._down)

    def take(self, address: str | None) -> None:
        """The relay is told another address from now on."""
        self._address = address

    # --- what the roster asks

    def begin(self, tap: Tap) -> None:
        """Have a tap started."""
        self._asking.add(tap.id)
        self._start(self._begin(tap))

    def resume(self, tap: Tap) -> None:
        """A tap of an earlier daemon: if it may run there, hear of it; if it is over here, it must be stopped there."""
        if not tap.accepted or tap.state is State.FINISHING:
            self._debts.owe(_debt(tap))
            self._pay()
            return
        call_id, node_id = tap.wish.call_id, tap.wish.node_id
        assert call_id is not None
        assert node_id is not None
        call_tap = self._client.call(call_id, node_id).take_up(tap.id)
        call_tap.listen(on_ended=lambda each: self._ended(tap, each))
        self._taps[tap.id] = tap, call_tap

    def leave(self, tap: Tap) -> bool:
        """A tap ends here: have it stopped there first, if it may still run there."""
        if tap.id in self._asking:
            return True  # `_begin` sees it when the answer is there
        _, call_tap = self._taps.pop(tap.id, (tap, None))
        if call_tap is None or (call_tap.has_ended and call_tap.ending != "lost"):
            return False
        if call_tap.has_ended or not self._client.up:  # nobody can be asked now: no reason to wait
            self._debts.owe(_debt(tap))
            self._pay()
            return False
        self._start(self._leave(tap, call_tap))
        return True

    async def close(self) -> None:
        """Wait for nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- one tap

    async def _begin(self, tap: Tap) -> None:
        try:
            call_tap = await self._ask(tap)
        except TapRefused as error:
            code = f"relay_{error.code}" if error.code else "relay_refused"
            self._refuse(tap, Problem(code, f"the relay refused the tap: {error.message}", _hint(error)))
        except RelayAway as error:  # it may have heard us all the same
            self._debts.owe(_debt(tap))
            self._refuse(tap, Problem("relay_away", f"the relay did not answer: {error}", "see /readyz, ask again"))
        else:
            self._accepted(tap, call_tap)
        finally:
            self._asking.discard(tap.id)

    async def _ask(self, tap: Tap) -> CallTap:
        wish = tap.wish
        assert wish.call_id is not None
        assert wish.node_id is not None
        device: RtpDevice | WsDevice
        if tap.uri is not None:
            device = WsDevice(tap.uri, wish.codec)
        else:
            assert self._address is not None
            device = RtpDevice(self._address, tap.port, wish.codec, wish.ptime)
        return await self._client.call(wish.call_id, wish.node_id).tap(
            audio={"direction": wish.direction},
            device=device,
            listen={"on_started": lambda _: self._started(tap), "on_ended": lambda each: self._ended(tap, each)},
            control_id=tap.id,
        )

    def _accepted(self, tap: Tap, call_tap: CallTap) -> None:
        self._asking.discard(tap.id)
        if tap.state is not State.REQUESTED:  # it was ended meanwhile
            if call_tap.has_ended:
                self._roster.close_tap(tap)
            else:
                self._start(self._leave(tap, call_tap))
            return
        self._taps[tap.id] = tap, call_tap
        source = call_tap.source_device
        announced = (source.addr, int(source.port)) if isinstance(source, RtpDevice) else None
        log.info("tap accepted", tap=tap.id, call=tap.wish.call_id, source=announced)
        self._roster.accept(tap, announced)
        if call_tap.has_ended:
            self._ended(tap, call_tap)

    def _refuse(self, tap: Tap, problem: Problem) -> None:
        self._asking.discard(tap.id)
        if tap.state is State.REQUESTED:
            self._roster.stop(tap, Ending.REFUSED, problem)
        else:
            self._roster.close_tap(tap)
        self._pay()

    def _started(self, tap: Tap) -> None:
        tap.word = Word.TAPPING

    def _ended(self, tap: Tap, call_tap: CallTap) -> None:
        """The relay's last word of a tap; if it is lost, there is none, and the sound decides."""
        if call_tap.ending == "lost":
            tap.word = Word.DOUBTFUL
        elif tap.id in self._taps and call_tap.ending in ENDINGS:
            self._roster.stop(tap, ENDINGS[call_tap.ending])

    async def _leave(self, tap: Tap, call_tap: CallTap) -> None:
        try:
            async with asyncio.timeout(LEAVE_S):
                await call_tap.stop()
        except (TimeoutError, RelayAway):
            self._debts.owe(_debt(tap))
        except RelayError as error:
            log.warning("the relay does not stop a tap", tap=tap.id, why=str(error))
        finally:
            self._roster.close_tap(tap)

    # --- the socket

    def _down(self, why: str) -> None:
        reconcile.fell(tap for tap, _ in self._taps.values())

    def _up(self, restored: bool) -> None:
        doubtful = reconcile.returned(tap for tap, _ in self._taps.values())
        if doubtful or self._debts:
            log.info("the relay is back", restored=restored, taps=len(doubtful), stops_owed=len(self._debts))
        self._pay()

    def _pay(self) -> None:
        if self._client.up:
            for debt in self._debts.take():
                self._start(self._stop(debt))

    async def _stop(self, debt: Debt) -> None:
        try:
            await self._client.execute("calling.tap.stop", words.tap_stop(*debt))
        except RelayAway:
            self._debts.owe(debt)
        except RelayError as error:
            if not error.gone:
                log.warning("the relay does not stop a tap", tap=debt.control_id, why=str(error))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _debt(tap: Tap) -> Debt:
    assert tap.wish.call_id is not None
    assert tap.wish.node_id is not None
    return Debt(tap.id, tap.wish.call_id, tap.wish.node_id)


def _hint(error: TapRefused) -> str:
    if error.code in ("404", "410"):
        return "the call is over, or not of this project"
    return "is [media].advertise a public IPv4 address? the relay refuses private ones"
