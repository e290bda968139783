"""A loop in virtual time: a wait of 15 minutes takes as long as the work in it, and a wait without a bound fails.

Only what runs on this loop may be waited for: no threads, no real sockets. When nothing is ready, the clock jumps to
the next timer. When nothing is ready and there is no timer, somebody waits for ever: `Stuck` is raised.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")
BEGIN_S = 1_000.0


class Stuck(BaseException):
    """Something is waited for that nobody will ever do. Not an Exception: no code under test may catch it."""


class _Selector(selectors.DefaultSelector):
    """Never sleeps: it tells the loop how far to jump."""

    jump_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Stuck("everybody waits and no timer runs")
        self.jump_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time begins at ``BEGIN_S`` and moves only between turns."""

    def __init__(self) -> None:
        self._jumper = _Selector()
        super().__init__(self._jumper)

    def time(self) -> float:
        return BEGIN_S + self._jumper.jump_s

    def time_ns(self) -> int:
        """The same, for those who count in nanoseconds."""
        return round(self.time() * 1e9)


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run one coroutine from start to end in virtual time. Tasks that it leaves behind are a failure."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        answer = loop.run_until_complete(work)
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        assert not left, f"left behind: {left}"
        return answer
    finally:
        careless = asyncio.all_tasks(loop)
        for task in careless:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*careless, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()
