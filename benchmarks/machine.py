"""What the kernel tells about this machine and about a process: the numbers beside every result."""

import contextlib
import datetime
import os
import platform
import resource
import time
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_UTIME: Final = 11  # of the fields behind the command's name: proc_pid_stat(5), fields 14 and 15


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured."""

    cores: int
    cpu: str
    kernel: str
    python: str
    numpy: str
    date: str


def machine() -> Machine:
    """This machine, today."""
    models = [line for line in (PROC / "cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return Machine(
        cores=os.cpu_count() or 0,
        cpu=models[0].partition(":")[2].strip() if models else platform.machine(),
        kernel=platform.release(),
        python=platform.python_version(),
        numpy=np.__version__,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def load() -> float:
    """How many processes wanted to run during the last minute."""
    return os.getloadavg()[0]


def receive_buffer_errors() -> int:
    """Datagrams that the kernel dropped because a socket was full: RcvbufErrors of the whole machine."""
    names, values = [line.split() for line in (PROC / "net/snmp").read_text().splitlines() if line.startswith("Udp:")]
    return int(values[names.index("RcvbufErrors")])


def allow_descriptors(wanted: int) -> None:
    """Have so many open files, here and in processes started from here. Raises OSError with what to do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (resource.RLIM_INFINITY,) and hard < wanted:
        raise OSError(f"{wanted} open files are needed and {hard} allowed: ulimit -Hn {wanted}, or fewer taps")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Reading(NamedTuple):
    """What a process had used at a time; all of it ns.

    ``main_ns`` is its first thread's share; ``waited_ns`` is how long that thread could have run and had no core.
    """

    wall_ns: int
    user_ns: int
    system_ns: int
    main_ns: int
    waited_ns: int

    @property
    def cpu_ns(self) -> int:
        """User and system."""
        return self.user_ns + self.system_ns


def reading(pid: int) -> Reading:
    """Read a process's clock; raises OSError when it is gone."""
    process = PROC / str(pid)
    user_ns, system_ns = _times_ns(process / "stat")
    main_ns = sum(_times_ns(process / "task" / str(pid) / "stat"))
    return Reading(time.time_ns(), user_ns, system_ns, main_ns, _waited_ns(process / "schedstat"))


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and how much of it is shared (the memory file), in MB."""
    told = dict(line.split(":", 1) for line in (PROC / str(pid) / "status").read_text().splitlines() if ":" in line)
    return tuple(int(told[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "RssShmem"))  # type: ignore[return-value]


def prefer(pid: int) -> None:
    """Let a process go first, all its threads, where that is allowed: what else runs here is not what is measured."""
    with contextlib.suppress(PermissionError, ProcessLookupError, FileNotFoundError):
        for thread in (PROC / str(pid) / "task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), -10)


def _waited_ns(schedstat: Path) -> int:
    """0 where the kernel does not count it (CONFIG_SCHED_INFO)."""
    return int(schedstat.read_text().split()[1]) if schedstat.exists() else 0


def _times_ns(stat: Path) -> tuple[int, int]:
    fields = stat.read_text().rpartition(")")[2].split()
    user, system = (int(field) * 1_000_000_000 // _TICKS_PER_S for field in fields[_UTIME : _UTIME + 2])
    return user, system
