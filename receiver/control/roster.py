"""All taps that live: what is asked of the workers for them, what the workers say, and what the ledger is told.

Decisions are made by ``taps``; here they are carried out. A tap holds a port and a worker's slot from the moment it is
asked for until its outcome is in the ledger, in this order: ledger row, ``Open``, … ``Finished``, outcome booked,
``Forget``, port given back. So a slot and a port never serve two taps, and a daemon that dies in between leaves a row
that says so.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any

import structlog

from receiver import link
from receiver.control import asked, orders, secret, sides
from receiver.control.booking import Booking, Result
from receiver.control.changes import Changes
from receiver.control.means import Attendant, Berth, Means, NotNow, TapFailed
from receiver.control.pausing import Pausing
from receiver.control.places import Places
from receiver.control.resuming import cannot_go_on
from receiver.control.taps import SECOND, Ending, Event, Limits, State, Tap, Wish, Word, due, opening_ns
from receiver.ledger.rows import Problem
from receiver.ledger.store import Note

log = structlog.get_logger("taps")


class Roster:
    """``workers`` with ``slots`` taps each, ``most`` in all."""

    def __init__(self, means: Means, workers: int, slots: int, most: int) -> None:
        self._means = means
        self._most = most
        self._places = Places(workers, slots)
        self._ready: set[int] = set()
        self._reported_ns: dict[int, int] = {}  # by control's clock
        self._taps: dict[str, Tap] = {}
        self._secrets: dict[str, Tap] = {}  # by digest
        self._attendant: Attendant | None = None
        self._changes = Changes(means.events)
        self.pausing, self.warned = Pausing(means, self._changes), self._changes.warned
        self._asking = 0  # taps whose ledger row is being written
        self._fewer = asyncio.Event()
        self._shut: tuple[str, str] | None = None
        self._booking = Booking(means.clerk, means.stem, means.unix_ns, self._booked)

    # --- asked from outside

    def get(self, tap_id: str) -> Tap | None:
        """Return a tap that lives."""
        return self._taps.get(tap_id)

    def by_secret(self, told: str) -> Tap | None:
        """Return the tap that the platform calls back for by this secret."""
        return self._secrets.get(secret.digest(told))

    def attended_by(self, attendant: Attendant) -> None:
        """Say who speaks with the relay; before the first tap of our own is asked for."""
        self._attendant = attendant

    def living(self) -> list[Tap]:
        """Return all taps that live, oldest first."""
        return list(self._taps.values())

    def states(self) -> dict[str, int]:
        """How many taps are in which state."""
        return dict(Counter(tap.state.value for tap in self._taps.values()))

    async def ask(self, wish: Wish) -> Tap:
        """Start a tap; return it when its port is bound and its ledger row written. Raises `NotNow`.

        One of our own goes on by itself: it is opened, then asked for on the relay.
        """
        wishes = sides.wishes(wish)
        worker = self._roomiest(len(wishes))
        berths = asked.berths(self._means.take, wishes)
        taps = asked.taps(self._means, self._places, worker, wishes, berths)
        await self._write_rows(taps, berths)
        for tap, berth in zip(taps, berths, strict=True):
            self._changes.tell(tap)
            for message, sockets in orders.openings(tap, berth):
                self._means.send(worker, message, sockets)
        return taps[0]

    def resume(self, tap: Tap, berth: Berth) -> None:
        """Go on with a tap of the daemon before us (rule D7). Before any worker is started."""
        beside = [each for each in self._taps.values() if each.recording_id == tap.recording_id]
        worker = beside[0].worker if beside else tap.worker
        tap.worker, tap.slot = self._places.claim(worker, tap.slot, stay=bool(beside))
        self._settle(tap, berth)
        sides.join(sorted([*beside, tap], key=lambda each: each.channel))
        self._keep_seat(tap)
        if tap.wish.own and self._attendant is not None:
            self._attendant.resume(tap)
        if over := cannot_go_on(tap):
            self.stop(tap, *over)
        tap.closed = tap.state is State.FINISHING

    async def open(self, wish: Wish) -> Tap:
        """The same; return it when it listens (rule C1). Raises `NotNow`; `TapFailed` if it could not be started."""
        tap = await self.ask(wish)
        for side in sides.of(tap):
            await self.until(side, set(State) - {State.REQUESTED}, opening_ns(side) / SECOND)
            self._review(side, self._means.clock_ns())
        if tap.ending == Ending.REFUSED or tap.state is State.FAILED:
            raise TapFailed(tap)
        return tap

    def accept(self, tap: Tap, announced: tuple[str, int] | None) -> None:
        """The relay has accepted one of our own, and says where its sound will come from: read the socket (rule B1)."""
        tap.accepted = True
        if announced is not None and tap.uri is None:
            tap.wish = tap.wish._replace(announced=announced)
        self._means.send(tap.worker, link.Answer(tap.slot, tap.recording_id, tap.wish.announced), ())
        self._keep_seat(tap)
        self._listens(tap)

    def believe(self, tap: Tap, word: Word) -> None:
        """Take somebody's word that a tap goes on (rule D6); the next daemon has it, too."""
        if tap.word is not word:
            tap.word = word
            self._keep_seat(tap)

    def stop(self, tap: Tap, ending: Ending = Ending.STOPPED, problem: Problem | None = None) -> None:
        """End a tap. Twice is once: the first ending stands. What the relay still sends is stopped there first."""
        for side in sides.ended_by(tap, ending):
            if self._move(side, Event.ENDED):
                side.ending, side.problem = ending, problem
                self._note((side, self._means.unix_ns()))
                if not (side.wish.own and self._attendant is not None and self._attendant.leave(side)):
                    self.close_tap(side)

    def close_tap(self, tap: Tap) -> None:
        """Tell the worker to bring a tap that is finishing to its end, when all of its recording are."""
        if tap.state is State.FINISHING:
            tap.closed = True
            if sides.all_closed(tap):
                self._means.send(tap.worker, sides.closing(tap), ())

    def point(self, tap: Tap, policy: str, announced: tuple[str, int] | None, source: str) -> None:
        """Tell a tap's worker another source (rule B5)."""
        tap.wish = tap.wish._replace(policy=policy, announced=announced, source=source)
        self._means.send(tap.worker, link.Source(tap.slot, tap.recording_id, policy, announced), ())
        self._means.clerk.post(self._means.clerk.ledger.point, tap.id, source, orders.seat(tap))

    def amend(self, tap: Tap, **known: Any) -> None:
        """Take in what is known of a tap now: ``call_id``, ``node_id``, ``control_id``, ``labels``; all but the third
        is of its recording."""
        for side in sides.of(tap):
            mine = known if side is tap else {name: each for name, each in known.items() if name != "control_id"}
            side.wish = side.wish._replace(**mine)
            about = side.wish.call_id, side.wish.node_id, side.wish.control_id, dict(side.wish.labels)
            self._means.send(side.worker, link.Amend(side.slot, side.recording_id, *about), ())
            self._means.clerk.post(self._means.clerk.ledger.amend, side.id, *about)

    async def until(self, tap: Tap, states: Collection[State], limit_s: float) -> None:
        """Wait until a tap is in one of ``states``, or has its outcome, or the time is up."""
        await self._changes.until(tap, states, limit_s)

    def take(self, limits: Limits, address: str | None) -> None:
        """These hold for taps that are asked for from now on (rule D8)."""
        self._means = self._means._replace(limits=limits, address=address)

    def shut(self, code: str = "going_down", message: str = "the daemon is going down") -> None:
        """Accept nothing new, for the reason that is told to who asks."""
        self._shut = code, message

    async def close(self, limit_s: float) -> int:
        """Accept nothing new, end all taps, wait until each has its outcome. Returns how many have none in time."""
        self.shut()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._taps or self._asking:
                    for tap in list(self._taps.values()):
                        self.stop(tap, Ending.SHUTDOWN)
                    self._fewer.clear()
                    await self._fewer.wait()
        return len(self._taps) + self._asking

    def abandon(self) -> None:
        """Book nothing more and close all ports: what is unfinished is found by the next start."""
        self._booking.abandon()
        self._places.abandon()

    def tick(self) -> None:
        """Look whose time is up. To be called about once a second."""
        now_ns = self._means.clock_ns()
        for tap in list(self._taps.values()):
            self._review(tap, now_ns)

    # --- asked and told by the crew

    def belongings(self, worker: int) -> Iterator[tuple[link.ToWorker, Sequence[int]]]:
        """What a worker that was started again must be told: every living tap, and each unanswered ``Close``."""
        for tap, berth in self._places.of(worker):
            yield from orders.openings(tap, berth)
            if tap.closed and sides.all_closed(tap):
                yield sides.closing(tap), ()

    def began(self, worker: int) -> None:
        """A worker records (again)."""
        self._ready.add(worker)

    def died(self, worker: int) -> None:
        """A worker is away: its sockets queue, its taps wait for the next one, and nobody is silent meanwhile."""
        self._ready.discard(worker)

    def hear(self, worker: int, message: link.ToControl) -> None:
        """Take in what a worker says of taps. Anything may come twice."""
        match message:
            case link.Report():
                self._report(worker, message)
            case link.Repaired():
                self._booking.repaired(self._taps.values(), message.sidecars)
            case link.Opened() | link.Happened() if tap := self._find(worker, message):
                self._news(tap, message)
            case link.Refused() | link.Finished() if tap := self._find(worker, message):
                if isinstance(message, link.Finished):
                    self._booking.published(tap, message.sidecar)
                else:
                    self._booking.refused(tap, Problem(message.code, message.message, message.hint))
            case link.Refused() | link.Finished():  # it was booked, and the worker died before it could forget
                self._means.send(worker, link.Forget(message.slot, message.recording_id), ())

    # --- inside

    def _roomiest(self, many: int) -> int:
        """The worker that gets the next taps, so many of one recording."""
        if self._shut is not None:
            raise NotNow(*self._shut, 30)
        if not self._ready:
            raise NotNow("no_worker", "no media worker is ready, see /readyz", 1)
        worker = max(self._ready, key=self._places.room)
        if len(self._taps) + self._asking + many > self._most or self._places.room(worker) < many:
            raise NotNow("max_taps", f"all {self._most} taps are in use ([media].max_taps)", 10)
        return worker

    async def _write_rows(self, taps: Sequence[Tap], berths: Sequence[Berth]) -> None:
        """The ledger's rows come before anything else that lasts."""
        self._asking += len(taps)
        try:
            rows = [orders.row(tap, self._means.address) for tap in taps]
            await self._means.clerk.do(self._means.clerk.ledger.ask_all, rows)
        except sqlite3.Error as error:
            for tap, berth in zip(taps, berths, strict=True):
                self._places.give_back(tap.worker, tap.slot)
                berth.release()
            raise NotNow("no_ledger", "the ledger cannot be written, see /readyz", 10) from error
        finally:
            self._asking -= len(taps)
            self._fewer.set()
        for tap, berth in zip(taps, berths, strict=True):
            tap.since_ns = self._means.clock_ns()
            self._settle(tap, berth)

    def _settle(self, tap: Tap, berth: Berth) -> None:
        self._taps[tap.id] = tap
        self._places.settle(tap, berth)
        if tap.secret_digest is not None:
            self._secrets[tap.secret_digest] = tap

    def _keep_seat(self, tap: Tap) -> None:
        """What the next daemon must know has changed (rule D7)."""
        self._means.clerk.post(self._means.clerk.ledger.seat, tap.id, orders.seat(tap))

    def _find(self, worker: int, message: link.Opened | link.Happened | link.Refused | link.Finished) -> Tap | None:
        tap = self._places.at(worker, message.slot)
        return tap if tap is not None and tap.recording_id == message.recording_id else None

    def _review(self, tap: Tap, now_ns: int) -> None:
        up = due(tap, now_ns, self._reported_ns.get(tap.worker, 0))
        if up is not None:
            self.stop(tap, up.ending, up.problem)

    def _move(self, tap: Tap, event: Event) -> bool:
        if not tap.meet(event, self._means.clock_ns()):
            return False
        self._changes.tell(tap)
        return True

    def _note(self, *moved: tuple[Tap, int]) -> None:
        """Tell the ledger which taps moved, and when (UNIX time): one job for all of them."""
        if moved:
            notes = [Note(tap.id, tap.state, at_unix_ns, tap.ending, tap.problem) for tap, at_unix_ns in moved]
            self._means.clerk.post(self._means.clerk.ledger.note, notes)
        for tap, _ in moved:
            log.debug("tap moved", state=tap.state, tap=tap.id, recording=tap.recording_id, ending=tap.ending)

    def _news(self, tap: Tap, news: link.Opened | link.Happened) -> None:
        if isinstance(news, link.Opened):
            if tap.closed:  # before the worker had it
                self.close_tap(tap)
            elif not tap.durable:
                tap.durable = True
                if tap.wish.own and self._attendant is not None and tap.state is State.REQUESTED:
                    self._attendant.begin(tap)
                self._listens(tap)
        elif news.event == "receiving":
            if self._first(tap, news.at_ns):
                self._note((tap, news.at_ns))
        elif news.event == "turned":
            self.pausing.learn(tap, news)
        else:
            self._changes.happened(tap, news)

    def _listens(self, tap: Tap) -> None:
        """Both who must agree have: the disk and, for a tap of our own, the relay."""
        if tap.durable and (tap.accepted or not tap.wish.own) and self._move(tap, Event.ACCEPTED):
            tap.listening_unix_ns = self._means.unix_ns()
            self._note((tap, tap.listening_unix_ns))

    def _first(self, tap: Tap, at_unix_ns: int) -> bool:
        """A packet of the source came; return whether that is news."""
        if is_news := self._move(tap, Event.FIRST_PACKET):
            tap.receiving_unix_ns = at_unix_ns
        return is_news

    def _report(self, worker: int, report: link.Report) -> None:
        self._reported_ns[worker] = now_ns = self._means.clock_ns()
        moved = []
        for slot, recording_id, first_unix_ns, heard_unix_ns, counts in orders.reported(report):
            tap = self._places.at(worker, slot)
            if tap is None or tap.recording_id != recording_id:
                continue
            tap.counts = counts
            if heard_unix_ns:
                tap.hear(now_ns, report.at_ns, heard_unix_ns)
            if first_unix_ns and self._first(tap, first_unix_ns):
                moved.append((tap, first_unix_ns))
        self._note(*moved)

    def _booked(self, tap: Tap, result: Result) -> None:
        """The outcome stands in the ledger: let go of everything."""
        tap.outcome, tap.problem, tap.ending = result.outcome, result.problem, result.ending
        self._move(tap, Event.REFUSED if result.outcome == "failed" else Event.PUBLISHED)
        self._changes.ready(tap, result.summary if sides.is_first_to_end(tap) else None)
        del self._taps[tap.id]
        self._means.send(tap.worker, link.Forget(tap.slot, tap.recording_id), ())
        self._places.leave(tap)
        self._secrets.pop(tap.secret_digest or "", None)
        self._fewer.set()
