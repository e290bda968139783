"""What the tests of both SDKs share: a switch, a UDP port that counts, a peer that speaks in JSON lines."""

import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from receiver.lab.lines import Lines

ROOT = Path(__file__).parents[2]
SDK = ROOT / ".sdk"
INSTALL = "to install: tests/sdk/install (needs node, npm and python3-venv)"
PATIENCE_S = 60.0
TOKEN = "PTsecret"


class Ear:
    """A UDP port: what came to it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE_S)
        self.port = int(self._socket.getsockname()[1])

    def hear(self, packets: int) -> set[tuple[str, int]]:
        """Wait for so many packets; return from where they came."""
        return {self._socket.recvfrom(2_048)[1] for _ in range(packets)}

    def close(self) -> None:
        self._socket.close()


class Peer:
    """A program with a vendor's SDK in it, that says what it sees, a JSON object a line."""

    def __init__(self, command: Sequence[str | Path], environ: Mapping[str, str], cwd: Path) -> None:
        self._child = subprocess.Popen(
            command, cwd=cwd, env=os.environ | environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._child.stdout is not None
        self._lines = Lines(self._child.stdout.fileno())

    def says(self, what: str) -> dict[str, Any]:
        """The next line, which must be about this."""
        told = self._next()
        assert told["what"] == what, told
        return told

    def comes_to(self, what: str) -> dict[str, Any]:
        """The next line about this, whatever is said before."""
        while (told := self._next())["what"] != what:
            pass
        return told

    def _next(self) -> dict[str, Any]:
        while not (line := self._lines.next(PATIENCE_S)).startswith(b"{"):
            pass
        told: dict[str, Any] = json.loads(line)
        return told

    def go(self) -> None:
        """Let it go on."""
        assert self._child.stdin is not None
        self._child.stdin.write(b"\n")
        self._child.stdin.flush()

    def ended(self) -> int:
        """Its exit status."""
        return self._child.wait(PATIENCE_S)

    def close(self) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
