"""What the kernel threw away: datagrams that found a full socket buffer (rule B6)."""

from itertools import pairwise
from pathlib import Path
from typing import Final

DROPS: Final = (Path("/proc/net/snmp"), Path("/proc/net/snmp6"))


def kernel_drops() -> int:
    """Datagrams that found a full socket buffer, of all programs in this network namespace since it was made."""
    drops = 0
    for path in DROPS:
        try:
            drops += rcvbuf_errors(path.read_text())
        except OSError:
            continue
    return drops


def rcvbuf_errors(text: str) -> int:
    """Read them in the kernel's two ways of writing: a line of names above one of numbers, or one name a line."""
    lines = [line.split() for line in text.splitlines()]
    for heads, numbers in pairwise(lines):
        if heads and heads[0] == "Udp:" == numbers[0] and "RcvbufErrors" in heads:
            return int(numbers[heads.index("RcvbufErrors")])
    return sum(int(line[1]) for line in lines if line and line[0] == "Udp6RcvbufErrors")
