"""Whether a media worker lives, by what it last reported: what the service manager's watchdog is fed with.

It lives if its tick moved within five seconds and its writer moved, has nothing to do, or waits for the disk: a disk
that hangs is not mended by a restart, which would only have to wait for the same disk.
"""

from collections.abc import Mapping
from typing import Final

STILL_S: Final = 5.0


def stuck(state: str, gauges: Mapping[str, float], report_age_s: float) -> str | None:
    """Return why a worker does not live; None: it does. ``state`` as `receiver.crew` tells it.

    One that brings an earlier service's recordings to their end (``repairing``) may take its time.
    """
    if state == "repairing":
        return None
    if state != "ready":
        return f"is {state}"
    if report_age_s + gauges.get("tick_age_s", 0.0) > STILL_S:
        return f"has not ticked for {report_age_s + gauges.get('tick_age_s', 0.0):.0f} s"
    if gauges.get("writer_age_s", 0.0) > STILL_S and not gauges.get("writer_at_disk"):
        return f"has written nothing for {gauges['writer_age_s']:.0f} s, and does not wait for the disk"
    return None


def waits_for_disk(gauges: Mapping[str, float]) -> bool:
    """Whether the disk has taken nothing for five seconds."""
    return gauges.get("writer_age_s", 0.0) > STILL_S and bool(gauges.get("writer_at_disk"))
