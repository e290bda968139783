"""The tests' own Debian: made once for each list of packages. ``debootstrap`` is played by a script of a few lines."""

import os
from pathlib import Path

import pytest

from tests import debian

DEBOOTSTRAP = """#!/bin/sh
# The last argument is the folder.
echo "$*" >>"$CALLS"
for folder; do :; done
mkdir -p "$folder/etc" "$folder/var/cache/apt/archives" && echo 12 >"$folder/etc/debian_version"
echo "E: no network"
exit "${BROKEN:-0}"
"""


class Calls:
    """What debootstrap was asked."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def lines(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    tool = tmp_path / "tools" / "debootstrap"
    tool.parent.mkdir()
    tool.write_text(DEBOOTSTRAP)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return Calls(tmp_path / "calls")


def test_it_is_made_once_for_each_list_of_packages(calls: Calls) -> None:
    first = debian.root("python3", "dbus")
    assert (first / "etc" / "debian_version").read_text() == "12\n"
    assert debian.root("dbus", "python3", "dbus") == first
    assert len(calls.lines) == 1
    assert "--variant=minbase --include=dbus,python3 bookworm" in calls.lines[0]
    assert debian.root() != first
    assert "--include" not in calls.lines[1]


def test_what_apt_leaves_behind_is_gone(calls: Calls) -> None:
    assert not list((debian.root() / "var" / "cache" / "apt").iterdir())


def test_one_that_could_not_be_made_says_why_and_is_made_again(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(RuntimeError, match=r"debootstrap .* failed with status 1:\n.*no network"):
        debian.root("python3")
    monkeypatch.delenv("BROKEN")
    assert debian.root("python3").exists()


def test_a_copy_is_ones_own(calls: Calls, tmp_path: Path) -> None:
    copied = debian.copy(tmp_path / "root")
    (copied / "etc" / "debian_version").write_text("mine\n")
    assert (debian.root() / "etc" / "debian_version").read_text() == "12\n"
