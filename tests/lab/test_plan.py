"""A plan is read, refused with a reason, and comes to a schedule."""

import socket

import msgspec
import numpy as np
import pytest

from receiver.lab import plan as plans
from receiver.lab import sound
from receiver.lab.forecast import Weather
from receiver.lab.plan import Caller, Plan, PlanError


def test_a_plan_survives_json() -> None:
    plan = Plan(
        (Caller(1, "127.0.0.1:4000", weather=Weather(loss=0.1, sizes=(80, 160))), Caller(2, weather="lossy")), seed=7
    )
    assert plans.parse(msgspec.json.encode(plan)) == plan


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "callers"),
        ('{"callers": []}', "without callers"),
        ('{"callers": [{"id": 1}, {"id": 1}]}', "the same id"),
        ('{"callers": [{"id": 1, "weather": "fog"}]}', "fog"),
        ('{"callers": [{"id": 1, "weather": {"loss": 2}}]}', "loss is a share"),
        ('{"callers": [{"id": 1, "codec": "G729"}]}', "G729"),
        ('{"callers": [{"id": 1, "size": 1461}]}', "1461"),
        ('{"callers": [{"id": -1}]}', "-1"),
        ('{"callers": [{"id": 4294967294}]}', "4294967294"),
        ('{"callers": [{"id": 1, "seconds": 0}]}', "speaks for"),
        ('{"callers": [{"id": 1}], "sed": 1}', "sed"),
        ('{"callers": [{"id": 1, "weather": "lossy"}], "lean": true}', "lean"),
        ('{"callers": [{"id": 1}, {"id": 2, "codec": "PCMA"}], "lean": true}', "lean"),
        ('{"callers": [{"id": 1}], "lean": true, "own_ports": true}', "lean"),
        ('{"callers": [{"id": 1, "seconds": 3601}], "lean": true}', "3,600"),
        ('{"callers": [{"id": 1}], "lean": true, "burst": 65}', "burst"),
        ("nonsense", "malformed"),
    ],
)
def test_a_plan_that_cannot_be_sent_says_why(text: str, why: str) -> None:
    with pytest.raises(PlanError, match=why):
        plans.parse(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("127.0.0.1:5000", (socket.AF_INET, "127.0.0.1", 5000)),
        ("127.0.0.1", (socket.AF_INET, "127.0.0.1", 0)),
        ("[::1]:5000", (socket.AF_INET6, "::1", 5000)),
        ("[::1]", (socket.AF_INET6, "::1", 0)),
        ("::1", (socket.AF_INET6, "::1", 0)),
    ],
)
def test_addresses_are_read_in_the_forms_people_write(text: str, read: tuple[int, str, int]) -> None:
    assert plans.address(text, 0) == read


def test_names_are_resolved() -> None:
    _, host, port = plans.address("localhost:5000")
    assert host in ("127.0.0.1", "::1")
    assert port == 5000


@pytest.mark.parametrize("text", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "no such host:1", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        plans.address(text)


def test_a_schedule_mixes_all_callers_in_order_of_time() -> None:
    callers = (
        Caller(5, seconds=1),
        Caller(2, seconds=1, codec="PCMA", start_s=0.5),
        Caller(9, seconds=1, speech=True, size=80),
    )
    packets = plans.schedule(Plan(callers))
    assert np.all(np.diff(packets["when_ns"]) >= 0)
    by_caller = {caller: packets[packets["caller"] == caller] for caller in (5, 2, 9)}
    assert [len(by_caller[caller]) for caller in (5, 2, 9)] == [50, 50, 100]
    assert {int(each["payload_type"][0]) for each in by_caller.values()} == {0, 8}
    assert [int(by_caller[caller]["voice"][0]) for caller in (5, 2, 9)] == [5, 2, sound.SPEECH]
    assert by_caller[2]["when_ns"][0] >= 500_000_000
    assert len({int(each["ssrc"][0]) for each in by_caller.values()}) == 3


def test_a_callers_weather_does_not_depend_on_who_else_calls() -> None:
    one = plans.schedule(Plan((Caller(1, weather="everything"),)))
    two = plans.schedule(Plan((Caller(1, weather="everything"), Caller(2, weather="everything"))))
    assert np.array_equal(one, two[two["caller"] == 1])


def test_the_first_ssrc_can_be_told() -> None:
    packets = plans.schedule(Plan((Caller(1, weather="ssrc_change", ssrc=0xCAFE),)))
    assert int(packets["ssrc"][0]) == 0xCAFE
    assert len(set(packets["ssrc"].tolist())) == 2


def test_the_source_is_the_address_that_the_way_to_the_destination_begins_at() -> None:
    assert plans.source_towards("127.0.0.1:9") == "127.0.0.1"
    assert plans.source_towards("127.0.0.5:9") == "127.0.0.1"
    assert plans.source_towards("[::1]:9") == "[::1]"
