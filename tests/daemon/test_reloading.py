"""Rule D8: the configuration read anew, whole; what can change while running is taken, the rest named."""

import pytest
from structlog.testing import capture_logs

from receiver.daemon.reloading import RUNNING, compare, reload
from receiver.settings import TYPES, ConfigError, Settings, load

BASE = {"storage.directory": "/tmp/x", "media.bind": "127.0.0.1", "media.max_taps": 8}


def settings(**given: object) -> Settings:
    return load(None, {}, BASE | {name.replace("__", "."): value for name, value in given.items()})


def test_every_key_that_can_change_is_a_key() -> None:
    assert set(TYPES) >= RUNNING


def test_d8_what_can_change_is_taken_and_the_rest_waits() -> None:
    new = settings(taps__silence_timeout_s=5, log__level="debug", media__window_ms=7_000, http__token="x")
    difference = compare(settings(), new)
    assert difference.taken == ["http.token", "log.level", "taps.silence_timeout_s"]
    assert difference.waiting == ["media.window_ms"]
    assert difference.settings == settings(taps__silence_timeout_s=5, log__level="debug", http__token="x")


def test_nothing_changed_is_nothing_taken() -> None:
    assert compare(settings(), settings()) == (settings(), [], [])


@pytest.mark.parametrize("key", sorted(RUNNING - {"record", "relay.topics", "taps.layout"}))
def test_d8_each_of_them_is_taken(key: str) -> None:
    others = {
        "media.advertise": "203.0.113.5", "media.source": "any", "http.token": "secret", "log.level": "debug",
        "http.public_url": "https://media.example.com", "daemon.stop_timeout_s": 9, "log.format": "json",
        "taps.direction": "speak", "taps.codec": "PCMA", "taps.ptime_ms": 30, "taps.start_timeout_s": 7,
        "taps.silence_timeout_s": 7, "taps.max_duration_s": 7,
    }  # fmt: skip
    new = load(None, {}, BASE | {key: others[key]})
    assert compare(settings(), new) == (new, [key], [])


def test_d8_a_wrong_configuration_changes_nothing_and_says_what_is_wrong() -> None:
    def wrong() -> Settings:
        raise ConfigError(["media.max_taps: expected a number, found x"])

    old, taken = settings(), list[Settings]()
    with capture_logs() as said:
        assert reload(old, wrong, taken.append) is old
    assert not taken
    assert said == [
        {
            "event": "the configuration is wrong, the old one stays", "log_level": "error",
            "mistakes": ("media.max_taps: expected a number, found x",),
        }
    ]  # fmt: skip


def test_d8_what_waits_is_named_and_no_value_is_shown() -> None:
    new = settings(media__window_ms=7_000, http__token="hush")
    taken = list[Settings]()
    with capture_logs() as said:
        after = reload(settings(), lambda: new, taken.append)
    assert taken == [after]
    assert [line["event"] for line in said] == ["these changes wait for a restart", "the configuration was read anew"]
    assert said[0]["names"] == ["media.window_ms"]
    assert "hush" not in repr(said)
