"""``tapdeck config``: would the daemon start, and where does each value come from."""

import json
from pathlib import Path

import pytest

from receiver.cli import common, main
from receiver.settings import TYPES


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of this machine or terminal gets in."""
    monkeypatch.setattr(common, "USUAL_PLACE", tmp_path / "nowhere")
    for variable in ("TAPDECK_CONFIG", "CREDENTIALS_DIRECTORY", "SIGNALWIRE_API_TOKEN", "SIGNALWIRE_PROJECT_ID"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration that says something."""
    file = tmp_path / "tapdeck.toml"
    file.write_text("[media]\ntick_ms = 50\n[http]\ntoken = 'geheim'\n")
    return file


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["config", *map(str, arguments)])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_check_says_good(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--config", file) == 0
    assert capsys.readouterr().out == f"{file}: good\n"
    assert run("check") == 0
    assert capsys.readouterr().out == "no file, defaults and environment: good\n"


def test_check_of_mistakes_is_exit_78_with_each_keys_path(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[media]\ntick_ms = 5\nwindow = 3\n")
    assert run("check", "--config", file) == 78
    captured = capsys.readouterr()
    assert not captured.out
    assert [line.split(":")[1].strip() for line in captured.err.splitlines()] == ["media.window", "media.tick_ms"]


def test_a_file_that_is_not_there_is_exit_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "--config", tmp_path / "nope.toml") == 78
    assert "nope.toml: cannot be read: No such file or directory" in capsys.readouterr().err


def test_check_says_it_in_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"file": None}


def test_show_tells_the_rules_for_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tapdeck.toml"
    file.write_text("media.bind = '127.0.0.1'\n[relay]\nproject = 'p'\ntoken = 't'\n[[record]]\ntopic = 'office'\n")
    assert run("show", "--config", file, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["record"]["value"] == [{"topic": "office", "direction": "both", "layout": "mono", "labels": {}}]
    assert told["relay.token"]["value"] == "********"
    assert run("show", "--config", file) == 0
    assert '"topic": "office"' in capsys.readouterr().out


def test_show_names_where_each_value_comes_from(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAPDECK_STORAGE__DIRECTORY", "/data")
    assert run("show", "--config", file) == 0
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert lines["media.tick_ms"] == ["50", f"file {file}"]
    assert lines["storage.directory"] == ['"/data"', "environment TAPDECK_STORAGE__DIRECTORY"]
    assert lines["media.cooldown_s"] == ["60", "default"]
    assert lines["media.advertise"] == ["-", "default"]
    assert lines["media.allow"] == ["[]", "default"]
    assert list(lines) == list(TYPES)


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_d9_show_shows_no_secret(
    file: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", "--config", file, *arguments) == 0
    said = capsys.readouterr().out
    assert "geheim" not in said
    assert "********" in said


def test_show_speaks_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "--config", file, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["media.tick_ms"] == {"value": 50, "default": 100, "origin": f"file {file}"}
    assert list(answer) == list(TYPES)
