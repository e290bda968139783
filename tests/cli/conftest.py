"""A daemon for the commands that talk to one: real, but for its worker."""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.cli.made import Answers
from tests.daemon.made import Process


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One daemon for all tests of a file."""
    folder: Path = tmp_path_factory.mktemp("cli") / "storage"
    folder.mkdir()
    made = Process(folder)
    made.until_ready()
    yield made
    made.process.terminate()
    made.process.wait(30)


@pytest.fixture
def tapdeck(daemon: Process, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call a command as a person would; the daemon is in TAPDECK_URL."""
    from receiver.cli.commands import tapdeck as commands

    monkeypatch.setenv("TAPDECK_URL", daemon.url)
    return lambda *words: CliRunner().invoke(commands, words, prog_name="tapdeck", catch_exceptions=False)


@pytest.fixture
def server() -> Iterator[type[Answers]]:
    """A server whose answers are the attributes of the class that comes with it; ``url`` is where it is."""

    class AnswersOfThisTest(Answers):
        pass

    with http.server.HTTPServer(("127.0.0.1", 0), AnswersOfThisTest) as made:
        AnswersOfThisTest.url = f"http://127.0.0.1:{made.server_port}"
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield AnswersOfThisTest
        made.shutdown()
        thread.join()
