"""The image builds on both machines that media hosts are made of: every package of the lock comes as a wheel there.

pip is asked, as if it ran there; nothing is installed.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

LOCK = Path(__file__).parents[2] / "requirements.lock"
GLIBC = 36
"""Debian 12 has 2.36; wheels for anything older than that run there."""


@pytest.mark.all
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_package_of_the_lock_has_a_wheel_for(machine: str, tmp_path: Path) -> None:
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(17, GLIBC + 1)]
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run",
         "--ignore-installed", "--target", str(tmp_path / "nowhere"), "--report", str(report), "--no-deps",
         "--require-hashes", "--only-binary=:all:", "--implementation=cp", "--python-version=3.11",
         f"--platform=manylinux2014_{machine}", *platforms, "--requirement", str(LOCK)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    wheels = {
        each["metadata"]["name"].lower(): each["download_info"]["url"].rpartition("/")[2]
        for each in json.loads(report.read_text())["install"]
    }
    locked = re.findall(r"^([\w.-]+)==", LOCK.read_text(), re.MULTILINE)
    assert {name.replace("_", "-") for name in wheels} == set(locked)
    assert wheels["soundfile"].endswith(f"_{machine}.whl"), "the one that brings libsndfile: the image has no other"
