"""What tests of several rooms share: programs from outside, and how much of a count to run.

Three levels: ``./run test`` (quick), ``--all`` (real tools, nothing skipped, counts scaled down), ``--full``.
"""

import os
import shutil
from typing import Literal, TypeVar

import pytest

Level = Literal["quick", "all", "full"]
Count = TypeVar("Count", int, float)

PACKAGES = {
    "buildah": "buildah",
    "capinfos": "tshark",
    "debootstrap": "debootstrap debian-archive-keyring",
    "docker-compose": "docker-compose",
    "dumpcap": "tshark",
    "editcap": "tshark",
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "gst-launch-1.0": "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "promtool": "prometheus",
    "shellcheck": "shellcheck",
    "sox": "sox",
    "soxi": "sox",
    "sysctl": "procps",
    "systemd-analyze": "systemd",
    "systemd-nspawn": "systemd-container",
    "systemd-sysusers": "systemd",
    "tshark": "tshark",
    "unshare": "util-linux",
    "yq": "yq",
}
"""Program → what Debian calls the packages that bring it."""

needs = pytest.mark.needs
"""``@needs("ffmpeg", "sox")``: skips with the reason and the line that installs it, and fails under ``--all``, where
nothing is skipped. Also for one case: ``pytest.param(..., marks=needs("sox"))``."""


def level() -> Level:
    """Which of the three levels runs."""
    if os.environ.get("TAPDECK_TESTS_FULL"):
        return "full"
    return "all" if os.environ.get("TAPDECK_TESTS_ALL") else "quick"


def count(quick: Count, *, all: Count, full: Count) -> Count:
    """How much of something to run at this level: ``count(1_000, all=100_000, full=1_000_000)``."""
    return {"quick": quick, "all": all, "full": full}[level()]


def missing(*tools: str) -> str | None:
    """None if all these programs are there, else the sentence that names what is not and the line that installs it."""
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if not absent:
        return None
    packages = sorted({PACKAGES[tool] for tool in absent})
    return f"{', '.join(absent)} not found; to install: sudo apt-get install -y {' '.join(packages)}"
