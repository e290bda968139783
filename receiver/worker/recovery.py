"""Rule K5: what a dead worker left on the memory, taken up before anything is received, in this order.

Pointers (and pages, rule K1); clear again; ``pwrite`` [written, playout) of every tap from the ring; the patch log and
the notes; the slab in hand. Then the sockets. Each step may be cut short by another death and is done again.
"""

import numpy as np
import structlog

from receiver.archive.files import Files
from receiver.archive.finish import finished
from receiver.archive.quarantine import set_aside
from receiver.media.columns import Flaw, TapState
from receiver.media.drain import Drain
from receiver.media.pipeline import Pipeline
from receiver.media.state import State
from receiver.media.taps import Taps
from receiver.net.slab import PlainSlab, Slab
from receiver.worker.intake import Intake
from receiver.worker.shelf import Shelf

log = structlog.get_logger("worker")


class Recovery:
    """The steps, each a verb. ``found`` tells the log what there was."""

    def __init__(
        self, state: State, slab: Slab | PlainSlab, intake: Intake, drain: Drain, taps: Taps, pipeline: Pipeline,
        shelf: Shelf, files: Files,
    ) -> None:  # fmt: skip
        self._state, self._slab, self._intake, self._drain = state, slab, intake, drain
        self._taps, self._pipeline, self._shelf, self._files = taps, pipeline, shelf, files
        self.found: dict[str, int] = {}

    def run(self, worker: int) -> None:
        """All steps, in order."""
        self._slab.point()
        self.clear_again()
        self.reopen()
        self.write_again()
        self._shelf.write_logs()
        self.run_slab(worker)

    def clear_again(self) -> None:
        """A worker that died while it cleared left ``cleared`` behind ``committed`` (rule K4)."""
        for row in np.flatnonzero(self._state.live.rows["tap"] >= 0).tolist():
            self._drain.give_back(row)

    def reopen(self) -> None:
        """The growing files of every tap whose recording is not published yet."""
        taps = self._state.live.taps
        open_ = np.flatnonzero(taps["state"] != TapState.FREE)
        for slot in open_.tolist():
            recording_id = taps["recording"][slot].decode()
            if finished(self._files, recording_id) is None:
                self._shelf.reopen(slot, recording_id)
        self.found["taps"] = int(open_.size)

    def write_again(self) -> None:
        """What was handed on and is not known to be in its part; writing twice is writing once."""
        cuts = self._drain.unwritten()
        for cut in cuts:
            self._shelf.write(cut)
        self.found["rows_written_again"] = len(cuts)

    def run_slab(self, worker: int) -> None:
        """Run what was received and not committed; a slab that two workers died on is set aside (rule K7)."""
        poisoned = self._intake.poisoned()
        if poisoned:
            self._quarantine(worker, poisoned)
        else:
            self.found["datagrams_run_again"] = self._intake.run_again()

    def _quarantine(self, worker: int, count: int) -> None:
        datagrams = self._intake.datagrams(count)
        datagrams.octets[self._pipeline.hidden(datagrams)] = 0  # no octet of these may reach the disk
        ports = self._state.live.taps["port"][datagrams.tap]
        sources = datagrams.high, datagrams.low, datagrams.port
        wall_ns = datagrams.arrival_ns + self._slab.offset_ns
        name = None
        try:
            name = set_aside(self._files, worker, wall_ns, sources, ports, datagrams.octets, datagrams.size)
        except OSError as error:  # evidence is worth less than the sound of everybody else
            log.error("slab not kept", error=str(error))
        log.error("two workers died on these datagrams, they are set aside", file=name, datagrams=count)
        for slot in np.unique(datagrams.tap).tolist():
            self._taps.blame(slot, Flaw.SET_ASIDE)
        self._state.now.world["set_aside"] += 1
        self._state.commit()
        self._intake.drop()
        self.found["datagrams_set_aside"] = count
