"""The Dockerfile is built and its image runs: read-only, as its user, from the first packet to the last file."""

import json
import os
import random
import socket
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

import receiver
from receiver.archive.check import check
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from tests.container.builder import Builder, Image
from tests.container.engine import Container, running
from tests.tools import needs

pytestmark = [pytest.mark.all, needs("buildah", "debootstrap")]

EXAMPLES = Path(__file__).parents[2] / "examples"
SECRETS, TAKEN, JOBS = "/mnt", "/srv", "/media"  # folders that are there; an engine would make others
USER = "10001"
JOB = "20002"
LARGEST_MB = 350
DOCUMENTS = "documents and languages, not in Debian's own slim image"
# What fills it: the first name whose beginning fits takes the file.
PACKAGES = "opt/tapdeck/lib/python3.11/site-packages"
KINDS = {
    f"{PACKAGES}/numpy": "numpy, with OpenBLAS",
    f"{PACKAGES}/av": "PyAV, with FFmpeg's libraries",
    f"{PACKAGES}/aiohttp": "aiohttp",
    f"{PACKAGES}/_soundfile_data": "libsndfile",
    f"{PACKAGES}/receiver": "tapdeck",
    "opt/tapdeck": "other packages",
    "usr/lib/python3": "Python",
    "usr/bin/python3": "Python",
    "usr/share/doc": DOCUMENTS,
    "usr/share/locale": DOCUMENTS,
    "usr/share/man": DOCUMENTS,
    "": "Debian",
}


@pytest.fixture
def container(image: Image, tmp_path: Path) -> Container:
    """A container that has a volume as an engine makes one, a token in a file, and ports of its own on loopback."""
    volume, secrets = tmp_path / "volume", tmp_path / "secrets"
    volume.mkdir()
    made = (image.root / image.storage.lstrip("/")).stat()
    os.chown(volume, made.st_uid, made.st_gid)
    volume.chmod(made.st_mode & 0o7777)
    secrets.mkdir()
    (secrets / "http_token").write_text("hush\n")
    taken = tmp_path / "taken"
    taken.mkdir(mode=0o750)
    os.chown(taken, int(JOB), int(JOB))
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = free.getsockname()[1]
    first = random.SystemRandom().randrange(20_000, 30_000)
    environment = {
        "TAPDECK_HTTP__LISTEN": f"127.0.0.1:{listen}", "TAPDECK_HTTP__TOKEN_FILE": f"{SECRETS}/http_token",
        "TAPDECK_MEDIA__BIND": "127.0.0.1", "TAPDECK_MEDIA__PORTS": f"{first}-{first + 199}",
        "TAPDECK_MEDIA__MAX_TAPS": "64",
    }  # fmt: skip
    mounts = {image.storage: volume, SECRETS: secrets, TAKEN: taken, JOBS: EXAMPLES}
    return Container(image, tmp_path / "container.log", mounts, environment)


def speak(container: Container, logs: Path) -> str:
    """Open a tap, by the image's own command, and let a caller on this host speak to it to the end; the tap's id."""
    opened = container.execute("tapdeck", "tap", "open", "--source", "any", "--json")
    assert opened.returncode == 0, opened.stderr
    tap = json.loads(opened.stdout)
    logs.mkdir()
    plan = Plan(callers=(Caller(id=1, seconds=3, weather="lossy"),), seed=3, log=str(logs))
    with SenderProcess(plan) as sender:
        sender.go([tap["uri"].removeprefix("rtp://")])
        assert not sender.wait(60.0).refused
    return str(tap["id"])


def test_it_records_read_only_as_its_user_and_stops_with_its_files_final(container: Container, tmp_path: Path) -> None:
    with running(container):
        container.until_healthy()
        speak(container, tmp_path / "logs")
        assert container.stop() == 0, container.log()
    (told,) = (container.volume / "ready").glob("*.json")
    found = prove(told, file_of(tmp_path / "logs", 1), Expected(ending="shutdown"))
    assert found.exact, str(found)
    assert not list((container.volume / "spool").glob("*.part"))
    assert not check(container.volume)
    with running(container, "check", container.image.storage):
        assert container.wait() == 0, container.log()


def test_it_may_write_to_its_volume_and_nowhere_else(container: Container) -> None:
    with running(container):
        container.until_healthy()
        for place in ("/etc", "/tmp", "/run", "/opt/tapdeck"):
            tried = container.execute("touch", f"{place}/x")
            assert "Read-only file system" in tried.stderr, place
        assert container.execute("touch", f"{container.image.storage}/ready/x").returncode == 0
        status = Path(f"/proc/{container.pid}/status").read_text().splitlines()
        told = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        assert (told["Uid"], told["Gid"]) == ("\t".join([USER] * 4), "\t".join([USER] * 4))
        assert (told["CapEff"], told["CapBnd"], told["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
        assert told["NSpid"].split()[-1] == "1", "as in a container: signals without a handler do nothing"


def test_a_job_of_the_group_takes_recordings_and_sees_nothing_else(container: Container, tmp_path: Path) -> None:
    with running(container):
        container.until_healthy()
        tap = speak(container, tmp_path / "logs")
        assert container.execute("tapdeck", "tap", "stop", tap, "--wait").returncode == 0
        (told,) = (container.volume / "ready").glob("*.json")
        recording = json.loads(told.read_bytes())["recording_id"]
        ready, spool = f"{container.image.storage}/ready", f"{container.image.storage}/spool"
        job = f"{JOB}:{JOB}"
        take = ("python3", f"{JOBS}/pick_up.py", ready, TAKEN, "--once")
        container.execute(*take, user=job)
        assert told.exists(), "somebody else sees nothing and takes nothing"
        taken = container.execute(*take, user=job, groups=USER)
        assert taken.returncode == 0, taken.stderr
        assert "Permission denied" in container.execute("ls", spool, user=job, groups=USER).stderr
    assert not list(told.parent.iterdir())
    found = prove(tmp_path / "taken" / recording / told.name, file_of(tmp_path / "logs", 1), Expected(ending="stopped"))
    assert found.exact, str(found)


@pytest.mark.usefixtures("image")
def test_engines_allow_every_system_call_that_it_takes_to_record(builder: Builder) -> None:
    said = builder.run("sh", "-c", "grep Seccomp: /proc/self/status && tapdeck demo --calls 2 --seconds 2 --json")
    filtered, _, demo = said.partition("\n")
    assert filtered == "Seccomp:\t2", "a filter is on"
    assert json.loads(demo)["exact"]


def test_the_health_check_tells_a_container_that_is_not_well(container: Container) -> None:
    with running(container, "health"):
        assert container.wait() == 69
    assert "is `tapdeck run` running?" in container.log()


def test_the_image_says_how_it_wants_to_be_run(image: Image) -> None:
    told = image.config
    assert told["User"] == f"{USER}:{USER}", "numbers: an engine that forbids root can see that it is none"
    assert (told["Entrypoint"], told["Cmd"]) == (["tapdeck"], ["run"]), "exec form: no shell between us and signals"
    assert told["StopSignal"] == "SIGTERM"
    assert told["Healthcheck"]["Test"] == ["CMD", "tapdeck", "health"]
    assert told["Labels"]["org.opencontainers.image.version"] == receiver.__version__
    storage = (image.root / image.storage.lstrip("/")).stat()
    assert (storage.st_uid, storage.st_gid, storage.st_mode & 0o7777) == (int(USER), int(USER), 0o750)


def test_what_builds_it_is_not_in_it(image: Image) -> None:
    there = {path.name.partition("-")[0].lower() for path in (image.root / PACKAGES).iterdir()}
    assert there >= {"receiver", "numpy", "aiohttp", "soundfile.py"}
    assert not there & {"pip", "setuptools", "hatchling", "editables", "pytest"}
    assert not [name for name in ("pip", "pip3", "gcc", "make") if (image.root / "usr/bin" / name).exists()]
    source = image.root / PACKAGES / "receiver"
    assert len(list(source.rglob("*.pyc"))) == len(list(source.rglob("*.py"))), "nothing is compiled at a start"


def test_it_is_small(image: Image) -> None:
    sizes: Counter[str] = Counter()
    for folder, _, names in os.walk(image.root):
        for name in names:
            path = Path(folder, name)
            inside = str(path.relative_to(image.root))
            sizes[next(kind for start, kind in KINDS.items() if inside.startswith(start))] += path.lstat().st_size
    del sizes[DOCUMENTS]  # the base of the test has them, that of the Dockerfile has not
    table = "\n".join(f"{size / 1e6:6.1f} MB  {kind}" for kind, size in sizes.most_common())
    print(f"\n{sizes.total() / 1e6:6.1f} MB  the image\n{table}")
    assert sizes.total() < LARGEST_MB * 1e6, table


def test_nothing_of_a_container_is_left(container: Container) -> None:
    with running(container):
        container.until_healthy()
        workers = container.execute("tapdeck", "health", "--json").stdout
        namespace = os.readlink(f"/proc/{container.pid}/ns/pid")
        inside = [container.pid, *_of_namespace(namespace)]
        assert json.loads(workers)["ready"]
        assert len(set(inside)) >= 2, "the daemon and its worker"
    assert not _of_namespace(namespace)


def _of_namespace(namespace: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended while we looked
            if os.readlink(process / "ns" / "pid") == namespace:
                found.append(int(process.name))
    return found
