"""What commands share."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from receiver.cli import common, exit_status
from receiver.cli.common import Away, config_file, print_table, settings_of, with_config


@click.command()
@with_config
def command(config: Path | None) -> None:
    """Says which file it would read."""
    click.echo(config_file(config))


@pytest.fixture
def usual_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The usual place of the configuration, somewhere harmless; nothing is there yet."""
    place = tmp_path / "usual.toml"
    monkeypatch.setattr(common, "USUAL_PLACE", place)
    return place


def test_the_file_is_the_flags_then_the_variables_then_the_one_at_the_usual_place(usual_place: Path) -> None:
    def said(*arguments: str, environment: str | None = None) -> str:
        return CliRunner().invoke(command, arguments, env={"TAPDECK_CONFIG": environment}).output.strip()

    assert said() == ""
    usual_place.touch()
    assert said() == str(usual_place)
    assert said(environment="variable.toml") == "variable.toml"
    assert said("--config", "flag.toml", environment="variable.toml") == "flag.toml"


def test_settings_of_a_command_know_its_flags(usual_place: Path) -> None:
    usual_place.write_text("[storage]\ndirectory = '/file'\n")
    assert settings_of(None).storage.directory == "/file"
    assert settings_of(None, {"storage.directory": "/flag"}).storage.directory == "/flag"


def test_nobody_at_home_is_exit_69() -> None:
    assert exit_status(Away("no answer from http://127.0.0.1:8080", "is `tapdeck run` running?")) == 69


def test_a_table_has_columns_as_wide_as_their_longest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID", "STATE"), [("longer", None), ("x", 3)])
    assert capsys.readouterr().out == "ID      STATE\nlonger  -\nx       3\n"


def test_an_empty_table_is_its_heads(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID", "STATE"), [])
    assert capsys.readouterr().out == "ID  STATE\n"
