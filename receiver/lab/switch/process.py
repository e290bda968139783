"""A switch as a child process, as the demo and tests start it."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from receiver.lab.lines import Gone, Lines, NoLine

PATIENCE_S: Final = 30.0
PROJECT: Final = "lab"


class Ready(msgspec.Struct, frozen=True):
    """The child's first line: where it listens."""

    url: str


class SwitchFailed(RuntimeError):
    """The switch did not come up, or refused; the message says why."""


class SwitchProcess:
    """Up when made; ``with`` ends it whatever happens. ``log`` is the folder of the senders' logs, ``trust`` the file
    of the certificate that it was given."""

    def __init__(self, token: str, log: Path, *arguments: str, trust: str | None = None) -> None:
        self.project, self.token = PROJECT, token
        self._trust = None if trust is None else ssl.create_default_context(cafile=trust)
        command = [sys.executable, "-m", "receiver", "lab", "switch", "--listen", "127.0.0.1:0", "--project", PROJECT]
        self._child = subprocess.Popen(
            [*command, "--log", str(log), "--json", *arguments],
            stdout=subprocess.PIPE, env=os.environ | {"TAPDECK_LAB_TOKEN": token},
        )  # fmt: skip
        assert self._child.stdout is not None
        try:
            line = Lines(self._child.stdout.fileno()).next(PATIENCE_S)
            self.url = msgspec.json.decode(line, type=Ready).url
        except (Gone, NoLine) as error:
            self.close()
            raise SwitchFailed(f"the switch did not come up: {error}") from None
        except BaseException:
            self.close()
            raise

    def ring(self, topic: str, **more: Any) -> str:
        """An inbound call; return its id. ``more``: from, to, voice."""
        return str(self.ask("POST", "/lab/calls", {"topic": topic, **more})["call_id"])

    def calls(self) -> list[dict[str, Any]]:
        """What is under way."""
        calls: list[dict[str, Any]] = self.ask("GET", "/lab/calls")
        return calls

    def voice(self, number: str, **voice: Any) -> None:
        """Who speaks when this number is dialled."""
        self.ask("PUT", f"/lab/voices/{number}", voice)

    def faults(self, **faults: Any) -> None:
        """What goes wrong from now on."""
        self.ask("PUT", "/lab/faults", faults)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The side door. Raises `SwitchFailed`."""
        where = self.url.partition("://")[2]
        if self._trust is None:
            connection = http.client.HTTPConnection(where, timeout=PATIENCE_S)
        else:
            port = int(where.rpartition(":")[2])
            connection = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE_S, context=self._trust)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            told = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise SwitchFailed(f"{method} {path}: the switch does not answer ({error})") from None
        finally:
            connection.close()
        if response.status != 200:
            raise SwitchFailed(f"{method} {path}: {told.decode(errors='replace')}")
        return json.loads(told)

    def close(self) -> None:
        """End the child."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> "SwitchProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
