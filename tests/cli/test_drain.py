"""``tapdeck drain``, against a daemon."""

import json
import threading
from collections.abc import Callable

from click.testing import Result


def test_it_waits_until_the_last_tap_is_over(tapdeck: Callable[..., Result]) -> None:
    tap = json.loads(tapdeck("tap", "open", "--source", "any", "--json").stdout)
    assert tapdeck("drain").stdout == "draining, 1 taps live\n"
    refused = tapdeck("tap", "open", "--source", "any")
    assert refused.exit_code == 1
    assert "taken out of service" in refused.stderr
    stopping = threading.Timer(0.2, tapdeck, ("tap", "stop", tap["id"]))
    stopping.start()
    assert json.loads(tapdeck("drain", "--wait", "--json").stdout) == {"draining": True, "taps": 0}
    stopping.join()
