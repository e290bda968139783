"""Hooks of a real daemon: a job is told of a recording over a web server's failure and the death of the daemon."""

import base64
import hashlib
import hmac
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.host import PATIENCE_S, host
from tests.journeys.test_daemon_journey import speak
from tests.journeys.test_metrics import read, scraped, until


class Job:
    """A web server of the operator's, which refuses as long as it is told to."""

    def __init__(self) -> None:
        self.refuses = True
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.refused = self.taken = 0
        self.came = threading.Condition()

    def take(self, headers: dict[str, str], document: bytes) -> int:
        """One call; returns the status."""
        with self.came:
            self.refused, self.taken = self.refused + self.refuses, self.taken + (not self.refuses)
            if not self.refuses:
                self.calls.append((headers, document))
            self.came.notify_all()
            return 503 if self.refuses else 204


@contextmanager
def listening(job: Job) -> Iterator[str]:
    """Its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(job.take({name.lower(): value for name, value in self.headers.items()}, document))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}/hook"
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


@pytest.mark.all
def test_p4_a_job_is_told_of_a_recording_over_its_own_failure_and_the_daemons_death(tmp_path: Path) -> None:
    job, out = Job(), tmp_path / "told.jsonl"
    (tmp_path / "key").write_text("geheim\n")
    program = tmp_path / "job.py"
    program.write_text("import sys\nopen(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')\n")
    with listening(job) as url:
        hooks = (
            f'[{{url = "{url}", secret_file = "{tmp_path / "key"}"}},'
            f' {{command = ["{sys.executable}", "{program}", "{out}"]}}]'
        )
        with host(tmp_path, hook=hooks) as one:
            tap = speak(one, tmp_path / "logs")
            one.ask("tap", "stop", tap["id"], "--wait")
            until(one, lambda told, _: told["tapdeck_hook_deliveries_total", "failed"] >= 3)
            one.kill_all()
            with job.came:
                job.refuses = False
            one.start()
            with job.came:
                assert job.came.wait_for(lambda: "recording.ready" in events(job), PATIENCE_S), one.log()
            until(one, lambda told, _: told["tapdeck_hook_deliveries_total", "delivered"] >= 4)
            assert ("tapdeck_hook_deliveries_total", "dropped") in read(scraped(one))
            assert "geheim" not in (tmp_path / "daemon.log").read_text()
    for headers, document in job.calls:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + document
        right = base64.b64encode(hmac.new(b"geheim", signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{right}"
    (ready,) = [each for each in documents(job) if each["event"] == "recording.ready"]
    (sidecar,) = one.sidecars()
    note = json.loads(sidecar.read_bytes())
    assert (ready["recording"]["sha256"], ready["recording"]["file"]) == (note["sha256"], note["file"])
    assert ready["tap"]["labels"] == {"agent": "7"}
    told = {json.loads(line)["event"] for line in out.read_text().splitlines()}
    assert {"tap.requested", "tap.listening", "tap.receiving", "tap.finished", "recording.ready"} <= told


def documents(job: Job) -> list[dict[str, Any]]:
    """What was taken."""
    return [json.loads(document) for _, document in job.calls]


def events(job: Job) -> list[str]:
    """The events that were taken."""
    return [each["event"] for each in documents(job)]
