"""The tests' own tools: what is skipped, and where nothing may be."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import PACKAGES, count, level, missing

ROOT = Path(__file__).parents[1]
LEVELS = [({}, "quick"), ({"TAPDECK_TESTS_ALL": "1"}, "all"), ({"TAPDECK_TESTS_FULL": "1"}, "full")]


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPDECK_TESTS_ALL", raising=False)
    monkeypatch.delenv("TAPDECK_TESTS_FULL", raising=False)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(("environment", "expected"), LEVELS)
def test_a_count_goes_by_the_level(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert level() == expected
    assert count(1, all=2, full=3) == {"quick": 1, "all": 2, "full": 3}[expected]


def test_what_is_missing_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert missing("sox", "soxi", "tshark") == (
        "sox, soxi, tshark not found; to install: sudo apt-get install -y sox tshark"
    )
    assert missing() is None
    assert all(missing(tool) for tool in PACKAGES)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("environment", "counted"),
    [({}, "1 skipped"), pytest.param({"TAPDECK_TESTS_ALL": "1"}, "1 error", marks=pytest.mark.all)],
)
def test_a_test_that_lacks_its_program_is_skipped_but_under_all_it_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], counted: str
) -> None:
    (tmp_path / "test_it.py").write_text(
        "from tests.tools import needs\n\n@needs('sox')\ndef test_it(): pass\n"
    )
    monkeypatch.setenv("PATH", "/nowhere")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    command += ["-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert counted in done.stdout
    assert "sox not found; to install: sudo apt-get install -y sox" in done.stdout
