"""The command line as click sees it: what is listed, and that all of it is there."""

import pytest
from click.testing import CliRunner

from receiver.cli import COMMANDS, PLAIN
from receiver.cli.commands import tapdeck
from tests.cli.made import run


def test_help_lists_every_command_but_the_workers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    listed = capsys.readouterr().out.partition("Commands:")[2]
    shown = [name for name, text in COMMANDS.items() if text]
    assert [line.split()[0] for line in listed.strip().splitlines()] == shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_table_is_there_with_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert f"Usage: tapdeck {name}" in capsys.readouterr().out


def test_a_wrong_command_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nonsense") == 2
    captured = capsys.readouterr()
    assert "No such command 'nonsense'" in captured.err
    assert not captured.out


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_one_that_goes_without_click_is_there_for_who_comes_by_click(name: str) -> None:
    assert name in COMMANDS
    assert CliRunner().invoke(tapdeck, [name, "--nonsense"]).exit_code == 2
    assert f"Usage: tapdeck {name}" in CliRunner().invoke(tapdeck, [name, "--help"]).output
