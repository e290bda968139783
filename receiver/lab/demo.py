"""The demo: the real daemon, simulated callers in bad weather, and the proof of each recording. All on loopback.

The daemon and the callers are processes of their own; what this module knows of the recordings it reads from their
sidecars, as any job would, and what was sent from the senders' logs.
"""

import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from receiver.archive import sidecar
from receiver.archive.sidecar import Sidecar
from receiver.cli.client import Client, Denied
from receiver.cli.common import Away
from receiver.lab import picture
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, Proof, prove
from receiver.lab.senderlog import file_of

WEATHERS: Final = ("clean", "lossy", "reordered", "duplicated", "jittery", "ssrc_change", "pauses", "everything")
PATIENCE_S: Final = 30.0
PORTS: Final = 200  # enough for the demo's taps, and for a few that somebody else has

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Call:
    """One caller, what became of it, and the verdict."""

    caller: Caller
    proof: Proof
    told: Sidecar
    path: Path


@dataclass(frozen=True)
class Shown:
    """What a demo has to show. ``exact``: every sample of every caller is where it should be."""

    folder: Path
    calls: tuple[Call, ...]

    @property
    def exact(self) -> bool:
        """Whether all proofs are."""
        return all(call.proof.exact for call in self.calls)


class DemoFailed(Exception):
    """Something did not come up; the message says what, and where to look."""


@contextmanager
def stage(calls: int, seconds: float, progress: Progress) -> Iterator["Stage"]:
    """Start callers and the daemon; everything started is ended when the context is left."""
    folder = Path(tempfile.mkdtemp(prefix="tapdeck-demo-"))
    for name in ("recordings", "senders"):
        (folder / name).mkdir()
    with SenderProcess(plan(calls, seconds, folder / "senders")) as sender:
        config = folder / "tapdeck.toml"
        config.write_text(_configuration(folder, calls))
        progress("starting the daemon")
        with (folder / "daemon.log").open("wb") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "receiver", "run", "--config", str(config)],
                stderr=log, stdout=log, env=_environment(),
            )  # fmt: skip
        try:
            yield Stage(folder, sender, daemon, Client(config, None), plan(calls, seconds, folder / "senders"))
        finally:
            daemon.terminate()
            try:
                daemon.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                daemon.kill()


class Stage:
    """The demo's parts, running."""

    def __init__(
        self, folder: Path, sender: SenderProcess, daemon: "subprocess.Popen[bytes]", client: Client, told: Plan
    ) -> None:
        self.folder, self._sender, self._daemon, self._client, self._plan = folder, sender, daemon, client, told

    def record(self, progress: Progress) -> Shown:
        """Open a tap for each caller, let them speak, stop, and prove what was recorded. Raises `DemoFailed`."""
        self._ready()
        taps = [
            self._client.post(
                "/v1/taps", {"source": source, "codec": caller.codec, "labels": {"caller": str(caller.id)}}
            )
            for source, caller in zip(self._sender.sources, self._plan.callers, strict=True)
        ]
        self._sender.go([f"{tap['tap_audio']['addr']}:{tap['tap_audio']['port']}" for tap in taps])
        self._listen(progress)
        progress("stopping the taps")
        for tap in taps:
            self._client.post(f"/v1/taps/{tap['id']}/stop")
        for tap in taps:
            self._client.post(f"/v1/taps/{tap['id']}/stop", wait="ready")
        progress("comparing each sample with what was sent")
        return Shown(self.folder, tuple(self._judge(k, tap) for k, tap in enumerate(taps)))

    @property
    def url(self) -> str:
        """Where the daemon answers."""
        return self._client.url

    def wait(self) -> None:
        """Until the daemon ends by itself."""
        self._daemon.wait()

    def _ready(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and self._daemon.poll() is None:
            try:
                if self._client.get("/readyz")["ready"]:
                    return
            except (Away, Denied):  # nobody answers yet, or: not ready yet
                time.sleep(0.05)
        raise DemoFailed(f"the daemon did not come up; it says: {(self.folder / 'daemon.log').read_text()[-500:]}")

    def _listen(self, progress: Progress) -> None:
        longest_s = max(caller.seconds for caller in self._plan.callers)
        began_s = time.monotonic()
        with ThreadPoolExecutor(1) as thread:
            spoken = thread.submit(self._sender.wait, 2 * longest_s + PATIENCE_S)
            while not spoken.done():
                progress(f"recording {len(self._plan.callers)} callers: {time.monotonic() - began_s:.0f} s")
                wait([spoken], timeout=0.25)
            spoken.result()

    def _judge(self, k: int, tap: dict[str, Any]) -> Call:
        found = list((self.folder / "recordings" / "ready").rglob(f"*{tap['recording_id']}.json"))
        if len(found) != 1:
            raise DemoFailed(f"recording {tap['recording_id']} is not in ready/; see {self.folder / 'daemon.log'}")
        caller = self._plan.callers[k]
        proof = prove(found[0], file_of(self.folder / "senders", caller.id), Expected(ending="stopped"))
        return Call(caller, proof, sidecar.decode(found[0].read_bytes()), found[0])


def plan(calls: int, seconds: float, logs: Path) -> Plan:
    """Callers of both codecs, each in another weather."""
    callers = tuple(
        Caller(id=k, codec="PCMA" if k % 2 else "PCMU", seconds=seconds, weather=WEATHERS[k % len(WEATHERS)])
        for k in range(calls)
    )
    return Plan(callers=callers, seed=1, log=str(logs))


def draw(shown: Shown) -> Path:
    """Put the picture of all recordings beside them."""
    path = shown.folder / "recordings.svg"
    path.write_text(picture.draw([(f"{call.caller.id} {call.caller.weather}", call.told) for call in shown.calls]))
    return path


def _configuration(folder: Path, calls: int) -> str:
    first = random.SystemRandom().randrange(20_000, 29_000 - PORTS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = free.getsockname()[1]
    return (
        f'[media]\nbind = "127.0.0.1"\nports = "{first}-{first + PORTS + 2 * calls}"\nmax_taps = {max(calls, 8)}\n'
        f'[storage]\ndirectory = "{folder / "recordings"}"\n'
        f'[http]\nlisten = "127.0.0.1:{listen}"\n'
    )


def _environment() -> dict[str, str]:
    """Without what the operator has told another daemon."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TAPDECK_")}
