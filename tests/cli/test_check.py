"""``tapdeck check DIR``: 0 and a word when all is well, 1 and the findings when not."""

import json
from pathlib import Path

import pytest

from receiver.cli import main


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["check", *map(str, arguments)])
    return int(end.value.code or 0)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    for room in ("spool", "ready", "quarantine"):
        (tmp_path / room).mkdir()
    return tmp_path


def test_a_healthy_folder_is_exit_0(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(storage) == 0
    assert capsys.readouterr() == ("", "nothing found\n")


def test_findings_are_exit_1_one_a_line_on_stdout(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (storage / "ready" / "x.txt").write_text("x")
    assert run(storage) == 1
    assert capsys.readouterr() == (
        "ready/x.txt: It is not a recording and not a sidecar. [stray]\n", "findings: 1\n"
    )  # fmt: skip


def test_json(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(storage, "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    (storage / "ready" / "x.txt").write_text("x")
    assert run(storage, "--json") == 1
    told = [{"path": "ready/x.txt", "code": "stray", "message": "It is not a recording and not a sidecar."}]
    assert json.loads(capsys.readouterr().out) == told


def test_no_such_folder_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "away") == 2
    assert "does not exist" in capsys.readouterr().err


def test_no_folder_named_is_a_usage_error() -> None:
    assert run() == 2
