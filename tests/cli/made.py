"""What tests of the command line share."""

import http.server
from typing import Any

import pytest

from receiver.cli import main


def run(*arguments: str) -> int:
    """The exit status of ``tapdeck ARGUMENTS``."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


class Answers(http.server.BaseHTTPRequestHandler):
    """Remembers the last request and answers what the test wants."""

    status, body, kind = 200, b"{}", "application/json"
    url: str
    seen: "tuple[str, str, dict[str, str], bytes]"

    def _answer(self) -> None:
        octets = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).seen = (self.command, self.path, dict(self.headers), octets)
        self.send_response(self.status)
        self.send_header("Content-Type", self.kind)
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody listens."""
