"""What we ask of the kernel agrees with what the code asks for, and the reasons given agree with arithmetic."""

import inspect
import re
import socket
import subprocess
from pathlib import Path

import pytest

from receiver.crew import BACK_OFF_S
from receiver.net.ports import Ports, ask_for_buffer
from receiver.settings import Media
from tests.tools import needs

FILE = Path(__file__).parents[2] / "config" / "sysctl.d" / "90-tapdeck.conf"
TEXT = FILE.read_text()
LINE = re.compile(r"(#?)((?:net|vm|kernel|fs)(?:\.\w+)+) = (\d+(?: \d+)*)")

ASKED = int(inspect.signature(Ports).parameters["buffer_octets"].default)
PACKETS_A_SECOND = Media().max_taps * 50  # of 20 ms
LOOPBACK, DRIVER = 832, 2_304  # octets charged for a packet of 172
PAGE = 4_096


def values(behind_a_hash: bool) -> dict[str, list[int]]:
    """Key → numbers, of the lines that count or of those behind a hash."""
    found = [match for line in TEXT.splitlines() if (match := LINE.fullmatch(line))]
    return {one[2]: [int(each) for each in one[3].split()] for one in found if bool(one[1]) == behind_a_hash}


def test_every_line_is_a_comment_or_a_key_with_numbers() -> None:
    wrong = [line for line in TEXT.splitlines() if line and not line.startswith("#") and not LINE.fullmatch(line)]
    assert wrong == []
    assert list(values(False)) == ["net.core.rmem_max", "net.core.netdev_max_backlog"]
    assert list(values(True)) == ["net.ipv4.udp_mem"]


def test_the_kernel_may_grant_what_a_port_asks_for() -> None:
    assert values(False)["net.core.rmem_max"] == [ASKED]
    assert "tapdeck asks for 1 MiB" in TEXT
    assert ASKED == 1 << 20


@pytest.mark.parametrize(("limit", "granted"), [(212_992, "425,984"), (ASKED, "2,097,152")])
def test_the_table_is_what_comes_out(limit: int, granted: str) -> None:
    assert f"{2 * limit:,}" == granted
    row = next(line for line in TEXT.splitlines() if granted in line and str(limit) in line)
    for charged in (LOOPBACK, DRIVER):
        packets = 2 * limit // charged
        assert re.search(rf"\b{packets:,} packets, +{packets / 50:.1f} s", row), row


@pytest.mark.parametrize("asked", [212_992, ASKED])
def test_this_kernel_charges_what_the_table_says(asked: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as receiver, socket.socket(type=socket.SOCK_DGRAM) as sender:
        ask_for_buffer(receiver, asked)
        granted = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        if granted < 2 * asked:
            pytest.skip(f"this host grants {granted} octets only: sysctl --load {FILE}")
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        for _ in range(2 * granted // LOOPBACK):
            sender.sendto(bytes(172), receiver.getsockname())
        held = 0
        try:
            while receiver.recv(2_000):
                held += 1
        except BlockingIOError:
            pass
        # One more fits than the sum of the charges says; kernels differ a little in what a packet is charged.
        assert granted // LOOPBACK * 0.9 <= held <= granted // LOOPBACK * 1.5


def test_the_numbers_of_the_other_keys_are_reckoned_from_the_taps() -> None:
    assert f"4,000 taps send {PACKETS_A_SECOND:,} packets/s" in TEXT
    (backlog,) = values(False)["net.core.netdev_max_backlog"]
    assert f"{backlog:,} are {backlog * 1_000 / PACKETS_A_SECOND:.0f} ms" in TEXT
    assert f"at most {backlog * DRIVER / 1e6:.0f} MB a core" in TEXT
    least, pressure, most = values(True)["net.ipv4.udp_mem"]
    assert least < pressure < most == 5 * PACKETS_A_SECOND * DRIVER // PAGE
    assert f"{5 * PACKETS_A_SECOND:,} packets: {5 * PACKETS_A_SECOND * LOOPBACK / 1e9:.1f} GB" in TEXT
    assert f"{most * PAGE / 1e9:.1f}\n# GB" in TEXT
    assert f"less than {most * PAGE / 0.1875 / 1e9:.0f} GB only" in TEXT  # the limit is 3/16 of the memory


def test_the_times_that_nobody_reads_are_the_codes() -> None:
    assert f"{Media().tick_ms / 1_000:g} s between two ticks" in TEXT
    assert f"to {max(BACK_OFF_S):g} s while a media worker is started again" in TEXT


@pytest.mark.all
@needs("sysctl")
def test_sysctl_reads_it() -> None:
    done = subprocess.run(["sysctl", "--dry-run", "--load", str(FILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{key} = {' '.join(map(str, numbers))}" for key, numbers in values(False).items()
    ]
