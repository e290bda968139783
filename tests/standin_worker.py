"""A worker that records nothing: control's honest peer in the quick tests. A real process that speaks the link.

It counts the datagrams that come to its sockets, as if each were a packet of 160 samples, and leaves a WAV without
sound and a short sidecar in ``ready/``. It keeps nothing over its death but what it was given, like the real one. How
many lives its memory file has seen stands in the first octet of it.

A tap's label ``standin`` asks for something special: ``refuse``, ``mute`` (never opened), ``die`` (on every Open),
``die once``, ``die at close`` (once), ``twice`` (Finished comes twice), ``garbage`` (sends nonsense), ``hang`` (says
nothing more, once opened), ``end`` (ends by itself).
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # it is run as a file, from wherever the daemon was

from receiver import link

REPORT_S = 0.05


class StandIn:
    """Its state is what a worker may lose."""

    def __init__(self, configure: link.Configure, memory: int, end: link.Link[link.ToControl, link.ToWorker]) -> None:
        self.configure, self.memory, self.end = configure, memory, end
        self.taps: dict[int, link.Open] = {}
        self.sockets: dict[int, socket.socket] = {}
        self.packets: dict[int, int] = {}
        self.first_ns: dict[int, int] = {}
        self.heard_ns: dict[int, int] = {}
        self.loop = asyncio.get_running_loop()
        self.directory = Path(configure.directory)

    def begin(self) -> None:
        """As rules K5 and C5 would have it, in short."""
        lives = os.pread(self.memory, 1, 0)
        os.pwrite(self.memory, bytes([lives[0] + 1 if lives else 1]), 0)
        for room in ("spool", "ready"):
            (self.directory / room).mkdir(exist_ok=True)
        if self.configure.repair:
            drafts = sorted((self.directory / "spool").glob("*.draft"))
            repaired = [self.publish(json.loads(draft.read_bytes()), "recovered", "degraded", 0) for draft in drafts]
            self.end.send(link.Repaired(repaired))
        self.end.send(link.Mapped(0))
        self.end.send(link.Ready(self.configure.index, os.getpid(), not lives))
        self.loop.call_later(REPORT_S, self.report)

    def take(self, message: link.ToWorker, descriptors: tuple[int, ...]) -> None:
        """Obey."""
        match message:
            case link.Open():
                self.open(message, descriptors[0])
            case link.Close() if message.slot in self.taps:
                self.close(message)
            case link.Forget() if message.slot in self.taps:
                self.loop.remove_reader(self.sockets[message.slot])
                self.sockets.pop(message.slot).close()
                del self.taps[message.slot]

    def open(self, tap: link.Open, descriptor: int) -> None:
        """Begin to count."""
        udp = socket.socket(fileno=descriptor)
        special = tap.labels.get("standin")
        if special == "die" or (special == "die once" and self.first_time(tap)):
            os._exit(9)
        if special == "refuse":
            udp.close()
            return self.end.send(link.Refused(tap.slot, tap.recording_id, "storage", "no space", "make some"))
        self.taps[tap.slot], self.sockets[tap.slot], self.packets[tap.slot] = tap, udp, 0
        self.loop.add_reader(udp, self.count, tap.slot)
        if special == "garbage" and self.first_time(tap):
            self.end._put(b"\0nonsense", ())
        if special != "mute":
            draft = {"recording_id": tap.recording_id, "tap_id": tap.tap_id, "labels": tap.labels}
            draft |= {"requested_at": datetime.fromtimestamp(tap.requested_at_ns / 1e9, UTC).isoformat()}
            (self.directory / "spool" / f"{tap.recording_id}.draft").write_text(json.dumps(draft))
            self.end.send(link.Opened(tap.slot, tap.recording_id))
        if special == "hang" and self.first_time(tap):
            time.sleep(3600)
        if special == "end":
            self.close(link.Close(tap.slot, tap.recording_id, "stopped", None))

    def count(self, slot: int) -> None:
        """A datagram is there."""
        self.sockets[slot].recv(2048)
        self.packets[slot] += 1
        self.heard_ns[slot] = time.time_ns()
        if slot not in self.first_ns:
            self.first_ns[slot] = self.heard_ns[slot]
            tap = self.taps[slot]
            self.end.send(
                link.Happened(slot, tap.recording_id, "receiving", self.first_ns[slot], {"source": "somewhere"})
            )

    def close(self, order: link.Close) -> None:
        """Leave two names in ready/ and say so."""
        tap = self.taps[order.slot]
        special = tap.labels.get("standin")
        if special == "die at close" and self.first_time(tap):
            os._exit(9)
        beside = [each for each in self.taps.values() if each.recording_id == tap.recording_id]
        packets = max(self.packets[each.slot] for each in beside)
        outcome = "failed" if order.ending == "refused" else "complete" if packets else "empty"
        draft = {"recording_id": tap.recording_id, "tap_id": tap.tap_id, "labels": tap.labels}
        sidecar = self.publish(draft, order.ending, outcome, 160 * packets, order.problem)
        for _ in range(2 if special == "twice" else 1):
            for each in beside:
                self.end.send(link.Finished(each.slot, tap.recording_id, sidecar))

    def publish(self, draft: dict, ending: str, outcome: str, frames: int, problem: object = None) -> bytes:  # type: ignore[type-arg]
        """Write both names and return the sidecar."""
        stem = draft["recording_id"]
        sound = outcome in ("complete", "degraded")
        document = draft | {
            "schema": 1, "file": f"{stem}.wav" if sound else None, "encoding": "pcm16", "sample_rate": 8000,
            "frames": frames, "duration_s": frames / 8000, "absent_frames": 0, "ending": ending, "outcome": outcome,
            "ended_at": datetime.now(UTC).isoformat(), "channels": [{"tap_id": draft["tap_id"], "codec": "PCMU"}],
        }  # fmt: skip
        if problem:
            document["problem"] = problem
        ready = self.directory / "ready"
        if sound:
            (ready / f"{stem}.wav").write_bytes(b"RIFF")
        sidecar = json.dumps(document).encode()
        (ready / f"{stem}.json").write_bytes(sidecar)
        (self.directory / "spool" / f"{stem}.draft").unlink(missing_ok=True)
        return sidecar

    def report(self) -> None:
        """Say what was counted."""
        slots = sorted(self.taps)
        packets = [self.packets[slot] for slot in slots]
        zeros = [0] * len(slots)
        report = link.Report(
            at_ns=time.time_ns(), slots=slots, recording_ids=[self.taps[slot].recording_id for slot in slots],
            packets=packets, lost=zeros, duplicate=zeros, reordered=zeros, late_lost=zeros, invalid=zeros,
            foreign=zeros, unauthentic=zeros, heard_ns=[self.heard_ns.get(slot, 0) for slot in slots],
            first_ns=[self.first_ns.get(slot, 0) for slot in slots], edge_frames=[160 * each for each in packets],
            tallies={"accepted": sum(packets)}, gauges={"backlog": 0.0},
        )  # fmt: skip
        for piece in report.pieces():
            self.end.send(piece)
        self.loop.call_later(REPORT_S, self.report)

    def first_time(self, tap: link.Open) -> bool:
        """Whether this is asked for the first time for this tap, over all lives."""
        try:
            (self.directory / f"standin-{tap.recording_id}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


async def main(index: int, descriptor: int) -> None:
    """Live until control hangs up. Writes down all that it is told in ``told-<index>.jsonl``."""
    end = link.worker_end(descriptor)
    first = await end.receive()
    if first is None:
        return
    assert isinstance(first.message, link.Configure)
    if first.message.name == "hopeless" or (first.message.path / "hopeless").exists():
        sys.exit(73)
    me = StandIn(first.message, first.descriptors[0], end)
    with (me.directory / f"told-{index}.jsonl").open("a", buffering=1) as told:
        told.write(json.dumps([os.getpid(), "Configure", len(first.descriptors)]) + "\n")
        me.begin()
        while (received := await end.receive()) is not None:
            told.write(json.dumps([os.getpid(), type(received.message).__name__, len(received.descriptors)]) + "\n")
            me.take(received.message, received.descriptors)
    if (me.directory / "linger").exists():
        await asyncio.sleep(0.5)
        (me.directory / "linger").rename(me.directory / "left")


if __name__ == "__main__":
    given = argparse.ArgumentParser()
    given.add_argument("--index", type=int)
    given.add_argument("--link", type=int)
    asyncio.run(main(**{"index": given.parse_args().index, "descriptor": given.parse_args().link}))
