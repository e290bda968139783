"""One thread that keeps the ledger, so that a slow disk never holds the loop up. First come, first served."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from receiver.ledger.store import Ledger

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class Clerk:
    """Does verbs of ``ledger`` in order. After each ``tell`` gets the error, or None for one that worked."""

    def __init__(self, ledger: Ledger, tell: Callable[[sqlite3.Error | None], None] = lambda error: None) -> None:
        self.ledger = ledger
        self._tell = tell
        self._thread = ThreadPoolExecutor(1, "ledger")

    def do(
        self, verb: Callable[Given, Answer], *arguments: Given.args, **more: Given.kwargs
    ) -> "asyncio.Future[Answer]":
        """Do ``verb`` in its turn; await its answer. Raises what it raises: ``sqlite3.Error`` above all."""
        work = partial(verb, *arguments, **more)
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(self._told)
        return future

    def post(self, verb: Callable[Given, object], *arguments: Given.args, **more: Given.kwargs) -> None:
        """Do ``verb`` in its turn; nobody waits, and a failure is only told. For what a rebuild would bring back."""
        self.do(verb, *arguments, **more).add_done_callback(_raise_defects)

    async def close(self) -> None:
        """Do what is posted, then close the ledger."""
        await self.do(self.ledger.close)
        self._thread.shutdown()

    def _told(self, future: "asyncio.Future[Any]") -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None or isinstance(error, sqlite3.Error):
            self._tell(error)


def _raise_defects(future: "asyncio.Future[Any]") -> None:
    """Nobody waits for a posted verb: what is no trouble of the disk's must not vanish (the loop logs it)."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, sqlite3.Error):
        raise error
