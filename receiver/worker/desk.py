"""Who answers the link: taps are opened, answered, told another source, closed and forgotten.

Every message may come twice, and in any order: what is about a tap that is not open yet waits until it is; what is
about a recording that this worker does not have (any more) is not news.
"""

import asyncio
import os
import time
from collections.abc import Callable

import structlog

from receiver import link
from receiver.archive import finish as finishing
from receiver.archive import sidecar
from receiver.archive.files import Files
from receiver.archive.sidecar import Draft, Ending, Problem, Sidecar
from receiver.media.columns import CLOCK_RATE, Flaw, TapState, Trust
from receiver.media.secured import Secured
from receiver.media.sources import News, Source, Sources
from receiver.media.state import State
from receiver.media.taps import Taps
from receiver.watch import log as logs
from receiver.worker import orders, story
from receiver.worker.closing import Closing
from receiver.worker.drafts import Drafts
from receiver.worker.ears import Ears
from receiver.worker.errands import Errands
from receiver.worker.filters import Filters
from receiver.worker.intake import Intake
from receiver.worker.pausing import Pausing
from receiver.worker.rolling import Rolling
from receiver.worker.starting import Side, Start, Starting

About = link.Answer | link.Source | link.Amend | link.Pause | link.Close | link.Forget
Fields = dict[str, str | int | float | bool | None]
log = structlog.get_logger("worker")


class Desk:
    """Turns control's messages into turns of the media path, and tells control how they ended."""

    def __init__(
        self, configure: link.Configure, state: State, taps: Taps, sources: Sources, secured: Secured, intake: Intake,
        filters: Filters, starting: Starting, pausing: Pausing, rolling: Rolling, closing: Closing, errands: Errands,
        files: Files, say: Callable[[link.ToControl], None], ears: Ears,
    ) -> None:  # fmt: skip
        self._configure, self._state, self._taps, self._sources = configure, state, taps, sources
        self._secured, self._intake, self._filters, self._ears = secured, intake, filters, ears
        self._starting, self._pausing, self._rolling, self._closing = starting, pausing, rolling, closing
        self._errands, self._files, self._say = errands, files, say
        self._drafts = Drafts(errands, files)  # of the taps that are read
        self._halves: dict[str, dict[int, tuple[link.Open, int]]] = {}  # recordings of which not all taps are there yet
        self._closings: dict[str, asyncio.Task[Sidecar]] = {}
        self._waiting: dict[str, list[About]] = {}
        self.strangers: dict[str, int] = {}
        """Taps that control goes on with and nobody here knows (rule D7): rule C5 ends them."""

    def take(self, message: link.ToWorker, descriptors: tuple[int, ...]) -> None:
        """One message of control, with the descriptors that came with it, which are ours from now on."""
        match message:
            case link.Open():
                self._open(message, descriptors[0])
            case link.Ear():
                self._ears.attach(message.slot, descriptors[0])
            case link.Configure():
                for descriptor in descriptors:
                    os.close(descriptor)
            case link.Loudness():
                logs.configure(message.level, message.form)
            case _ if self._is_soon(message):
                self._waiting.setdefault(message.recording_id, []).append(message)
            case _ if self._holds(message):
                self._about(message)
            case link.Forget():  # refused, or forgotten already
                self._ears.release(message.slot)
                self._strike_out(message.recording_id)

    def draft(self, slot: int) -> Draft:
        """What was asked for."""
        return self._drafts[self._state.live.taps["recording"][slot].decode()]

    def happened(self, news: list[News]) -> None:
        """What media decided, for events and the log."""
        for tap, event, source, pressed, payload_type in news:
            record = self._state.live.taps[tap]
            where: Fields = {"source": str(source.address), "port": source.port}
            if pressed is not None:
                where = {"digit": pressed.digit, "duration_ms": pressed.frames * 1_000 // CLOCK_RATE}
            if payload_type is not None:
                where |= {"payload_type": payload_type}
            self._tell(tap, event, where)
            if record["trust"] == Trust.UNANNOUNCED and event in ("receiving", "source_changed"):
                self._tell(tap, "unannounced", where | {"announced": story.name(record["announced"])})

    # -- opening

    def _open(self, order: link.Open, descriptor: int) -> None:
        """One tap of a recording; it begins when all of them are there."""
        there = self._halves.setdefault(order.recording_id, {})
        _, before = there.pop(order.channel, (None, None))
        if before is not None:
            os.close(before)
        there[order.channel] = order, descriptor
        if len(there) >= order.channels:
            self._begin([there[channel] for channel in sorted(there)])

    def _begin(self, told: list[tuple[link.Open, int]]) -> None:
        recording_id = told[0][0].recording_id
        del self._halves[recording_id]
        try:
            draft = orders.draft([order for order, _ in told], self._configure)
            sides = tuple(Side(order, orders.wanted(order), descriptor) for order, descriptor in told)
            for order, _ in told:
                orders.key(order.key)
        except (ValueError, KeyError) as error:
            for order, descriptor in told:
                self._starting.refuse(order, descriptor, "order", error)
            return
        held = [side for side in sides if self._holds(side.order)]
        strange = any(link.tap_name(recording_id, side.order.channel) in self.strangers for side in sides)
        if not (held or strange or self._starting.knows(recording_id)):
            return self._starting.add(Start(draft, sides))
        for side in sides:
            if side not in held:
                os.close(side.descriptor)  # said twice; or it would be begun anew over what lies in spool
            elif self._holds(side.order) == TapState.HELD and not side.order.held:
                self._answer(side.order)  # the answer came while nobody was here to hear it
        if held:  # after a death: the columns know it, the socket is all that was missing
            self.opened(Start(draft, tuple(held)))

    def opened(self, start: Start) -> None:
        """Rule C1 is durable and the columns are made: read the sockets, and do what was said meanwhile."""
        self._drafts.take(start.draft)
        for side in start.sides:
            self._let_in(side)
        self._rolling.resume(start.sides[0].order.slot, start.draft)
        for side in start.sides:
            self._say(link.Opened(side.order.slot, start.recording_id))
        for message in self._waiting.pop(start.recording_id, []):
            self.take(message, ())

    def _let_in(self, side: Side) -> None:
        order = side.order
        self._pausing.take(order)
        self._secured.trust(order.slot, orders.key(order.key))
        if order.suite is not None and order.key is None:
            self._taps.blame(order.slot, Flaw.KEY_LOST)
            self._state.commit()
        self._intake.attach(order.slot, side.descriptor)
        self._filters.attach(order.slot)

    def refused(self, message: link.Refused) -> None:
        """It will never be open: nothing that was said of it matters any more, but that it may be forgotten."""
        self._say(message)
        for waiting in self._waiting.pop(message.recording_id, []):
            if isinstance(waiting, link.Forget):
                self.take(waiting, ())

    def _is_soon(self, message: About) -> bool:
        """Whether this is about a tap whose ``Open`` is under way, or must still come to this worker."""
        if self._starting.knows(message.recording_id) or message.recording_id in self._halves:
            return True
        known = message.recording_id in self._drafts
        return isinstance(message, link.Close) and bool(self._holds(message)) and not known

    # -- taps that are open

    def _about(self, message: About) -> None:
        match message:
            case link.Answer() if self._holds(message) == TapState.HELD:
                self._answer(message)
            case link.Source():
                source, policy = orders.source(message.announced), orders.POLICIES[message.policy]
                self._sources.retarget(message.slot, policy, source, time.monotonic_ns())
                self._state.commit()
            case link.Amend() if message.recording_id not in self._closings:
                draft, channel = self._drafts[message.recording_id], self._channel(message.slot)
                self._drafts.change(orders.amended(draft, message, channel))
            case link.Pause():
                self._pausing.take(message)
            case link.Close():
                self._close(message)
            case link.Forget():
                self._forget(message)

    def _answer(self, message: link.Answer | link.Open) -> None:
        announced = Source.of(*message.announced) if message.announced else None
        self._taps.answer(message.slot, announced, time.monotonic_ns())
        self._state.commit()
        if message.recording_id in self._drafts:
            draft, channel = self._drafts[message.recording_id], self._channel(message.slot)
            self._drafts.change(orders.answered(draft, message.announced, channel))

    def _close(self, message: link.Close) -> None:
        closing = self._closings.get(message.recording_id)
        if closing is None:
            closing = self._errands.start(self._finish(message))
            self._closings[message.recording_id] = closing
        elif closing.done():  # control did not hear it, or it would not ask
            self._say(link.Finished(message.slot, message.recording_id, sidecar.encode(closing.result())))

    async def _finish(self, message: link.Close) -> Sidecar:
        self._ears.listen()  # a goodbye is the last word
        problem = Problem(**message.problem) if message.problem else None
        faults = tuple(Problem(**fault) for fault in message.faults)
        draft, slots = await self._drafts.settled(message.recording_id), self._taps.of(message.recording_id)
        done = await self._closing.close(slots, draft, Ending(message.ending), problem, faults)
        for slot in slots:
            self._say(link.Finished(slot, message.recording_id, sidecar.encode(done)))
        return done

    def _forget(self, message: link.Forget) -> None:
        """Booked. It may have been booked by what a worker before us said, while we are still at it."""
        closing = self._closings.get(message.recording_id)
        if closing is not None and not closing.done():
            closing.add_done_callback(lambda _: self.take(message, ()))
            return
        self._filters.forget(message.slot)
        self._intake.release(message.slot)
        self._ears.release(message.slot)
        self._taps.forget(message.slot)
        self._state.commit()
        self._secured.trust(message.slot, None)
        self._strike_out(message.recording_id)

    def _strike_out(self, recording_id: str) -> None:
        """The ledger knows how it ended, all its taps: the spool need not."""
        if self._taps.of(recording_id):
            return
        self._closings.pop(recording_id, None)
        self._drafts.drop(recording_id)
        self._errands.start(self._errands.insist("forget", finishing.forget, self._files, recording_id))

    # -- inside

    def _holds(self, message: link.Open | About) -> TapState:
        return self._taps.holds(message.slot, message.recording_id)

    def _channel(self, slot: int) -> int:
        return int(self._state.live.taps["channel"][slot])

    def _tell(self, tap: int, event: str, fields: Fields) -> None:
        recording = self._state.live.taps["recording"][tap].decode()
        self._say(link.Happened(tap, recording, event, time.time_ns(), fields))
