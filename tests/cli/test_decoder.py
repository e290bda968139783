"""``tapdeck decoder`` is for workers: hidden, deaf to signals, and nicer than they are."""

import os
import signal

import pytest
from click.testing import CliRunner

from receiver import decoder as room
from receiver.cli import decoder
from receiver.cli.commands import tapdeck


def test_it_is_not_shown_to_people() -> None:
    assert "decoder" not in CliRunner().invoke(tapdeck, ["--help"]).output
    assert decoder.command.hidden


@pytest.mark.parametrize("allowed", [True, False])
def test_d7_it_ignores_signals_and_leaves_the_core_to_the_ticks(allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: list[int] = []
    nice: list[int] = []
    ran: list[int] = []

    async def run(descriptor: int) -> None:
        ran.append(descriptor)

    def nicer(by: int) -> int:
        nice.append(by)
        if not allowed:
            raise PermissionError
        return by

    monkeypatch.setattr(signal, "signal", lambda number, handler: ignored.append(number))
    monkeypatch.setattr(os, "nice", nicer)
    monkeypatch.setattr(room, "run", run)
    done = CliRunner().invoke(tapdeck, ["decoder", "--link", "7"])
    assert done.exit_code == 0, done.output
    assert (ran, nice) == ([7], [10])
    assert set(ignored) >= {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
