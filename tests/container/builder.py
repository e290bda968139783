"""The Dockerfile, built for real: buildah, on a Debian of our own that plays ``debian:bookworm-slim``."""

import ast
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import debian

ROOT = Path(__file__).parents[2]
BASE = "localhost/debian:bookworm-slim"
NAME = "localhost/tapdeck-under-test"
PIP_KEYS = frozenset({"index-url", "extra-index-url", "trusted-host", "proxy", "cert"})
CERTIFICATES = "/etc/pip-certificates.pem"


@dataclass(frozen=True)
class Image:
    """``root``: its files, with their owners and modes. ``config``: what an engine would go by."""

    root: Path
    config: dict[str, Any]

    @property
    def storage(self) -> str:
        """The one volume that it declares."""
        (volume,) = self.config["Volumes"]
        return str(volume)


class Builder:
    """buildah with a store of its own, so that nothing of this machine's is used or left behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._command = ["buildah", "--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self._command += ["--storage-driver", "vfs"]

    def build(self) -> Image:
        """The image that the Dockerfile makes of this tree."""
        self._make_base()
        self("bud", "--pull=never", "--network=host", "--format=docker", "--tag", NAME, str(ROOT))
        told = json.loads(self("inspect", "--type=image", NAME))["Docker"]["config"]
        container = self("from", "--pull=never", NAME).strip()
        return Image(Path(self("mount", container).strip()), told)

    def run(self, *words: str) -> str:
        """What a command in a container says that buildah runs: writable, but under the filter of system calls that
        podman and buildah lay on every container (Docker's is its brother)."""
        container = self("from", "--pull=never", NAME).strip()
        try:
            return self("run", "--network=host", container, "--", *words)
        finally:
            self("rm", container)

    def close(self) -> None:
        """Remove everything that was built."""
        shutil.rmtree(self._folder)

    def _make_base(self) -> None:
        container = self("from", "scratch").strip()
        self("add", "--quiet", container, str(debian.root()), "/")
        _lend_pip_settings(Path(self("mount", container).strip()))
        self("commit", "--quiet", "--rm", container, BASE)

    def __call__(self, *words: str) -> str:
        """A command of buildah's; what it says on stdout."""
        environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, f"buildah {' '.join(words)}:\n{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
        return done.stdout


def _lend_pip_settings(root: Path) -> None:
    """Where packages come from is a matter of the machine, so it stands in the base and not in the Dockerfile."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    lines = ["[global]"]
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        key, said = name.rpartition(".")[2], str(ast.literal_eval(value))
        if key == "cert":
            shutil.copy(said, root / CERTIFICATES.lstrip("/"))
            said = CERTIFICATES
        if key in PIP_KEYS and not said.startswith("file:"):  # a folder of this machine is not there
            lines.append(f"{key} = {said}")
    (root / "etc" / "pip.conf").write_text("\n".join(dict.fromkeys(lines)) + "\n")
