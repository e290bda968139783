"""Daemons with a stand-in for a worker: in this process, and as processes of their own."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from receiver import settings
from receiver.settings import Settings

ROOT = Path(__file__).parents[2]
STAND_IN = (sys.executable, str(ROOT / "tests" / "standin_worker.py"))
# `tapdeck run`, but for the command of its workers.
PROGRAM = """
import sys
from receiver import crew, cli
from receiver.daemon import process
run = process.run
process.run = lambda settings, reread: run(settings, reread, sys.argv[1:3])
cli.main(["run", *sys.argv[3:]])
"""


def settings_for(directory: Path, **given: object) -> Settings:
    """Everything on loopback and on free ports; ``given``: keys with __ for the full stop."""
    flags = {
        "storage.directory": str(directory), "http.listen": "127.0.0.1:0", "media.bind": "127.0.0.1",
        "media.max_taps": 8, "media.ports": "29000-29999", "media.cooldown_s": 0, "daemon.stop_timeout_s": 20,
    }  # fmt: skip
    return settings.load(None, {}, flags | {name.replace("__", "."): value for name, value in given.items()})


class Process:
    """A daemon as a process of its own."""

    def __init__(self, directory: Path, *arguments: str, environ: "dict[str, str] | None" = None) -> None:
        self.directory = directory
        self.log = directory.parent / f"{directory.name}.log"
        given = {
            "TAPDECK_STORAGE__DIRECTORY": str(directory), "TAPDECK_HTTP__LISTEN": "127.0.0.1:0",
            "TAPDECK_MEDIA__BIND": "127.0.0.1", "TAPDECK_MEDIA__MAX_TAPS": "8", "TAPDECK_MEDIA__PORTS": "28000-28999",
            "TAPDECK_LOG__FORMAT": "json",
        }  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *STAND_IN, *arguments],
                env=os.environ | given | (environ or {}), cwd=ROOT, stderr=log, stdout=log,
            )  # fmt: skip

    def said(self, event: str) -> "list[dict[str, Any]]":
        """The log's lines about an event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def until_ready(self) -> str:
        """Wait until it is; return its URL."""
        for _ in range(1000):
            if self.process.poll() is not None:
                break
            if self.said("tapdeck runs") and self.ask("/readyz")[0] == 200:
                return self.url
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    @property
    def url(self) -> str:
        """Where it answers, once it does."""
        return str(self.said("tapdeck runs")[0]["url"])

    def ask(self, path: str, body: object = None, token: str = "") -> "tuple[int, Any]":
        """Status and answer of a request: GET, or POST where there is a body."""
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode())
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def end(self, *signals: int) -> int:
        """Send signals, one after the other was noticed; return the exit status."""
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(30)
