"""``tapdeck demo``: everything real, small; the exit status is the proof's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from receiver.cli.demo import command
from receiver.lab import demo
from receiver.lab.proof import Proof, prove


def test_the_demo_records_proves_and_tells(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "receiver", "demo", "--calls", "3", "--seconds", "2", "--json"],
        capture_output=True, text=True, timeout=120, env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["exact"]
    assert [call["proof"] for call in told["calls"]] == ["exact"] * 3
    assert len(list(Path(told["recordings"]).glob("*.wav"))) == 3
    assert Path(told["picture"]).read_text().startswith("<svg")
    assert done.stderr == "", "no progress where nobody watches"


@pytest.mark.all
def test_one_wrong_sample_is_exit_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def spoiled(sidecar: Path, *others: object) -> Proof:
        note = json.loads(sidecar.read_bytes())
        sound = sidecar.parent / note["file"]
        octets = bytearray(sound.read_bytes())
        octets[2_044] ^= 1
        sound.write_bytes(octets)
        return prove(sidecar, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(demo, "prove", spoiled)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = CliRunner().invoke(command, ["--calls", "1", "--seconds", "2"])
    assert done.exit_code == 1
    assert "WRONG" in done.stdout


@pytest.mark.all
def test_a_daemon_that_does_not_come_up_is_said_with_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    real = demo._configuration
    monkeypatch.setattr(
        demo, "_configuration", lambda *given: real(*given).replace("/recordings", "/nowhere")
    )
    done = CliRunner().invoke(command, ["--calls", "1", "--seconds", "2"])
    assert done.exit_code == 1
    assert "nowhere" in done.stderr
