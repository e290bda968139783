"""The demo's parts; that it works as a whole is `tests/cli/test_demo.py`."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from receiver.lab import demo


def test_callers_differ_in_codec_and_weather() -> None:
    callers = demo.callers(8, 5.0)
    assert {caller.codec for caller in callers} == {"PCMU", "PCMA"}
    assert {caller.weather for caller in callers} == set(demo.WEATHERS)


def test_the_configuration_is_one_that_the_daemon_takes(tmp_path: Path) -> None:
    from receiver import settings

    (tmp_path / "recordings").mkdir()
    config = tmp_path / "tapdeck.toml"
    switch = SimpleNamespace(url="ws://127.0.0.1:9", project="lab", token="t")
    config.write_text(demo._configuration(tmp_path, 60, switch))  # type: ignore[arg-type]
    assert tomllib.loads(config.read_text())
    loaded = settings.load(config, {})
    assert loaded.media.max_taps >= 60
    assert loaded.relay.on
    assert loaded.topics == (demo.TOPIC,)


def test_what_the_operator_told_another_daemon_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPDECK_HTTP__TOKEN", "secret")
    monkeypatch.setenv("SIGNALWIRE_API_TOKEN", "secret")
    assert "secret" not in demo._environment().values()
