"""Taking stock at a start: every tap that an earlier daemon left without an outcome gets one (promise P6)."""

from collections.abc import Callable, Collection, Sequence

from receiver.ledger.rows import Problem, Summary, read_summary
from receiver.ledger.store import Ledger

NEVER_BEGAN = Problem(
    "never_began", "the daemon died before this tap's recording was on the disk", "ask for the tap again"
)
UNACCOUNTED = Problem(
    "unaccounted",
    "the daemon died while this tap was recorded, and its recording was not in spool or ready at the next start",
    "a job may have taken it; else look for the recording's id in the storage folder and in its backups",
)


def take_stock(
    ledger: Ledger, repaired: Sequence[bytes], stem: Callable[[Summary], str | None], now_ns: int,
    living: Collection[str] = (),
) -> tuple[int, int]:  # fmt: skip
    """Book what rule C5 brought to ``ready/``; end what neither it nor a rebuild knew of. Blocking; twice is once.

    To be run before the first tap is asked for; taps of ``living`` (their ids) go on (rule D7). Returns how many were
    booked, and how many had to be ended.
    """
    booked = sum(ledger.book(sidecar, stem(read_summary(sidecar)), now_ns) for sidecar in repaired)
    ended = 0
    for tap in ledger.open_taps():
        if tap.id in living:
            continue
        if tap.state == "requested":
            ended += ledger.end(tap.id, "failed", "refused", NEVER_BEGAN, now_ns)
        else:
            ended += ledger.end(tap.id, "degraded", "recovered", UNACCOUNTED, now_ns)
    return booked, ended
