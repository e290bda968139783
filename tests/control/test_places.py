"""A slot and a berth serve one tap at a time."""

from receiver.control.means import Berth
from receiver.control.places import Places
from receiver.control.taps import Tap
from tests.control.made import LIMITS, WISH, FakeSocket


class Room:
    """Places, and the berths that came back."""

    def __init__(self, workers: int = 1, slots: int = 3) -> None:
        self.places = Places(workers, slots)
        self.released: list[int] = []

    def settle(self, worker: int, slot: int) -> Tap:
        number = 20_000 + 10 * worker + slot
        tap = Tap(f"tap-{worker}-{slot}", "r", worker, slot, number, WISH, LIMITS, 0, 0)
        self.places.settle(tap, Berth(number, FakeSocket(number), lambda: self.released.append(number)))
        return tap


def test_the_lowest_slot_goes_first_and_a_slot_that_was_given_back_is_had_again() -> None:
    places = Places(1, 3)
    assert [places.take(0) for _ in range(3)] == [0, 1, 2]
    assert places.room(0) == 0
    places.give_back(0, 1)
    assert places.take(0) == 1


def test_a_tap_is_found_where_it_is_until_it_leaves() -> None:
    room = Room()
    tap = room.settle(0, room.places.take(0))
    assert room.places.at(0, 0) is tap
    assert [(each.id, berth.number) for each, berth in room.places.of(0)] == [("tap-0-0", 20_000)]
    room.places.leave(tap)
    assert room.places.at(0, 0) is None
    assert room.released == [20_000]
    assert room.places.room(0) == 3


def test_a_workers_taps_come_in_order_of_their_slots() -> None:
    room = Room(workers=2)
    for worker, slot in ((1, 2), (0, 1), (1, 0)):
        room.settle(worker, slot)
    assert [tap.slot for tap, _ in room.places.of(1)] == [0, 2]


def test_d7_a_tap_that_goes_on_gets_the_slot_that_it_had() -> None:
    places = Places(2, 3)
    assert places.claim(1, 2) == (1, 2)
    assert places.room(1) == 2
    assert [places.take(1), places.take(1)] == [0, 1]


def test_d7_where_that_slot_is_not_free_it_gets_another() -> None:
    places = Places(2, 2)
    assert places.claim(0, 1) == (0, 1)
    assert places.claim(0, 1) == (1, 0), "somebody has it: the worker with the most room"
    assert places.claim(0, 7) == (0, 0), "there are fewer slots now"
    assert places.claim(9, 0) == (1, 1), "there are fewer workers now"


def test_abandoned_berths_are_given_back_once_and_the_taps_stay() -> None:
    room = Room()
    room.settle(0, 0)
    room.settle(0, 1)
    room.places.abandon()
    room.places.abandon()
    assert sorted(room.released) == [20_000, 20_001]
    assert room.places.at(0, 1) is not None
