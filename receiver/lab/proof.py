"""The proof that a recording holds what was sent: every sample at its place, every hole in the list, every counter
true.

It reads the audio, the sidecar and the sender's log, and nothing else: neither the weather nor the recorder's state.
What is wrong becomes a sentence; a recording without one is exact. What it asks:

1. Every sample that is not 0 belongs to a packet of the log that lies there; what does not is named by its content.
2. Every packet of the log lies wholly in the audio, once, at anchor.frame + (timestamp − anchor.timestamp) of an
epoch of its SSRC; the packets go through the epochs in their order; the epochs' anchors agree with the wall times of
the log. 3. Runs of zeros are the rows of the gap list and the other way round; frames, bytes, checksum are true
(``evidence``). 4. The counters are what RFC 3550 makes of the log (``tally``). 5. Outcome and ending are the expected
ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import UnsetType

from receiver.archive.sidecar import Sidecar
from receiver.lab import senderlog
from receiver.lab.evidence import Evidence, Findings, gather
from receiver.lab.judge import NONE, Expected, Judge, unix_ns
from receiver.lab.senderlog import Sent

__all__ = ["Expected", "Log", "Proof", "prove"]

Log = Sent | Path
LONGEST_AHEAD_S = 2.0
"""A recording is at most so much longer than 1.001 times its sender's call (rule A10)."""

_EMPTY_OUTCOMES = ("empty", "failed")


@dataclass(frozen=True)
class Proof:
    """What came out. Samples: ``received`` were sent in distinct packets, ``right`` of them lie at their place,
    ``missing`` do not; ``wrong`` are in the audio and should not be; ``absent`` are frames of silence, all of them
    listed if exact."""

    name: str
    outcome: str
    ending: str
    frames: int
    packets: int
    received: int
    right: int
    wrong: int
    absent: int
    findings: tuple[str, ...]

    @property
    def missing(self) -> int:
        """Samples that were sent and are not at their place."""
        return self.received - self.right

    @property
    def exact(self) -> bool:
        """Nothing was found wrong."""
        return not self.findings

    def __str__(self) -> str:
        verdict = "exact" if self.exact else "NOT EXACT"
        counts = f"{self.right} of {self.received} samples right, {self.wrong} wrong, {self.absent} frames absent"
        return "\n".join([f"{self.name}: {verdict}: {counts}", *(f"  {finding}" for finding in self.findings)])


def prove(
    sidecar: Path, log: Log | Sequence[Log], expected: Expected | None = None, strangers: Sequence[Log] = ()
) -> Proof:
    """Judge one recording in a folder by the logs of its channels (one for mono; in the order of the channels).

    ``strangers`` are the logs of others whose sound must not be in it; they are only used to name what is found.
    Raises OSError or ValueError where a log cannot be read; what is wrong with the recording is never raised.
    """
    expected = expected or Expected()
    sent = [_log(each) for each in ([log] if isinstance(log, Sent | Path) else log)]
    others = [_log(each) for each in strangers]
    evidence = gather(sidecar)
    told, findings = evidence.sidecar, evidence.findings
    if told is None:
        return _proof(sidecar.name, evidence, [])
    _compare_end(told, expected, findings)
    if told.outcome in _EMPTY_OUTCOMES:
        _compare_nothing(evidence, findings)
    if len(told.channels) != len(sent):
        findings.add("channels", f"the sidecar has {len(told.channels)}, the logs are of {len(sent)}")
    judged = [
        Judge(evidence.samples[:, k], channel, log, [*sent, *others], expected, findings)
        for k, (channel, log) in enumerate(zip(told.channels, sent, strict=False))
        if k < evidence.samples.shape[1]
    ]
    if judged and told.outcome not in _EMPTY_OUTCOMES:
        _compare_times(told, judged, expected, findings)
    return _proof(sidecar.name, evidence, judged)


def _log(log: Log) -> Sent:
    return senderlog.read(log) if isinstance(log, Path) else log


def _compare_end(told: Sidecar, expected: Expected, findings: Findings) -> None:
    problem = "" if isinstance(told.problem, UnsetType) else f" ({told.problem.code}: {told.problem.message})"
    if told.outcome != expected.outcome:
        findings.add("outcome", f"{told.outcome}{problem}, expected {expected.outcome}")
    if expected.ending is not None and told.ending != expected.ending:
        findings.add("ending", f"{told.ending}{problem}, expected {expected.ending}")


def _compare_nothing(evidence: Evidence, findings: Findings) -> None:
    """An empty or failed recording is a sidecar alone."""
    told = evidence.sidecar
    assert told is not None
    if told.file is not None or told.parts or told.frames:
        findings.add("outcome", f"{told.outcome}, and yet there is audio")


def _compare_times(told: Sidecar, judged: Sequence[Judge], expected: Expected, findings: Findings) -> None:
    """The recording's own times against the log's."""
    sent_ns = np.concatenate([found.packets["sent_ns"] for each in judged for found in each.places.values()] or [NONE])
    starts = [start for each in judged if (start := each.first_frame_ns()) is not None]
    if not len(sent_ns) or not starts:
        return
    true_ns = {"first_packet_at": int(sent_ns.min()), "started_at": min(starts)}
    for name, true in true_ns.items():
        at = getattr(told, name)
        if isinstance(at, UnsetType):
            findings.add("times", f"{name} is not told")
        elif abs(unix_ns(at) - true) > expected.tolerance_ms * 1e6:
            findings.add("times", f"{name} is {(unix_ns(at) - true) / 1e6:+.1f} ms from the log's")
    slack_s = expected.tolerance_ms / 1e3
    most_s = 1.001 * (int(sent_ns.max()) - int(sent_ns.min())) / 1e9 + LONGEST_AHEAD_S
    if told.frames / told.sample_rate > most_s + slack_s:
        findings.add("times", f"{told.frames} frames are longer than the {most_s:.3f} s that they may last (rule A10)")
    if not isinstance(told.ended_at, UnsetType) and unix_ns(told.ended_at) < sent_ns.max() - slack_s * 1e9:
        findings.add("times", "ended_at is before the last packet")


def _proof(name: str, evidence: Evidence, judged: Sequence[Judge]) -> Proof:
    told = evidence.sidecar
    return Proof(
        name=name.removesuffix(".json"),
        outcome=told.outcome if told else "",
        ending=told.ending if told else "",
        frames=len(evidence.samples),
        packets=sum(each.packets for each in judged),
        received=sum(each.received for each in judged),
        right=sum(each.right for each in judged),
        wrong=sum(each.wrong for each in judged),
        absent=int(np.count_nonzero(evidence.samples == 0)),
        findings=evidence.findings.sentences,
    )
