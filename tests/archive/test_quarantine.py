"""Rule K7: a slab that two workers died on lies in quarantine as a capture that everybody's tools read."""

import ipaddress
import json
import socket
import struct
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from receiver.archive import quarantine
from receiver.archive.files import Files
from receiver.archive.quarantine import set_aside
from tests.archive.world import NOON_NS, lying
from tests.tools import needs

ADDRESSES = ("192.0.2.7", "2001:db8::1", "198.51.100.255")
PAYLOADS = (b"odd", b"", bytes(range(200)))
OPTIONS = "-o udp.check_checksum:TRUE -o ip.check_checksum:TRUE -T json"
FIELDS = """
    -e udp.srcport -e udp.dstport -e udp.payload -e udp.checksum.status -e ip.checksum.status -e ip.src -e ipv6.src
"""


def slab() -> tuple[NDArray[np.int64], tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint16]]]:
    whole = [int(ipaddress.ip_address(f"::ffff:{each}" if "." in each else each)) for each in ADDRESSES]
    high = np.array([address >> 64 for address in whole], np.uint64)
    low = np.array([address & (2**64 - 1) for address in whole], np.uint64)
    arrival = NOON_NS + np.arange(3) * 1_500_000_001
    return arrival, (high, low, np.array([1000, 2000, 65535], np.uint16))


def put(files: Files) -> str | None:
    octets = np.full((3, 1536), 0xEE, np.uint8)
    for row, payload in enumerate(PAYLOADS):
        octets[row, : len(payload)] = np.frombuffer(payload, np.uint8)
    size = np.array([len(payload) for payload in PAYLOADS], np.uint32)
    arrival, sources = slab()
    return set_aside(files, 1, arrival, sources, np.array([20_000, 20_002, 20_004]), octets, size)


def test_k7_a_slab_is_one_file_however_often(files: Files, tmp_path: Path) -> None:
    name = put(files)
    assert name == "quarantine/slab-1-20231114T221320.123456Z.pcap"
    assert put(files) == name
    assert lying(tmp_path, "quarantine") == ["slab-1-20231114T221320.123456Z.pcap"]


def test_k7_read_octet_by_octet(files: Files) -> None:
    name = put(files)
    assert name
    octets = files.read(name)
    assert struct.unpack_from("<IHHiIII", octets) == (0xA1B23C4D, 2, 4, 0, 0, 65535, 101)
    at, times, packets = 24, [], []
    while at < len(octets):
        seconds, nanoseconds, kept, full = struct.unpack_from("<IIII", octets, at)
        assert kept == full
        times.append(seconds * 10**9 + nanoseconds)
        packets.append(octets[at + 16 : at + 16 + kept])
        at += 16 + kept
    assert times == slab()[0].tolist()
    assert packets[0][:1] == packets[2][:1] == b"\x45"
    assert packets[1][:1] == b"\x60"
    assert socket.inet_ntop(socket.AF_INET, packets[0][12:16]) == ADDRESSES[0]
    assert socket.inet_ntop(socket.AF_INET6, packets[1][8:24]) == ADDRESSES[1]
    assert [packet[20 if packet[0] == 0x45 else 40 :][8:] for packet in packets] == list(PAYLOADS)


@needs("tshark")
def test_k7_tshark_reads_it_and_finds_the_checksums_true(files: Files, tmp_path: Path) -> None:
    name = put(files)
    told = subprocess.run(
        ["tshark", "-r", tmp_path / str(name), *OPTIONS.split(), *FIELDS.split()],
        capture_output=True, check=True,
    )  # fmt: skip
    rows = [row["_source"]["layers"] for row in json.loads(told.stdout)]
    assert [(row["udp.srcport"], row["udp.dstport"]) for row in rows] == [
        (["1000"], ["20000"]), (["2000"], ["20002"]), (["65535"], ["20004"]),
    ]  # fmt: skip
    assert [bytes.fromhex(row.get("udp.payload", [""])[0]) for row in rows] == list(PAYLOADS)
    assert [row["udp.checksum.status"] for row in rows] == [["1"]] * 3  # good
    assert [row.get("ip.checksum.status") for row in rows] == [["1"], None, ["1"]]
    assert [row.get("ip.src", row.get("ipv6.src"))[0] for row in rows] == list(ADDRESSES)


def test_what_the_kernel_cut_off_is_told_by_the_capture(files: Files) -> None:
    arrival, (high, low, port) = slab()
    octets = np.zeros((1, 1536), np.uint8)
    one = slice(0, 1)
    sources = high[one], low[one], port[one]
    name = set_aside(files, 0, arrival[one], sources, np.array([20_000]), octets, np.array([1_600]))
    assert name
    _, _, kept, full = struct.unpack_from("<IIII", files.read(name), 24)
    assert (kept, full) == (20 + 8 + 1536, 20 + 8 + 1600)


def test_whoever_makes_workers_die_cannot_fill_the_disk(files: Files, tmp_path: Path) -> None:
    for number in range(quarantine.MOST_SLABS):
        (tmp_path / "quarantine" / f"slab-0-{number}.pcap").write_bytes(b"")
    assert put(files) is None
    assert len(lying(tmp_path, "quarantine")) == quarantine.MOST_SLABS


def test_an_empty_slab_is_an_empty_capture(files: Files) -> None:
    none = np.empty(0, np.int64)
    name = set_aside(files, 0, none, (none, none, none), none, np.empty((0, 1536), np.uint8), none)
    assert len(files.read(str(name))) == 24
