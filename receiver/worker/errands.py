"""Work beside the tick: what needs the disk for long, or must wait for something. None of it is ever lost silently."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import structlog

AGAIN_S: Final = 5.0
AT_ONCE: Final = 2  # they read and hash whole recordings beside the tick
Result = TypeVar("Result")
log = structlog.get_logger("worker")


class Errands:
    """Tasks of this worker and the few threads that they use. ``again_s``: the pause after an error of the disk."""

    def __init__(self, again_s: float = AGAIN_S) -> None:
        self._again_s = again_s
        self._threads = ThreadPoolExecutor(AT_ONCE, "errand")
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, errand: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Begin; what it raises goes to the loop's exception handler, which ends the worker."""
        task = asyncio.get_running_loop().create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def insist(self, what: str, work: Callable[..., Result], *arguments: object) -> Result:
        """Do blocking ``work`` in a thread until the disk lets it be done; what was recorded lies in spool."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(self._threads, work, *arguments)
            except OSError as error:
                log.error("the disk refused, tried again soon", what=what, error=str(error), seconds=self._again_s)
            await asyncio.sleep(self._again_s)

    async def idle(self, within_s: float) -> bool:
        """Wait until nothing is under way, but not for ever; False: something still is."""
        waiting = {task for task in self._tasks if not task.done()}
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=within_s)
        return not waiting

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            context = {"message": "an errand failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
