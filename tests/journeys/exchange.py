"""A switch in a process of its own and a daemon that is connected to it."""

import json
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from receiver.lab.switch.process import SwitchProcess
from tests.journeys.host import PATIENCE_S, Host, host

TOKEN = "PTvery-secret"


@contextmanager
def connected(folder: Path, *arguments: str, **keys: str) -> Iterator[tuple[Host, SwitchProcess]]:
    """A host whose relay is a switch of its own; ``arguments`` are the switch's, ``keys`` the daemon's."""
    (folder / "senders").mkdir(parents=True, exist_ok=True)
    with SwitchProcess(TOKEN, folder / "senders", *arguments) as switch:
        relay = {"relay.host": f'"{switch.url}"', "relay.project": '"lab"', "relay.token": f'"{TOKEN}"'}
        with host(folder, **relay, **keys) as one:
            yield one, switch


def until(question: Callable[[], Any], right: Callable[[Any], bool] = bool) -> Any:
    """Ask until the answer is right; return it."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        answer = question()
        if right(answer):
            return answer
        assert time.monotonic() < deadline_s, answer
        select.select([], [], [], 0.05)


def tap_of(one: Host, call_id: str, *states: str) -> dict[str, Any]:
    """The only tap of a call, once it is in one of these states."""
    found: list[dict[str, Any]] = until(
        lambda: one.ask("tap", "list", "--call-id", call_id),
        lambda taps: len(taps) == 1 and (not states or taps[0]["state"] in states),
    )
    return found[0]


def sidecar_of(one: Host, tap: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """What lies in ready/ of a tap."""
    (path,) = (one.recordings / "ready").rglob(f"*{tap['recording_id']}.json")
    return path, json.loads(path.read_bytes())
