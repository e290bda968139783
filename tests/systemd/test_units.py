"""The units as they stand in systemd/: what rule D7 needs of them, and what systemd itself says to them."""

import json
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from receiver.settings import Daemon, Media
from tests.tools import needs

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
SERVICE = (UNITS / "tapdeck.service").read_text()
JOB = UNITS / "tapdeck-job"
TAPDECK = Path(sys.executable).parent / "tapdeck"
HIGHEST_EXPOSURE = 20  # tenths


def told(key: str, text: str = SERVICE) -> list[str]:
    """The values of a key, in their order."""
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),  # not notify-reload: systemd 252 does not know it
        ("NotifyAccess", "main"),
        ("KillMode", "mixed"),
        ("KillSignal", "SIGTERM"),
        ("RestartKillSignal", "SIGUSR1"),
        ("FileDescriptorStoreMax", "16384"),
        ("WatchdogSec", "30"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "73 77 78"),
        ("StateDirectory", "tapdeck"),
        ("StateDirectoryMode", "0750"),
        ("UMask", "0027"),
    ],
)
def test_d7_the_service_says_what_the_daemon_leans_on(key: str, value: str) -> None:
    assert told(key) == [value]


def test_d7_a_reload_is_a_hangup() -> None:
    assert "kill -HUP" in told("ExecReload")[0]


def test_a_stop_has_the_time_that_the_daemon_takes_and_a_reserve() -> None:
    assert int(told("TimeoutStopSec")[0]) == Daemon().stop_timeout_s + 5


def test_there_are_descriptors_for_as_many_taps_as_may_be_stored() -> None:
    most = int(told("FileDescriptorStoreMax")[0])
    assert Media().max_taps < most
    assert int(told("LimitNOFILE")[0]) > 2 * most


def test_secrets_are_shown_as_credentials_and_stand_in_no_unit() -> None:
    assert "#LoadCredential=relay.token:" in SERVICE
    assert not told("LoadCredential")
    assert not told("Environment")


def install(folder: Path) -> list[Path]:
    """The units with commands that are there."""
    commands = {"/opt/tapdeck/bin/tapdeck": str(TAPDECK), "/usr/local/libexec/tapdeck-job": str(JOB)}
    made = []
    for unit in sorted([*UNITS.glob("*.service"), *UNITS.glob("*.path")]):
        text = unit.read_text()
        for place, here in commands.items():
            text = text.replace(f"ExecStart={place} ", f"ExecStart={here} ")
        made.append(folder / unit.name)
        made[-1].write_text(text)
    return made


@pytest.mark.all
@needs("systemd-analyze")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    units = install(tmp_path)
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.all
@needs("systemd-analyze")
def test_a_word_that_systemd_does_not_know_would_be_seen(tmp_path: Path) -> None:
    (unit,) = (each for each in install(tmp_path) if each.name == "tapdeck.service")
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSeconds="))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "WatchdogSeconds" in done.stderr


@pytest.mark.all
@needs("systemd-analyze")
def test_the_sandbox_leaves_little_open(tmp_path: Path) -> None:
    (unit,) = (each for each in install(tmp_path) if each.name == "tapdeck.service")
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={HIGHEST_EXPOSURE}"]
    done = subprocess.run([*command, unit], capture_output=True, text=True, check=False)
    print(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout


@pytest.mark.all
@needs("systemd-sysusers")
def test_the_service_and_the_job_get_users_and_the_job_is_in_the_group(tmp_path: Path) -> None:
    for name in ("tapdeck", "tapdeck-job"):
        place = tmp_path / "etc/sysusers.d" / f"{name}.conf"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(UNITS / f"{name}.sysusers.conf", place)
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], check=True, capture_output=True)
    users = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    groups = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert users["tapdeck"][3] == groups["tapdeck"][2], "its own group"
    assert users["tapdeck"][5:] == ["/var/lib/tapdeck", "/usr/sbin/nologin"]
    assert groups["tapdeck"][3] == "tapdeck-job"


# --- the example job


class Ready:
    """A folder with recordings, as the daemon leaves them."""

    def __init__(self, folder: Path) -> None:
        self.ready, self.taken = folder / "ready", folder / "taken"
        self.ready.mkdir()
        self.taken.mkdir()

    def put(self, name: str, sounds: int = 1) -> None:
        """One recording: no sound, one WAV, or several."""
        files = {f"{name}-{number}.wav": os.urandom(100) for number in range(sounds)}
        parts = [{"file": file, "sha256": sha256(octets).hexdigest()} for file, octets in files.items()]
        one = parts[0] if sounds == 1 else {"file": None, "parts": parts}
        for file, octets in files.items():
            (self.ready / file).write_bytes(octets)
        (self.ready / f"{name}.json").write_text(json.dumps({"recording_id": name} | one))

    def work(self) -> int:
        """What the unit does."""
        return subprocess.run([sys.executable, JOB, self.ready, self.taken], check=False).returncode

    def boxes(self) -> dict[str, int]:
        """Box → how many files lie in it."""
        return {str(box.relative_to(self.taken)): len(list(box.iterdir())) for box in self.taken.rglob("*-*[!.]")
                if box.is_dir()}  # fmt: skip


@pytest.fixture
def ready(tmp_path: Path) -> Ready:
    return Ready(tmp_path)


def test_the_job_takes_each_kind_of_recording_whole(ready: Ready) -> None:
    for name, sounds in {"box-one": 1, "box-long": 3, "box-empty": 0}.items():
        ready.put(name, sounds)
    assert ready.work() == 0
    assert ready.boxes() == {"box-one": 2, "box-long": 4, "box-empty": 1}
    assert not list(ready.ready.iterdir())


def test_the_job_sets_aside_what_is_damaged_and_does_not_find_it_again(ready: Ready) -> None:
    ready.put("box-one")
    (sound,) = ready.ready.glob("*.wav")
    sound.write_bytes(b"other octets")
    assert ready.work() == 1
    assert ready.boxes() == {"damaged/box-one": 2}
    assert ready.work() == 0


def test_a_job_that_was_cut_short_goes_on_where_it_was(ready: Ready) -> None:
    ready.put("box-long", 3)
    draft = ready.taken / ".box-long"
    draft.mkdir()
    for sound in sorted(ready.ready.glob("*.wav"))[:2]:
        sound.rename(draft / sound.name)
    assert ready.work() == 0
    assert ready.boxes() == {"box-long": 4}


def test_the_job_does_not_touch_a_sound_without_its_sidecar(ready: Ready) -> None:
    ready.put("box-one")
    (ready.ready / "box-one.json").unlink()
    assert ready.work() == 0
    assert ready.boxes() == {}
    assert len(list(ready.ready.glob("*.wav"))) == 1
