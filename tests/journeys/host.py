"""A real daemon in a process of its own, on loopback with free ports, and the command line that talks to it."""

import http.client
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0


class Host:
    """One folder, one configuration, a daemon that may be started again."""

    def __init__(self, folder: Path, **keys: str) -> None:
        self.folder = folder
        self.recordings = folder / "recordings"
        self.recordings.mkdir(parents=True, exist_ok=True)
        self.config = folder / "tapdeck.toml"
        with socket.create_server(("127.0.0.1", 0)) as free:
            listen = free.getsockname()[1]
        first = random.SystemRandom().randrange(20_000, 30_000)
        told = {"media.bind": '"127.0.0.1"', "media.ports": f'"{first}-{first + 199}"', "media.max_taps": "64",
                "media.cooldown_s": "1", "storage.directory": f'"{self.recordings}"', "storage.reserve_mb": "1",
                "http.listen": f'"127.0.0.1:{listen}"', **keys}  # fmt: skip
        self.config.write_text("".join(f"{key} = {value}\n" for key, value in told.items()))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=environment())
        deadline_s = time.monotonic() + PATIENCE_S
        while not self.ready():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline_s, self.log()
            select.select([], [], [], 0.02)

    @property
    def command(self) -> list[str]:
        """What is executed."""
        return [sys.executable, "-W", "error", "-m", "receiver", "run", "--config", str(self.config)]

    def ready(self) -> bool:
        """Whether a tap would be recorded now."""
        return bool(self.state().get("ready"))

    def state(self) -> dict[str, Any]:
        """What ``/readyz`` says; empty where nobody answers."""
        host, port = self.listens
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            told: dict[str, Any] = json.loads(connection.getresponse().read())
            return told
        except OSError:
            return {}
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of what the API answers."""
        return self._request("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """What the API answers to JSON; it must agree."""
        status, told = self._request("POST", path, json.dumps(body))
        assert status < 300, told
        return json.loads(told)

    def _request(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.listens, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def listens(self) -> tuple[str, int]:
        """Where the API answers."""
        line = next(line for line in self.config.read_text().splitlines() if line.startswith("http.listen"))
        host, _, port = line.partition("=")[2].strip(' "').rpartition(":")
        return host, int(port)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command, as a person would type it."""
        return subprocess.run(
            [sys.executable, "-m", "receiver", *arguments, "--config", str(self.config)],
            capture_output=True, text=True, timeout=PATIENCE_S, env=environment(), check=False,
        )  # fmt: skip

    def ask(self, *arguments: str) -> Any:
        """A command's answer as JSON; it must succeed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, f"{arguments}: {done.stderr}\n{self.log()}"
        return json.loads(done.stdout)

    def kill_all(self) -> None:
        """A power cut, as far as a process can play one: nobody gets to say a word, not even the worker."""
        assert self.process is not None
        workers = [worker["pid"] for worker in self.state()["workers"]]
        for pid in (*workers, self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def log(self) -> str:
        """What the daemon said."""
        return (self.folder / "daemon.log").read_text()[-4_000:]

    def sidecars(self) -> list[Path]:
        """All that is final."""
        return sorted((self.recordings / "ready").rglob("*.json"))


@contextmanager
def host(folder: Path, **keys: str) -> Iterator[Host]:
    """A running one, ended with the context whatever happens."""
    one = Host(folder, **keys)
    one.start()
    try:
        yield one
    finally:
        if one.process is not None and one.process.poll() is None:
            one.process.terminate()
            try:
                one.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()


def environment() -> dict[str, str]:
    """Without what the operator of this machine has told another daemon."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TAPDECK_", "SIGNALWIRE_"))}
