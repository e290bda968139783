"""The command line's way in: what an error means for the exit status."""

from importlib import import_module

import click
import pytest

from receiver.cli import EXITS, exit_status, main
from tests.cli.made import run


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

    error = StorageError("no such folder", "is the volume mounted?")
    monkeypatch.setattr("receiver.cli.commands.tapdeck", failing(error))
    assert run() == 73
    captured = capsys.readouterr()
    assert captured.err == "tapdeck: no such folder; is the volume mounted?\n"
    assert not captured.out


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.cli.commands.tapdeck", failing(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError):
        main([])
