"""The demo's parts; that it works as a whole is `tests/cli/test_demo.py`."""

import tomllib
from pathlib import Path

import pytest

from receiver.lab import demo


def test_callers_differ_in_codec_and_weather() -> None:
    callers = demo.plan(8, 5.0, Path("logs")).callers
    assert {caller.codec for caller in callers} == {"PCMU", "PCMA"}
    assert {caller.weather for caller in callers} == set(demo.WEATHERS)


def test_the_configuration_is_one_that_the_daemon_takes(tmp_path: Path) -> None:
    from receiver import settings

    (tmp_path / "recordings").mkdir()
    config = tmp_path / "tapdeck.toml"
    config.write_text(demo._configuration(tmp_path, 60))
    assert tomllib.loads(config.read_text())
    assert settings.load(config, {}).media.max_taps >= 60


def test_what_the_operator_told_another_daemon_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPDECK_HTTP__TOKEN", "secret")
    assert not any(name.startswith("TAPDECK_") for name in demo._environment())
