"""One socket's side of the switch: frames in and out, who is at the other end, and what goes wrong on the way."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from receiver.lab.switch.parties import Session
from receiver.lab.switch.requests import Invalid, Refused, Unknown

if TYPE_CHECKING:
    from receiver.lab.switch.exchange import Exchange

HUGE_OCTETS: Final = 10_000_000
CLOSED: Final = 1000
GOING_AWAY: Final = 1001
ABNORMAL: Final = 1006


class Leg:
    """A client's socket. ``send`` and ``close`` belong to whoever has the real one."""

    def __init__(self, exchange: "Exchange", send: Callable[[str], None], close: Callable[[int], None]) -> None:
        self._exchange, self._send, self._close = exchange, send, close
        self.is_open = True
        self._frames = 0
        self._ping: asyncio.TimerHandle | None = None
        self.session: Session | None = None

    def receive(self, text: str) -> None:
        """A text frame of the client's. What means nothing is counted, and answered where it has an id."""
        if not self.is_open:
            return
        self._frames += 1
        self._exchange.counts["frames"] += 1
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("id"), str | int | float | None):
            self._exchange.counts["nonsense"] += 1
        elif isinstance(message.get("method"), str):
            params = message.get("params")
            self._asked(message.get("id"), message["method"], params if isinstance(params, dict) else {})
        else:
            self._acked(message.get("id"))
        if 0 < self._exchange.faults.drop_after <= self._frames:
            self.drop()

    def gone(self) -> None:
        """The socket fell."""
        self.is_open = False
        if self._ping is not None:
            self._ping.cancel()
        if self.session is not None and self.session.leg is self:
            self._exchange.unplugged(self.session)

    def drop(self, code: int = ABNORMAL) -> None:
        """Let the socket fall."""
        if self.is_open:
            self.gone()
            self._close(code)

    def put(self, text: str) -> None:
        """Send, if there is still a socket."""
        if self.is_open:
            self._send(text)

    def say(self, method: str, params: dict[str, Any]) -> None:
        """Ask the client something."""
        number = str(uuid4())
        if self.session is not None and self.is_open:
            self.session.unacked.add(number)
        self.put(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))

    # --- inside

    def _asked(self, number: Any, method: str, params: dict[str, Any]) -> None:
        if method == "signalwire.connect":
            self._connect(number, params)
        elif self.session is None:
            self._error(number, -32002, "not authenticated")
        elif method in self._exchange.faults.refuse:
            self._result(number, dict(zip(("code", "message"), self._exchange.faults.refuse[method], strict=True)))
        else:
            self._exchange.spawn(self._do(self.session, number, method, params))

    async def _do(self, session: Session, number: Any, method: str, params: dict[str, Any]) -> None:
        try:
            result, after = await self._exchange.commands.do(session, method, params)
        except Invalid as error:
            return self._error(number, -32602, str(error))
        except Refused as error:
            return self._result(number, {"code": error.code, "message": error.message})
        except Unknown:
            return self._error(number, -32601, f"unknown method {method}")
        if self._exchange.faults.events_first:
            after()
            self._result(number, result)
        else:
            self._result(number, result)
            after()

    def _acked(self, number: Any) -> None:
        if self.session is not None and isinstance(number, str) and number in self.session.unacked:
            self.session.unacked.remove(number)
        else:
            self._exchange.counts["unasked_answers"] += 1

    def _connect(self, number: Any, params: dict[str, Any]) -> None:
        faults = self._exchange.faults
        if faults.connect_silence:
            return
        told = params.get("authentication")
        keys = told if isinstance(told, dict) else {}
        project, token = keys.get("project"), keys.get("token")
        if faults.connect_error is not None:
            return self._error(number, int(faults.connect_error), "the switch was told to refuse")
        if not isinstance(project, str) or token is None or self._exchange.keys.get(project) != token:
            return self._error(number, -32002, "Authentication service failed with status ''401'', 401 Unauthorized")
        session, restored = self._exchange.plug_in(self, project, params)
        signature = session.protocol.split("_")[1]
        result: dict[str, Any] = {
            "identity": f"{uuid4()}@lab", "protocol": session.protocol, "ice_servers": [],
            "authorization": {"type": "project", "project": project, "project_id": project, "scopes": ["calling"],
                              "signature": signature},
        }  # fmt: skip
        if faults.tell_restored:
            result["session_restored"] = restored
        self._put_answer(number, {"result": result})
        self._exchange.greeted(session)
        self._arm()

    def _arm(self) -> None:
        interval_s = self._exchange.faults.ping_interval_s
        if self._ping is not None:
            self._ping.cancel()
        if interval_s and self.is_open:
            self._ping = self._exchange.later(interval_s, self._tick)

    def _tick(self) -> None:
        self.say("signalwire.ping", {"timestamp": self._exchange.now()})
        self._arm()

    def _result(self, number: Any, result: dict[str, Any]) -> None:
        faults = self._exchange.faults
        if faults.integer_codes and str(result.get("code", "")).isdecimal():
            result = {**result, "code": int(result["code"])}
        self._put_answer(number, {"result": {"result": result} if faults.nested else result})

    def _error(self, number: Any, code: int, message: str) -> None:
        self._put_answer(number, {"error": {"code": code, "message": message}})

    def _put_answer(self, number: Any, members: dict[str, Any]) -> None:
        if number is None:
            return
        faults, roll = self._exchange.faults, self._exchange.roll
        text = json.dumps({"jsonrpc": "2.0", "id": number, **members})
        if roll(faults.no_answer):
            return
        if roll(faults.garbage):
            text = text[:-1]
        elif roll(faults.wrong_id):
            text = json.dumps({"jsonrpc": "2.0", "id": str(uuid4()), **members})
        elif roll(faults.huge):
            text = json.dumps({"jsonrpc": "2.0", "id": number, **members, "padding": "x" * HUGE_OCTETS})
        delay_s = self._exchange.between(faults.late_answer_s)
        if delay_s:
            self._exchange.later(delay_s, self.put, text)
        else:
            self.put(text)
