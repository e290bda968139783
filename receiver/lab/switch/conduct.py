"""What happens to calls and taps, whoever made it happen: states in their order, and who is told."""

from typing import TYPE_CHECKING, Any, Final

from receiver.lab.switch.parties import Call, Tap, scene_of

if TYPE_CHECKING:
    from receiver.lab.switch.exchange import Exchange

RING_S: Final = 0.05
ANSWER_S: Final = 0.1


class Conduct:
    """Moves the calls of one exchange."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange

    def ring(self, call: Call) -> None:
        self._exchange.emit(call.session, "calling.call.state", call.told())
        self._dialled(call, "dialing")
        reason = scene_of(call.to)
        self._exchange.later(RING_S, self.move, call, "ringing")
        if reason is None:
            self._exchange.later(RING_S + ANSWER_S, self._picked_up, call)
        else:
            rings_s = call.timeout_s if reason == "noAnswer" else RING_S + ANSWER_S
            self._exchange.later(rings_s, self.finish, call, reason)

    def _picked_up(self, call: Call) -> None:
        if call.state != "ended":
            self.move(call, "answered")
            self._dialled(call, "answered", {"call": call.told() | {"dial_winner": "true"}})

    def _dialled(self, call: Call, state: str, more: dict[str, Any] | None = None) -> None:
        told = {"node_id": call.node_id, "tag": call.tag, "dial_state": state} | (more or {})
        self._exchange.emit(call.session, "calling.call.dial", told)

    def move(self, call: Call, state: str) -> None:
        if call.state != "ended":
            call.state = state
            self._exchange.emit(call.session, "calling.call.state", call.told())

    def finish(self, call: Call, reason: str) -> None:
        """A call ends, and all that is on it."""
        if call.state == "ended":
            return
        dialling = call.direction == "outbound" and call.state not in ("answered", "ending")
        taps, finished = list(call.taps.values()), self._exchange.faults.finished
        self.move(call, "ending")
        for control_id in list(call.plays):
            self.played(call, control_id)
        for tap in taps if finished != "after" else ():
            self.tapped(tap, told=finished != "never")
        call.state, call.end_reason = "ended", reason
        self._exchange.emit(call.session, "calling.call.state", call.told())
        if dialling:
            self._dialled(call, "failed", {"reason": reason, "source": "outbound"})
        for tap in taps:
            self.tapped(tap)
        self._exchange.calls.pop(call.call_id, None)

    def tapping(self, tap: Tap) -> None:
        if tap.state == "asked":
            tap.state = "tapping"
            self._exchange.emit(tap.session, "calling.call.tap", tap.told())

    def tapped(self, tap: Tap, told: bool = True) -> None:
        """A tap is over, whoever ended it: once. One that never was ``tapping`` is refused by its answer instead."""
        was, tap.state = tap.state, "finished"
        if was != "finished":
            tap.call.taps.pop(tap.control_id, None)
            self._exchange.hush(tap)
        if was == "tapping" and told:
            self._exchange.emit(tap.session, "calling.call.tap", tap.told())

    def over(self, sound: str) -> None:
        """The sound is over by itself."""
        tap = self._exchange.taps.get(sound)
        if tap is not None and tap.call.voice.hang_up:
            self.finish(tap.call, "hangup")
        elif tap is not None:
            self.tapped(tap)

    def playing(self, call: Call, control_id: str, length_s: float) -> None:
        if call.state == "ended":
            return
        self._tell_play(call, control_id, "playing")
        call.plays[control_id] = self._exchange.later(length_s, self.played, call, control_id)

    def played(self, call: Call, control_id: str) -> None:
        timer = call.plays.pop(control_id, None)
        if timer is not None:
            timer.cancel()
            self._tell_play(call, control_id, "finished")

    def _tell_play(self, call: Call, control_id: str, state: str) -> None:
        told = {"call_id": call.call_id, "node_id": call.node_id, "control_id": control_id, "state": state}
        self._exchange.emit(call.session, "calling.call.play", told)
