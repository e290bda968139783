"""Ports for all taps of a wish, or none."""

import pytest

from receiver.control import asked
from receiver.control.means import Berth, NotNow
from receiver.control.taps import Wish
from tests.control.made import WISH, FakeSocket, World


def test_the_second_port_that_is_not_there_gives_the_first_one_back() -> None:
    released: list[int] = []
    free = [7]

    def take(wish: Wish) -> Berth:
        if not free:
            raise NotNow("no_port", "no free port", 1)
        number = free.pop()
        return Berth(number, FakeSocket(number), lambda: released.append(number))

    with pytest.raises(NotNow):
        asked.berths(take, [WISH, WISH])
    assert released == [7]


async def test_each_tap_has_a_slot_and_a_secret_of_its_own(world: World) -> None:
    task = await world.asked(layout="stereo")
    first, second = world.roster.living()
    assert first.slot != second.slot
    assert first.secret != second.secret
    assert (first.sides, second.sides) == ((first, second),) * 2
    task.cancel()
