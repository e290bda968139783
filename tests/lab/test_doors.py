"""A sender's addresses are known before its first packet."""

import socket

import pytest

from receiver.lab.doors import Doors, abouts, aimed, resolved
from receiver.lab.plan import Caller, Plan, PlanError

TWO = (Caller(1, "127.0.0.1:9"), Caller(2, "127.0.0.1:9", codec="PCMA"))


def test_callers_share_one_port_or_have_their_own() -> None:
    shared, own = Doors(Plan(TWO)), Doors(Plan(TWO, own_ports=True))
    try:
        assert len(set(shared.sources)) == 1
        assert len(set(own.sources)) == 2
        assert all(source.startswith("127.0.0.1:") for source in shared.sources + own.sources)
    finally:
        shared.close()
        own.close()


def test_a_port_can_be_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Doors(Plan(TWO, source=f"127.0.0.1:{port}"))
    doors = Doors(Plan(TWO, source=f"127.0.0.1:{port}"))
    assert doors.sources == (f"127.0.0.1:{port}",) * 2
    doors.close()


def test_one_named_port_cannot_be_everybodys_own() -> None:
    with pytest.raises(PlanError, match="share"):
        Doors(Plan(TWO, source="127.0.0.1:5000", own_ports=True))


def test_ipv6_sources_are_told_in_brackets() -> None:
    doors = Doors(Plan(TWO, source="[::1]"))
    assert doors.sources[0].startswith("[::1]:")
    doors.close()


def test_destinations_must_be_as_many_as_callers_and_of_the_sources_family() -> None:
    assert aimed(["a:1", "b:2"], TWO) == ["a:1", "b:2"]
    with pytest.raises(PlanError, match="2 callers"):
        aimed(["a:1"], TWO)
    with pytest.raises(PlanError, match="IP version"):
        resolved(["[::1]:5"], socket.AF_INET)
    with pytest.raises(PlanError, match="nowhere"):
        resolved([""], socket.AF_INET)


def test_the_log_tells_who_sent_what_from_where() -> None:
    told = abouts(Plan(TWO, seed=5), ("127.0.0.1:1", "127.0.0.1:2"), ("127.0.0.1:9", "127.0.0.1:9"))
    assert [(each.caller, each.voice, each.source, each.codec, each.seed) for each in told] == [
        (1, 1, "127.0.0.1:1", "PCMU", 5),
        (2, 2, "127.0.0.1:2", "PCMA", 5),
    ]
