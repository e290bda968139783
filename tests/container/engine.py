"""What a container engine does with an image, with the kernel's own means: namespaces, a read-only root, no privileges.

buildah's chroot isolation cannot make the root read-only, so its mounted image is run here as ``docker run --read-only
--cap-drop ALL --security-opt no-new-privileges --network host`` would: the command is process 1, sees its own processes
only, and can write to nothing but the volume. There is not even a ``/tmp`` to write to.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.container.builder import Image

PATIENCE_S = 60.0
PREPARE = """
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
printf '%s\\n' "$MOUNTS" | while read -r place folder; do mount --bind "$folder" "$ROOT$place"; done
cd "$ROOT"
echo prepared
exec chroot . "$@" >&2
"""


class Container:
    """One container of an image. ``mounts``: folder there (it must exist, nothing can be made) → folder here."""

    def __init__(self, image: Image, log: Path, mounts: Mapping[str, Path], environment: Mapping[str, str]) -> None:
        self.image, self._log, self._mounts = image, log, mounts
        told = dict(each.partition("=")[::2] for each in image.config["Env"])
        self._environment = {**told, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *command: str) -> None:
        """As an engine: ENTRYPOINT with CMD, or with the words that are given instead of it."""
        words = [*self.image.config["Entrypoint"], *(command or self.image.config["Cmd"])]
        mounts = "\n".join(f"{place} {folder}" for place, folder in self._mounts.items())
        places = {"ROOT": str(self.image.root), "MOUNTS": mounts}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "sh", "-euc", PREPARE, "sh",
                 *self._as_user(self.image.config["User"]), *words],
                env=os.environ | places, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            assert stdout.readline() == b"prepared\n", self.log()

    def execute(self, *command: str, user: str | None = None, groups: str = "") -> "subprocess.CompletedProcess[str]":
        """As ``docker exec`` would: beside process 1, in what it sees."""
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--root", "--wd"]
        return subprocess.run(
            [*inside, *self._as_user(user or self.image.config["User"], groups), *command],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def is_healthy(self) -> bool:
        """Whether the image's own health check says so."""
        kind, *command = self.image.config["Healthcheck"]["Test"]
        assert kind == "CMD", "the exec form: the image need not have a shell"
        return self.execute(*command).returncode == 0

    def until_healthy(self) -> None:
        """Ask again and again, as an engine does."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not self.is_healthy():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline_s, self.log()
            select.select([], [], [], 0.1)

    def stop(self) -> int:
        """The image's stop signal, to process 1; its exit status."""
        os.kill(self.pid, signal.Signals[self.image.config["StopSignal"]])
        return self.process.wait(PATIENCE_S)

    def wait(self) -> int:
        """The exit status of a command that ends by itself."""
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """Whatever it does, it is gone, and everything in it: that is what the end of a process 1 means.

        unshare's ``--kill-child`` would not do: who changes his user, as setpriv does, does not die with his parent.
        """
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)

    def log(self) -> str:
        """What its processes said."""
        return self._log.read_text()[-4_000:]

    @property
    def volume(self) -> Path:
        """The folder here that is its storage there."""
        return self._mounts[self.image.storage]

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "not started"
        return self._process

    @property
    def pid(self) -> int:
        """Process 1, as this host numbers it."""
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child)

    def _as_user(self, user: str, groups: str = "") -> list[str]:
        """The image's own ``env`` and ``setpriv``: its variables and nothing of ours, its user and no privilege."""
        uid, _, gid = user.partition(":")
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        beside = ["--groups", groups] if groups else ["--clear-groups"]
        return [
            "/usr/bin/env", "--ignore-environment", *variables, "/usr/bin/setpriv", "--reuid", uid, "--regid", gid,
            *beside, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all",
        ]  # fmt: skip


@contextmanager
def running(container: Container, *command: str) -> Iterator[Container]:
    """Started, and gone with the context whatever happens."""
    container.start(*command)
    try:
        yield container
    finally:
        container.kill()
