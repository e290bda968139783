"""``tapdeck run``: flags, and what an exit status says. The daemon itself is tested in tests/daemon."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.made import Process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "storage"
    made.mkdir()
    return made


@pytest.fixture
def started(folder: Path) -> Iterator[list[Process]]:
    """Daemons to be ended."""
    made: list[Process] = []
    yield made
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def test_a_flag_outranks_the_environment(folder: Path, tmp_path: Path, started: list[Process]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    started.append(daemon := Process(folder, "--directory", str(other), "--listen", "127.0.0.2:0"))
    assert daemon.until_ready().startswith("http://127.0.0.2:")
    assert daemon.end(signal.SIGTERM) == 0
    assert (other / "ledger.sqlite3").exists()
    assert not (folder / "ledger.sqlite3").exists()


@pytest.mark.all
def test_a_configuration_file_is_read(folder: Path, tmp_path: Path, started: list[Process]) -> None:
    config = tmp_path / "tapdeck.toml"
    config.write_text("[media]\nmax_taps = 3\n")
    started.append(daemon := Process(folder, "--config", str(config)))
    daemon.until_ready()
    assert daemon.said("tapdeck runs")[0]["max_taps"] == 8  # the environment outranks it
    assert daemon.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TAPDECK_MEDIA__TICK_MS": "soon"}, "media.tick_ms: expected an integer from 20 to 200, found 'soon'"),
        ({"TAPDECK_HTTP__LISTEN": "0.0.0.0:0"}, "http.token: expected a token"),
        ({"TAPDECK_MEDIA__PORTS": "28000-28001"}, "media.ports: expected at least"),
    ],
)
def test_a_wrong_configuration_is_78_with_the_key(
    folder: Path, started: list[Process], environ: dict[str, str], said: str
) -> None:
    started.append(daemon := Process(folder, environ=environ))
    assert daemon.process.wait(30) == 78
    assert said in daemon.log.read_text()
    assert "Traceback" not in daemon.log.read_text()


@pytest.mark.all
def test_a_door_that_is_taken_is_78(folder: Path, started: list[Process]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        started.append(daemon := Process(folder, "--listen", f"127.0.0.1:{taken.getsockname()[1]}"))
        assert daemon.process.wait(30) == 78
    assert "http.listen: cannot listen on" in daemon.log.read_text()


@pytest.mark.all
def test_a_folder_in_use_is_73(folder: Path, started: list[Process]) -> None:
    started.append(first := Process(folder))
    first.until_ready()
    started.append(second := Process(folder))
    second.log = first.log.with_name("second.log")
    assert second.process.wait(30) == 73
    assert first.process.poll() is None


@pytest.mark.all
def test_a_wrong_flag_is_2(folder: Path, started: list[Process]) -> None:
    started.append(daemon := Process(folder, "--colour", "red"))
    assert daemon.process.wait(30) == 2
