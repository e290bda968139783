"""The switch without a socket: text in, text out, and the running loop's time. So it runs in virtual time as well.

Sessions outlive their sockets for a while, calls outlive sessions, and the media of a tap goes on until the tap, its
call or the sound itself is over. Commands for an existing call work from any session of its project.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from itertools import count
from typing import Any
from uuid import uuid4

from receiver.lab.switch.commands import Commands
from receiver.lab.switch.conduct import Conduct
from receiver.lab.switch.faults import GOOD, Faults
from receiver.lab.switch.legs import CLOSED, Leg
from receiver.lab.switch.parties import Call, Session, Tap, Voice
from receiver.lab.switch.sounds import Sounds

Result = dict[str, Any]


class Exchange:
    """One switch. ``keys``: project → token. ``voice`` is who speaks on a call unless somebody else was told to."""

    def __init__(
        self, keys: Mapping[str, str], sounds: Sounds, faults: Faults = GOOD, voice: Voice | None = None,
        dice: random.Random | None = None,
    ) -> None:  # fmt: skip
        self.keys, self.sounds, self.faults = dict(keys), sounds, faults
        self.voice, self.voices = voice or Voice(), dict[str, Voice]()
        self.counts: Counter[str] = Counter()
        self.legs: list[Leg] = []
        self.sessions: dict[str, Session] = {}
        self.calls: dict[str, Call] = {}
        self.taps: dict[str, Tap] = {}  # by what `Sounds` call them, until they are quiet
        self._dice = dice or random.Random()
        self._tasks: set[asyncio.Task[None]] = set()
        self._hushing: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._callers: set[int] = set()
        self._numbers = {True: count(10_000), False: count(1)}
        self.conduct = Conduct(self)
        self.commands = Commands(self, self.conduct)

    # --- the side door

    def attach(self, send: Callable[[str], None], close: Callable[[int], None]) -> Leg:
        """A new socket."""
        leg = Leg(self, send, close)
        self.legs = [each for each in self.legs if each.is_open] + [leg]
        return leg

    def ring(self, topic: str, from_: str, to: str, voice: Voice | None = None) -> str:
        """An inbound call to whoever receives this topic; return its id. ``KeyError`` where nobody does."""
        receiving = [each for each in self.sessions.values() if topic in each.contexts]
        if not receiving:
            raise KeyError(topic)
        session = next((each for each in receiving if each.leg is not None), receiving[0])
        call = self.add(Call(session, "inbound", from_, to, voice or self.voice_of(to), context=topic))
        call.state = "ringing"
        self.emit(session, "calling.call.receive", call.told() | {"project_id": session.project})
        return call.call_id

    def hang_up(self, call_id: str, reason: str = "hangup") -> None:
        """The other party hangs up. ``KeyError``."""
        self.conduct.finish(self.calls[call_id], reason)

    def drop(self) -> None:
        """All sockets fall, as in a network."""
        for leg in list(self.legs):
            leg.drop()

    def disconnect(self, restart: bool = False) -> None:
        """Say farewell to everybody, and close."""
        for leg in list(self.legs):
            leg.say("signalwire.disconnect", {"restart": restart})
            if restart and leg.session is not None:
                self._forget(leg.session)
            self.later(0.2, leg.drop, CLOSED)

    async def close(self) -> None:
        """End everything: what is being worked on, sounds (stopped when it returns), calls without a word, sockets."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(self.quiet(tap) for tap in self.taps.values()), *self._hushing)
        for leg in list(self.legs):
            leg.drop(CLOSED)
        for timer in self._timers:
            timer.cancel()
        self.calls.clear()

    # --- what legs ask

    def plug_in(self, leg: Leg, project: str, params: Result) -> tuple[Session, bool]:
        """A client that is who it says: its session of before, if it is still there, else a new one."""
        session = self.sessions.get(str(params.get("protocol")))
        restored = session is not None and session.project == project and not session.forgotten
        if session is None or not restored:
            protocol = f"signalwire_{uuid4().hex}_{uuid4().hex[:8]}_{project}"
            session = self.sessions[protocol] = Session(project, protocol)
        if session.forgetting is not None:
            session.forgetting.cancel()
            session.forgetting = None
        told = params.get("contexts")
        session.contexts |= {each for each in told if isinstance(each, str)} if isinstance(told, list) else set()
        if leg.session is not None and leg.session is not session:
            self.unplugged(leg.session)
        before, session.leg, leg.session = session.leg, leg, session
        if before is not None and before is not leg:  # a session has one socket
            before.session = None
            before.drop(CLOSED)
        session.sockets += 1
        return session, restored

    def greeted(self, session: Session) -> None:
        """After the greeting: the state for next time, and what was missed."""
        self._put(session, "signalwire.authorization.state", {"authorization_state": uuid4().hex})
        missed, replay = list(session.missed), self.faults.replay_missed
        session.missed.clear()
        for kind, params in missed if replay else ():
            self._put(session, kind, params)

    def unplugged(self, session: Session) -> None:
        """A session has no socket any more; it waits a while for another one."""
        session.leg = None
        self.counts["unacked"] += len(session.unacked)
        session.unacked.clear()
        session.forgetting = self.later(self.faults.keep_session_s, self._forget, session)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a command run beside."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def hush(self, tap: Tap) -> None:
        """Have a tap's sound stopped, beside; it is waited for when the exchange closes."""
        task = asyncio.ensure_future(self.quiet(tap))
        self._hushing.add(task)
        task.add_done_callback(self._hushing.discard)

    async def quiet(self, tap: Tap) -> None:
        """Stop a tap's sound, as soon as it was started; then its name is free."""
        await tap.settled.wait()
        await self.sounds.stop(tap.sound)
        if self.taps.get(tap.sound) is tap:
            del self.taps[tap.sound]

    def later(self, delay_s: float, work: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
        """Do something after a while, unless the exchange is closed before."""

        def do() -> None:
            self._timers.discard(timer)
            work(*arguments)

        timer = asyncio.get_running_loop().call_later(delay_s, do)
        self._timers.add(timer)
        if len(self._timers) % 256 == 0:
            self._timers = {each for each in self._timers if not each.cancelled()}
        return timer

    def roll(self, share: float) -> bool:
        """Whether it happens this time."""
        return bool(share) and self._dice.random() < share

    def between(self, span: tuple[float, float]) -> float:
        """A number from this span."""
        return self._dice.uniform(*span) if any(span) else 0.0

    def now(self) -> float:
        """UNIX time, as the protocol's timestamps."""
        return time.time()

    def emit(self, session: Session, kind: str, params: Result) -> None:
        """Tell a session of something, with all that may go wrong."""
        faults = self.faults
        withheld = not faults.withhold_types or kind in faults.withhold_types
        if withheld and self.roll(faults.withhold_events):
            self.counts["withheld"] += 1
            return
        for _ in range(2 if self.roll(faults.repeat_events) else 1):
            delay_s = self.between(faults.event_delay_s)
            if delay_s:
                self.later(delay_s, self._put, session, kind, params)
            else:
                self._put(session, kind, params)

    # --- inside

    def _put(self, session: Session, kind: str, params: Result) -> None:
        envelope = {
            "event_type": kind, "event_channel": session.protocol, "timestamp": self.now(),
            "project_id": session.project, "params": params,
        }  # fmt: skip
        if session.leg is not None:
            session.leg.say("signalwire.event", envelope)
        elif not session.forgotten and kind != "signalwire.authorization.state":
            session.missed.append((kind, params))

    def _forget(self, session: Session) -> None:
        session.forgotten = True
        self.sessions.pop(session.protocol, None)

    def add(self, call: Call) -> Call:
        self.calls[call.call_id] = call
        return call

    def add_tap(self, tap: Tap) -> Tap:
        """Control ids are unique on a call only; what `Sounds` call a tap is unique here."""
        names = (tap.control_id if number == 0 else f"{tap.control_id}/{number}" for number in count())
        tap.sound = next(name for name in names if name not in self.taps)
        self.taps[tap.sound] = tap.call.taps[tap.control_id] = tap
        return tap

    def voice_of(self, number: str) -> Voice:
        return self.voices.get(number, self.voice)

    def caller_of(self, tap: Tap) -> int:
        """The id of who speaks on a tap; no two taps ever have the same, because logs are named by it."""
        wanted = tap.call.voice.id
        if wanted is None or wanted in self._callers:
            numbers = self._numbers[wanted is not None]
            wanted = next(number for number in numbers if number not in self._callers)
        self._callers.add(wanted)
        tap.caller = wanted
        return wanted
