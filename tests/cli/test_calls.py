"""``tapdeck calls``: what the daemon knows, as a table and as JSON."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from receiver.cli.calls import command

CALLS = [
    {"call_id": "c-1", "node_id": "n-1", "state": "answered", "direction": "inbound", "topic": "office", "from": "+1",
     "to": "+2", "taps": ["t-1", "t-2"]},
    {"call_id": "c-2", "node_id": "n-1", "state": "answered", "taps": []},
]  # fmt: skip


class Daemon(BaseHTTPRequestHandler):
    """Answers one path."""

    def do_GET(self) -> None:
        body = json.dumps({"calls": CALLS}).encode()
        self.send_response(200 if self.path == "/v1/calls" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: Any) -> None:
        """Not on our stderr."""


@pytest.fixture
def url() -> Any:
    with HTTPServer(("127.0.0.1", 0), Daemon) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_calls_are_a_table(url: str) -> None:
    done = CliRunner().invoke(command, ["--url", url])
    assert done.exit_code == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["CALL", "NODE", "STATE", "DIRECTION", "TOPIC", "FROM", "TO", "TAPS"]
    assert lines[1] == ["c-1", "n-1", "answered", "inbound", "office", "+1", "+2", "2"]
    assert lines[2] == ["c-2", "n-1", "answered", "-", "-", "-", "-", "0"]


def test_or_json(url: str) -> None:
    done = CliRunner().invoke(command, ["--url", url, "--json"])
    assert json.loads(done.stdout) == CALLS
