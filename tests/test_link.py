"""The messages between control and worker: both sides understand each other, and nobody else."""

import msgspec
import pytest

from receiver.link import (
    COLUMNS,
    Answer,
    Close,
    Configure,
    Ear,
    Finished,
    Forget,
    Happened,
    LinkBroken,
    Open,
    Opened,
    Ready,
    Refused,
    Repaired,
    Report,
    Source,
    ToControl,
    ToWorker,
    control_end,
    pair,
    worker_end,
)


def report(taps: int) -> Report:
    """A report on ``taps`` taps in which each element of a column can be told from every other."""
    columns = {name: [index * 100 + at for at in range(taps)] for index, name in enumerate(COLUMNS)}
    columns["recording_ids"] = [f"recording-{at}" for at in range(taps)]  # type: ignore[misc]
    return Report(at_ns=5, tallies={"accepted": 7}, gauges={"backlog": 0.5}, **columns)  # type: ignore[arg-type]


CONFIGURE = Configure(
    0, 4000, 100_000_000, 3200, 48000, 10**9, 0, "/var/lib", "{recording_id}", "pcm16", "any", ["127.0.0.1"], 101, True
)
OPEN = Open(
    3, "t", "r", 20_000, 0, "exact", ("192.0.2.1", 0), False, 17 * 10**17, None, None, {"team": "ä"}, "both", "mono"
)
TO_WORKER: list[ToWorker] = [
    CONFIGURE,
    OPEN,
    Ear(3, "r"),
    Answer(3, "r", None),
    Source(3, "r", "any", ("2001:db8::1", 5)),
    Close(3, "r", "refused", {"code": "606", "message": "no", "hint": ""}),
    Forget(3, "r"),
]
TO_CONTROL: list[ToControl] = [
    Ready(0, 123, True),
    Opened(3, "r"),
    Refused(3, "r", "enospc", "no space", "free some"),
    Happened(3, "r", "source_changed", 9, {"from": "192.0.2.1:5", "trust": None, "late": 3, "share": 0.5, "odd": True}),
    report(3),
    Finished(3, "r", b'{"outcome":"complete"}'),
    Repaired([b"{}", b"{}"]),
]


async def test_every_message_arrives_as_it_was_sent() -> None:
    end, other = pair()
    control, worker = control_end(end), worker_end(other.detach())
    for order in TO_WORKER:
        control.send(order)
        assert (await worker.receive()) == (order, ())
    for news in TO_CONTROL:
        worker.send(news)
        assert (await control.receive()) == (news, ())
    control.close()
    assert await worker.receive() is None
    worker.close()


async def test_a_message_for_the_other_side_breaks_the_link() -> None:
    end, other = pair()
    control, worker = control_end(end), worker_end(other.detach())
    control.send(Ready(0, 1, True))  # type: ignore[arg-type]
    with pytest.raises(LinkBroken):
        await worker.receive()
    control.close()


async def test_a_sidecar_of_a_hundred_thousand_gaps_comes_through() -> None:
    end, other = pair()
    control, worker = control_end(end), worker_end(other.detach())
    sidecar = msgspec.json.encode({"gaps": [{"frame": at, "frames": 160, "reason": "lost"} for at in range(100_000)]})
    worker.send(Finished(1, "r", sidecar))
    received = await control.receive()
    assert received is not None
    assert received.message == Finished(1, "r", sidecar)
    control.close()
    worker.close()


@pytest.mark.parametrize(("taps", "sizes"), [(0, [0]), (1, [1]), (256, [256]), (257, [256, 1]), (600, [256, 256, 88])])
def test_a_report_in_pieces_says_the_same(taps: int, sizes: list[int]) -> None:
    whole = report(taps)
    pieces = list(whole.pieces())
    assert [len(piece.slots) for piece in pieces] == sizes
    for name in COLUMNS:
        assert [each for piece in pieces for each in getattr(piece, name)] == getattr(whole, name)
    assert {piece.at_ns for piece in pieces} == {5}
    assert all(piece.tallies == whole.tallies and piece.gauges == whole.gauges for piece in pieces)


def test_the_columns_of_a_report_are_all_its_lists() -> None:
    lists = {field.name for field in msgspec.structs.fields(Report)} - {"at_ns", "tallies", "gauges"}
    assert lists == set(COLUMNS)
