"""Strangers against a tap that is latched, over real sockets: none of their samples gets into the recording."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver.lab.outbox import Outbox, addresses
from receiver.net import filter as kernel
from receiver.wire.rtp import FIXED_HEADER, HEADER_OCTETS, Verdict
from tests.worker.office import Line, office

Call = Callable[..., Line]
FLOOD = 400  # datagrams at once: a socket buffer of 1 MiB holds them where no filter is


class Strangers:
    """They know SSRC, numbers and law of the caller, and send what comes next of it: all they lack is its address."""

    def __init__(self, tap: Line) -> None:
        number = tap.sender.getsockname()[1]
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        for each, where in zip(self.sockets, [("127.0.0.2", number), *[("127.0.0.1", 0)] * 3], strict=True):
            each.bind(where)
        self._octets = np.full((FLOOD, HEADER_OCTETS + 160), 0x21, np.uint8)
        self._outbox = Outbox(FLOOD)
        self._outbox.address(slice(None), addresses([(socket.AF_INET, *tap.door.getsockname())])[0], socket.AF_INET)
        pieces = self._outbox.pieces[:, 0]
        pieces["base"] = self._octets.ctypes.data + np.arange(FLOOD) * self._octets.strides[0]
        pieces["len"] = self._octets.shape[1]

    def flood(self, first: int) -> int:
        """Forge the packets around number ``first`` of the call; returns how many the kernel took."""
        ahead = first + np.arange(FLOOD) % 64
        header = np.zeros(FLOOD, FIXED_HEADER)
        header["v_p_x_cc"], header["sequence"], header["ssrc"] = 2 << 6, (100 + ahead) & 0xFFFF, 7
        header["timestamp"] = 5_000 + 160 * ahead
        self._octets[:, :HEADER_OCTETS] = header.view(np.uint8).reshape(-1, HEADER_OCTETS)
        rows = np.array_split(np.arange(FLOOD), len(self.sockets))
        return sum(
            int(self._outbox.send(each.fileno(), mine).sum()) for each, mine in zip(self.sockets, rows, strict=True)
        )

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def dropped(door: socket.socket) -> int:
    """Datagrams that the kernel did not queue at this socket: SO_MEMINFO, SK_MEMINFO_DROPS."""
    return int(np.frombuffer(door.getsockopt(socket.SOL_SOCKET, 55, 36), np.uint32)[8])


def no_filter(*_: Any) -> None:
    """A kernel that takes none."""
    raise OSError("no filter here")


@pytest.mark.parametrize(
    ("filtered", "total"),
    [
        pytest.param(True, 20_000, id="kernel"),
        pytest.param(False, 10_000, id="core"),
        pytest.param(True, 1_000_000, id="kernel-million", marks=pytest.mark.all),
        pytest.param(False, 200_000, id="core-200,000", marks=pytest.mark.all),
        pytest.param(False, 1_000_000, id="core-million", marks=pytest.mark.full),
        pytest.param(True, 10_000_000, id="kernel-ten-million", marks=[pytest.mark.full, pytest.mark.timeout(1_800)]),
    ],
)
async def test_p5_foreign_packets_against_a_latched_tap_leave_no_sample(
    filtered: bool, total: int, tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not filtered:
        monkeypatch.setattr(kernel, "attach", no_filter)
    tap = call()
    strangers = Strangers(tap)
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        began_ns = time.monotonic_ns() - 100_000_000
        tap.talk(5)
        one.hear()
        one.slices()  # a filter is attached
        sent, packets = 0, 5
        while sent < total:
            sent += strangers.flood(packets)
            spoken = (time.monotonic_ns() - began_ns) // 20_000_000  # the caller's clock is ours
            tap.talk(max(spoken - packets, 0), first=packets)
            packets = max(spoken, packets)
            if not filtered or sent // FLOOD % 100 == 0:
                one.hear()
            if sent // FLOOD % 100 == 0:
                await one.commit()
                one.slices()  # what is durable makes room
        one.hear()
        foreign = int(one.tap(tap)["verdicts"][Verdict.FOREIGN])
        assert (dropped(tap.door), foreign) == ((sent, 0) if filtered else (0, sent))
        told = await one.close(tap)
        assert (told.outcome, told.frames, told.absent_frames) == ("complete", packets * 160, 0)
        assert np.array_equal(one.sound(tap), tap.truth)
    strangers.close()
