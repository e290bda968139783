"""The loop in virtual time does what the tests that lean on it believe."""

import asyncio

import pytest

from tests import virtual


def test_an_hour_of_waiting_takes_no_time_and_shows_on_the_clock() -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - before_s

    assert virtual.run(wait()) == pytest.approx(3600)


def test_what_is_due_first_comes_first() -> None:
    async def both() -> list[int]:
        seen: list[int] = []

        async def later(seconds: int) -> None:
            await asyncio.sleep(seconds)
            seen.append(seconds)

        await asyncio.gather(later(50), later(7), later(900))
        return seen

    assert virtual.run(both()) == [7, 50, 900]


def test_a_wait_without_a_bound_is_found() -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(virtual.Stuck):
        virtual.run(for_ever())


def test_a_task_that_is_left_behind_is_found() -> None:
    async def careless() -> "asyncio.Task[None]":
        return asyncio.ensure_future(asyncio.sleep(1))

    with pytest.raises(AssertionError, match="left behind"):
        virtual.run(careless())
