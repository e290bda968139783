"""The command line: what is listed, and what an error means for the exit status."""

from importlib import import_module

import click
import pytest

from receiver import cli
from receiver.cli import COMMANDS, EXITS, exit_status, main


def run(*arguments: str) -> int:
    """The exit status of ``tapdeck ARGUMENTS``."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_help_lists_every_command_but_the_workers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    listed = capsys.readouterr().out.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.strip().splitlines()] == [name for name in COMMANDS if name != "worker"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_table_is_there_with_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert f"Usage: tapdeck {name}" in capsys.readouterr().out


def test_a_wrong_command_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nonsense") == 2
    captured = capsys.readouterr()
    assert "No such command 'nonsense'" in captured.err
    assert not captured.out


@pytest.mark.parametrize("name", EXITS)
def test_every_error_in_the_table_exists(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(import_module(module), kind), Exception)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PermissionError("x"), 77),
        (FileNotFoundError("x"), 74),
        (OSError("x"), 74),
        (ValueError("x"), None),
        (KeyError("x"), None),
    ],
)
def test_the_nearest_class_counts(error: Exception, status: int | None) -> None:
    assert exit_status(error) == status


def failing(error: Exception) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


def test_an_expected_error_is_a_line_on_stderr_and_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from receiver.archive.files import StorageError

    monkeypatch.setattr(cli, "tapdeck", failing(StorageError("no such folder", "is the volume mounted?")))
    assert run() == 73
    captured = capsys.readouterr()
    assert captured.err == "tapdeck: no such folder; is the volume mounted?\n"
    assert not captured.out


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "tapdeck", failing(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError):
        main([])
