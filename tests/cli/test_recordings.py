"""``tapdeck recordings``, against a daemon."""

import json
from collections.abc import Callable

from click.testing import Result


def test_recordings_are_listed(tapdeck: Callable[..., Result]) -> None:
    assert tapdeck("recordings").stdout.split() == [
        "RECORDING",
        "OUTCOME",
        "ENDING",
        "SECONDS",
        "ABSENT",
        "PRESENT",
        "PATH",
    ]
    tap = json.loads(tapdeck("tap", "open", "--source", "any", "--json").stdout)
    tapdeck("tap", "stop", "--wait", tap["id"])
    (line,) = tapdeck("recordings").stdout.splitlines()[1:]
    assert line.split()[:6] == [tap["recording_id"], "empty", "stopped", "0.0", "0", "no"]
    (recording,) = json.loads(tapdeck("recordings", "--json").stdout)
    assert recording["tap_id"] == tap["id"]
