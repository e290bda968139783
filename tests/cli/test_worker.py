"""``tapdeck worker`` is for control: hidden, deaf to signals, and it logs as it is told."""

import signal
from typing import Any

import pytest
from click.testing import CliRunner

from receiver.cli import worker
from receiver.cli.commands import tapdeck
from receiver.watch import log


def test_it_is_not_shown_to_people() -> None:
    assert "worker" not in CliRunner().invoke(tapdeck, ["--help"]).output
    assert worker.command.hidden


def test_it_wants_to_know_who_it_is_and_who_talks_to_it() -> None:
    done = CliRunner().invoke(tapdeck, ["worker", "--index", "0"])
    assert (done.exit_code, "--link" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("environment", "told"),
    [({}, ("info", "auto")), ({"TAPDECK_LOG__LEVEL": "debug", "TAPDECK_LOG__FORMAT": "json"}, ("debug", "json"))],
)
def test_d7_it_ignores_signals_and_takes_its_log_from_the_environment(
    environment: dict[str, str], told: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from receiver.worker import process

    ignored: list[int] = []
    configured: list[tuple[Any, ...]] = []
    ran: list[tuple[int, int]] = []

    async def run(index: int, descriptor: int) -> None:
        ran.append((index, descriptor))

    for name in ("TAPDECK_LOG__LEVEL", "TAPDECK_LOG__FORMAT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(signal, "signal", lambda number, handler: ignored.append(number))
    monkeypatch.setattr(log, "configure", lambda *arguments: configured.append(arguments))
    monkeypatch.setattr(process, "run", run)
    done = CliRunner().invoke(tapdeck, ["worker", "--index", "3", "--link", "7"], env=environment)
    assert done.exit_code == 0, done.output
    assert ran == [(3, 7)]
    assert configured == [told]
    assert set(ignored) >= {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
