"""Calls that are recorded by themselves (``[[record]]``): answered when they come in on a topic, then tapped."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import structlog

from receiver.control.call import Call
from receiver.control.calls import Client
from receiver.control.errors import RelayAway, RelayDenied, RelayError
from receiver.control.means import NotNow
from receiver.control.roster import Roster
from receiver.control.taps import Wish

log = structlog.get_logger("relay")


class Rule(NamedTuple):
    """Calls of this topic are tapped as ``wish`` says; call and node come from the call."""

    topic: str
    wish: Wish


class Answering:
    """Answers and taps inbound calls by the first rule of their topic; a call without a rule is left to others.

    A call that was answered and cannot be recorded is hung up.
    """

    def __init__(self, roster: Roster, client: Client, rules: Sequence[Rule]) -> None:
        self._roster = roster
        self.take(rules)
        self._tasks: set[asyncio.Task[None]] = set()
        client.listen(on_call_received=self._received)

    def take(self, rules: Sequence[Rule]) -> None:
        """These hold for calls that come in from now on."""
        self._rules = {rule.topic: rule for rule in reversed(rules)}

    async def close(self) -> None:
        """Answer no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _received(self, call: Call) -> None:
        rule = self._rules.get(call.context or "")
        if rule is not None:
            task = asyncio.ensure_future(self._record(call, rule))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _record(self, call: Call, rule: Rule) -> None:
        try:
            await call.answer()
            tap = await self._roster.ask(rule.wish._replace(call_id=call.call_id, node_id=call.node_id))
        except (RelayAway, RelayDenied, RelayError, TimeoutError) as error:
            log.warning("call could not be answered", call=call.call_id, topic=rule.topic, why=str(error))
        except NotNow as error:
            log.error("call not recorded", call=call.call_id, topic=rule.topic, code=error.code, why=error.message)
            with suppress(RelayAway, RelayError):  # we answered: nobody else will speak to the caller
                await call.hangup("error")
        else:
            log.info("call is recorded", call=call.call_id, topic=rule.topic, tap=tap.id)
