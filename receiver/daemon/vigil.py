"""What the service manager is told while the daemon lives: that it is ready, how it is, and that it lives.

Ready is said once, when a worker records. From then on the watchdog is fed only while every worker lives
(`receiver.watch.liveness`), so a service that does not record is ended and started again, and its taps go on (rule D7).
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from receiver.daemon.recorder import Recorder
from receiver.watch import liveness

PATIENCE_NS: Final = 30_000_000_000  # how much longer a start may take that mends what an earlier one left

log = structlog.get_logger("daemon")


class Listener(Protocol):
    """The service manager."""

    def ready(self) -> None: ...
    def status(self, text: str) -> None: ...
    def alive(self) -> None: ...
    def patience(self, span_ns: int) -> None: ...


class Vigil:
    """`watch` is to be called every second or sooner; ``recorder`` is asked."""

    def __init__(self, recorder: Recorder, manager: Listener, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._recorder, self._manager, self._clock_ns = recorder, manager, clock_ns
        self._is_ready = False
        self._said: set[int] = set()

    def watch(self) -> None:
        """Look, and tell."""
        recorder, manager = self._recorder, self._manager
        stuck = self._stuck()
        if self._is_ready and not stuck:
            manager.alive()
        elif not self._is_ready and recorder.records.is_set():
            self._is_ready = True
            manager.ready()
        elif not self._is_ready and self._repairs():
            manager.patience(PATIENCE_NS)
        manager.status(self._in_words())

    def _repairs(self) -> bool:
        return any(told["state"] == "repairing" for told in self._recorder.crew.states())

    def _stuck(self) -> bool:
        """Whether a worker does not live; said once for each time. A disk that hangs is said, and is no such thing."""
        now_ns, counters = self._clock_ns(), self._recorder.counters
        found: dict[int, str] = {}
        for told in self._recorder.crew.states():
            worker = int(told["worker"] or 0)
            gauges = counters.gauges(worker)
            why = liveness.stuck(str(told["state"]), gauges, counters.age_s(worker, now_ns))
            if why is not None:
                found[worker] = why
            if liveness.waits_for_disk(gauges):
                self._recorder.health.complain(f"disk {worker}", "the disk takes nothing of what is to be written")
            else:
                self._recorder.health.recover(f"disk {worker}")
        for worker in found.keys() - self._said if self._is_ready else ():
            log.error("a worker does not live", worker=worker, why=found[worker], hint="the watchdog is not fed")
        self._said = set(found)
        return bool(found)

    def _in_words(self) -> str:
        recorder = self._recorder
        states, reasons = recorder.roster.states(), recorder.health.complaints
        workers = (int(told["worker"] or 0) for told in recorder.crew.states())
        rate = sum(recorder.counters.gauges(worker).get("packets_per_s", 0.0) for worker in workers)
        well = "ready" if not reasons else ", ".join(f"{part}: {why}" for part, why in reasons.items())
        return f"{sum(states.values())} taps, {rate:.0f} packets/s; {well}"
