"""A switch as a child: up when made, gone when left."""

import os
import socket
from pathlib import Path

import pytest

from receiver.lab.switch.process import SwitchFailed, SwitchProcess


def test_it_is_up_when_made_answers_and_is_gone_when_left(tmp_path: Path) -> None:
    with SwitchProcess("t", tmp_path) as switch:
        assert switch.url.startswith("ws://127.0.0.1:")
        assert switch.calls() == []
        switch.voice("+1", seconds=3)
        switch.faults(no_answer=0.5)
        with pytest.raises(SwitchFailed, match="nobody receives calls of topic 'office'"):
            switch.ring("office")
        with pytest.raises(SwitchFailed, match="garbge"):
            switch.faults(garbge=1)
        pid = switch._child.pid
        assert "t" not in Path(f"/proc/{pid}/cmdline").read_text().split("\0")  # rule D9: not in an argument vector
    assert switch._child.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_one_that_cannot_listen_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SwitchFailed, match="did not come up"):
            SwitchProcess("t", tmp_path, "--listen", f"127.0.0.1:{port}")
    assert "cannot listen on" in capfd.readouterr().err
