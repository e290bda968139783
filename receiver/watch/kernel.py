"""What the kernel threw away: datagrams for which it had no room (rule B6).

``RcvbufErrors`` are those that found their socket's buffer full, ``MemErrors`` those that would have fitted while all
UDP sockets together held what ``net.ipv4.udp_mem`` grants. A packet filter that refuses raises neither.
"""

from itertools import pairwise
from pathlib import Path
from typing import Final

FILES: Final = (Path("/proc/net/snmp"), Path("/proc/net/snmp6"))
ERRORS: Final = ("RcvbufErrors", "MemErrors")


def kernel_drops() -> int:
    """Datagrams that found no room, of all programs in this network namespace since it was made."""
    drops = 0
    for path in FILES:
        try:
            drops += drops_in(path.read_text())
        except OSError:
            continue
    return drops


def drops_in(text: str) -> int:
    """Read them in the kernel's two ways of writing: a line of names above one of numbers, or one name a line."""
    lines = [line.split() for line in text.splitlines()]
    for names, numbers in pairwise(lines):
        if names and names[0] == "Udp:" == numbers[0]:
            return sum(int(number) for name, number in zip(names, numbers, strict=True) if name in ERRORS)
    wanted = {f"Udp6{name}" for name in ERRORS}
    return sum(int(line[1]) for line in lines if line and line[0] in wanted)
