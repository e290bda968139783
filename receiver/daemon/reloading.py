"""SIGHUP: the configuration read anew and checked as a whole, then what can change while running is taken (rule D8).

What cannot keeps its old value, and the log names it: a restart takes it, and under a service manager a restart is a
hand-over, so the taps go on (rule D7). A configuration with a mistake changes nothing at all.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import structlog
from msgspec.structs import replace

from receiver.settings import SECTIONS, ConfigError, Settings, flat

RUNNING: Final = frozenset(
    {
        "media.advertise", "media.source", "relay.topics", "http.token", "http.public_url", "daemon.stop_timeout_s",
        "log.level", "log.format", "record", "taps.direction", "taps.layout", "taps.codec", "taps.ptime_ms",
        "taps.start_timeout_s", "taps.silence_timeout_s", "taps.max_duration_s",
    }
)  # fmt: skip
"""The keys that can change while the daemon runs. For taps that live already, what they were opened with stands."""

log = structlog.get_logger("daemon")


class Difference(NamedTuple):
    """What a new configuration changes: ``settings`` with all that can be taken now, and the keys, sorted."""

    settings: Settings
    taken: list[str]
    waiting: list[str]


def compare(old: Settings, new: Settings) -> Difference:
    """Take of ``new`` what can change while running. Pure."""
    before, after = flat(old), flat(new)
    changed = sorted(key for key in after if after[key] != before[key])
    taken = [key for key in changed if key in RUNNING]
    parts: dict[str, Any] = {key: after[key] for key in taken if "." not in key}
    for section in SECTIONS:
        leaves = {key.partition(".")[2]: after[key] for key in taken if key.startswith(f"{section}.")}
        if leaves:
            parts[section] = replace(getattr(old, section), **leaves)
    return Difference(replace(old, **parts), taken, [key for key in changed if key not in RUNNING])


def reload(old: Settings, reread: Callable[[], Settings], take: Callable[[Settings], None]) -> Settings:
    """Read, check, take; return what holds from now on. Nothing raises: a daemon that runs goes on running."""
    try:
        difference = compare(old, reread())
    except ConfigError as error:
        log.error("the configuration is wrong, the old one stays", mistakes=error.problems)
        return old
    if difference.taken:
        take(difference.settings)
    if difference.waiting:
        hint = "restart the service; under a service manager the taps go on"
        log.warning("these changes wait for a restart", names=difference.waiting, hint=hint)
    log.info("the configuration was read anew", changed=difference.taken)
    return difference.settings
