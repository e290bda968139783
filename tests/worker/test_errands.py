"""Work beside the tick: insisted on, never lost silently, never waited for without end."""

import asyncio
import threading
from typing import Any

import pytest
import structlog

from receiver.worker.errands import Errands
from tests.worker.office import until


async def test_what_the_disk_refuses_is_tried_again_until_it_works() -> None:
    tries: list[str] = []

    def work(what: str) -> int:
        tries.append(what)
        if len(tries) < 4:
            raise OSError(28, "No space left on device")
        return len(tries)

    with structlog.testing.capture_logs() as logs:
        assert await Errands(again_s=0.0).insist("finish", work, "x") == 4
    assert tries == ["x"] * 4
    assert [entry["what"] for entry in logs] == ["finish"] * 3


async def test_what_is_no_error_of_the_disk_reaches_the_loops_handler() -> None:
    fatal: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: fatal.append(context))

    def work() -> None:
        raise ValueError("a defect")

    errands = Errands(again_s=0.0)
    task = errands.start(errands.insist("finish", work))
    await until(task.done)
    await until(lambda: fatal)
    assert str(fatal[0]["exception"]) == "a defect"


async def test_a_cancelled_errand_is_no_defect() -> None:
    fatal: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: fatal.append(context))
    task = Errands().start(asyncio.Event().wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not fatal


async def test_idle_waits_for_what_is_under_way_but_not_for_ever() -> None:
    errands, gate = Errands(), threading.Event()
    assert await errands.idle(0.0)
    task = errands.start(errands.insist("finish", gate.wait))
    assert not await errands.idle(0.0)
    gate.set()
    assert await errands.idle(20.0)
    assert task.done()


async def test_two_are_done_at_a_time() -> None:
    errands, gate, begun = Errands(), threading.Event(), []

    def work(k: int) -> None:
        begun.append(k)
        gate.wait(20)

    tasks = [errands.start(errands.insist("finish", work, k)) for k in range(4)]
    await until(lambda: len(begun) == 2)
    gate.set()
    await asyncio.gather(*tasks)
    assert sorted(begun) == [0, 1, 2, 3]
