"""A machine of our own: Debian 12 (`tests.debian`) with its own systemd, booted by systemd-nspawn, thrown away.

tapdeck runs in it with that Debian's Python, whatever Python runs the tests: the lock's packages are fetched for it
(``pip --python-version``), because wheels fit one version, and mounting our own environment into it would work only
where both are the same. tapdeck itself is installed as a wheel would be.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests import debian

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = "3.11"  # Debian's
PACKAGES: Final = ("systemd", "systemd-sysv", "dbus", "python3")
PACKAGES_AT: Final = f"opt/tapdeck/lib/python{PYTHON}/site-packages"
LAUNCHER: Final = """#!/opt/tapdeck/bin/python
import sys
from receiver.cli import main
sys.exit(main())
"""
BOOT_S: Final = 280.0
# Runs the scenarios as soon as the machine is up, and turns it off whatever comes of them.
SCENARIO: Final = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/opt/tapdeck/bin/python -W error /scenario/inside.py
ExecStopPost=/bin/systemctl poweroff --no-block
StandardOutput=append:/scenario/said
StandardError=append:/scenario/said
TimeoutStartSec=240
[Install]
WantedBy=graphical.target
"""


class Machine:
    """A folder that is a machine: put files in, boot it, look at what it left."""

    def __init__(self, folder: Path) -> None:
        self.root = debian.copy(folder / "machine", *PACKAGES)
        _run("chroot", str(self.root), "python3", "-m", "venv", "--without-pip", "/opt/tapdeck")
        target = ("--target", str(self.root / PACKAGES_AT))
        lock = ("--require-hashes", "-r", str(ROOT / "requirements.lock"))
        _pip("--only-binary=:all:", "--python-version", PYTHON, *target, *lock)
        _pip("--no-index", "--no-deps", "--no-build-isolation", *target, str(ROOT))
        launcher = self.root / "opt/tapdeck/bin/tapdeck"
        launcher.write_text(LAUNCHER)
        launcher.chmod(0o755)
        self.scenario = self.root / "scenario"
        self.scenario.mkdir()

    def install(self) -> None:
        """What the heads of the units say."""
        units = ROOT / "systemd"
        for unit in (*units.glob("*.service"), *units.glob("*.path")):
            self.put(f"etc/systemd/system/{unit.name}", unit.read_text())
        for name in ("tapdeck", "tapdeck-job"):
            self.put(f"etc/sysusers.d/{name}.conf", (units / f"{name}.sysusers.conf").read_text())
        self.put("usr/local/libexec/tapdeck-job", (units / "tapdeck-job").read_text()).chmod(0o755)

    def put(self, path: str, text: str) -> Path:
        """Write a file, with its folders."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def play(self, script: Path) -> str:
        """Boot, run the script (as root, with ``receiver`` to import), turn off; return what it said."""
        shutil.copy(script, self.scenario / "inside.py")
        self.put("etc/systemd/system/scenario.service", SCENARIO)
        wants = self.root / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / "scenario.service").symlink_to("../scenario.service")
        done = subprocess.run(
            ["systemd-nspawn", "--quiet", "-D", str(self.root), "--register=no", "--keep-unit", "--private-network",
             "--boot"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BOOT_S, check=False,
        )  # fmt: skip
        said = self.scenario / "said"
        console = done.stdout.decode(errors="replace")
        return said.read_text() if said.exists() else f"it did not come up:\n{console}"

    def remove(self) -> None:
        """Some 400 MB."""
        shutil.rmtree(self.root)


def _pip(*arguments: str) -> None:
    """Install with the pip of the environment that runs the tests."""
    _run(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-4_000:]}"
