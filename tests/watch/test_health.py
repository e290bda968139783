"""Complaints come and go, one per part."""

from receiver.watch.health import Health


def test_without_complaints_all_is_well() -> None:
    assert Health().ready


def test_one_part_has_one_complaint_at_a_time() -> None:
    health = Health()
    health.complain("worker 0", "starting")
    health.complain("ledger", "disk full")
    health.complain("worker 0", "restarting")
    assert not health.ready
    assert health.complaints == {"worker 0": "restarting", "ledger": "disk full"}
    health.recover("worker 0")
    health.recover("ledger")
    health.recover("nobody")
    assert health.ready
