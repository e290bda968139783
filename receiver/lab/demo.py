"""The demo: a switch in a box, the real daemon, simulated callers in bad weather, and the proof of each recording.

Half of the callers call in, on a topic that the daemon records by itself; the other half are called by an application
(the public Python API) that has the daemon tap them. Switch and daemon are processes of their own; what this module
knows of the recordings it reads from their sidecars, as any job would, and what was sent from the senders' logs.
"""

import asyncio
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from receiver.archive import sidecar
from receiver.archive.sidecar import Sidecar
from receiver.cli.client import Client, Denied
from receiver.cli.common import Away
from receiver.lab import picture
from receiver.lab.application import call_and_tap
from receiver.lab.plan import Caller
from receiver.lab.proof import Expected, Proof, prove
from receiver.lab.senderlog import file_of
from receiver.lab.switch.process import SwitchFailed, SwitchProcess

WEATHERS: Final = ("clean", "lossy", "reordered", "duplicated", "jittery", "ssrc_change", "pauses", "everything")
TOPIC: Final = "demo"
PATIENCE_S: Final = 30.0
LOOK_S: Final = 0.25
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
    """Start a switch and the daemon; everything started is ended when the context is left."""
    folder = Path(tempfile.mkdtemp(prefix="tapdeck-demo-"))
    for name in ("recordings", "senders"):
        (folder / name).mkdir()
    progress("starting the switch")
    try:
        switch = SwitchProcess(secrets.token_urlsafe(24), folder / "senders")
    except SwitchFailed as error:
        raise DemoFailed(str(error)) from None
    with switch:
        config = folder / "tapdeck.toml"
        config.write_text(_configuration(folder, calls, switch))
        progress("starting the daemon")
        with (folder / "daemon.log").open("wb") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "receiver", "run", "--config", str(config)],
                stderr=log, stdout=log, env=_environment(),
            )  # fmt: skip
        try:
            yield Stage(folder, switch, daemon, callers(calls, seconds))
        finally:
            daemon.terminate()
            try:
                daemon.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                daemon.kill()


class Stage:
    """The demo's parts, running."""

    def __init__(
        self, folder: Path, switch: SwitchProcess, daemon: "subprocess.Popen[bytes]", plan: Sequence[Caller]
    ) -> None:
        self.folder, self._switch, self._daemon, self._plan = folder, switch, daemon, plan
        self._client = Client(folder / "tapdeck.toml", None)

    def record(self, progress: Progress) -> Shown:
        """Let half of the callers call in, call the others, and prove what was recorded. Raises `DemoFailed`."""
        self._ready()
        progress("calling")
        calls: dict[str, Caller] = {}
        called = {_number(caller): caller for caller in self._plan if caller.codec == "PCMA"}
        for number, caller in called.items():
            self._switch.voice(number, **_voice(caller))
        with ThreadPoolExecutor(1) as thread:
            application = thread.submit(self._call, called, calls)
            for caller in self._plan:
                if caller.codec == "PCMU":
                    calls[self._switch.ring(TOPIC, to=_number(caller), voice=_voice(caller))] = caller
            taps = self._listen(calls, application, progress)
            application.result()
        progress("comparing each sample with what was sent")
        in_order = sorted(calls, key=lambda call_id: calls[call_id].id)
        return Shown(self.folder, tuple(self._judge(calls[call_id], taps[call_id]) for call_id in in_order))

    @property
    def url(self) -> str:
        """Where the daemon answers."""
        return self._client.url

    def wait(self) -> None:
        """Until the daemon ends by itself."""
        self._daemon.wait()

    def _call(self, called: dict[str, Caller], calls: dict[str, Caller]) -> None:
        """The application's thread."""

        def answered(number: str, call_id: str) -> None:
            calls[call_id] = called[number]

        asyncio.run(call_and_tap(self._switch, self._client, called, "PCMA", answered))

    def _ready(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and self._daemon.poll() is None:
            try:
                if self._client.get("/readyz")["ready"]:
                    return
            except (Away, Denied):  # nobody answers yet, or: not ready yet
                time.sleep(0.05)
        raise DemoFailed(f"the daemon did not come up; it says: {(self.folder / 'daemon.log').read_text()[-500:]}")

    def _listen(
        self, calls: dict[str, Caller], application: "Future[None]", progress: Progress
    ) -> dict[str, dict[str, Any]]:
        """Wait until each call's tap has its outcome: call → tap."""
        began_s = time.monotonic()
        limit_s = 3 * max(caller.seconds for caller in self._plan) + 2 * PATIENCE_S
        while time.monotonic() - began_s < limit_s:
            taps = self._client.get("/v1/taps", limit=500)["taps"]
            over = {tap["call_id"]: tap for tap in taps if "outcome" in tap and tap.get("call_id") in calls}
            if len(over) == len(self._plan):
                return over
            if application.done():
                application.result()  # what went wrong, if something did
            progress(f"recording {len(self._plan)} calls: {time.monotonic() - began_s:.0f} s")
            wait([application], timeout=LOOK_S)
        raise DemoFailed(f"{len(self._plan) - len(over)} recordings did not end; see {self.folder / 'daemon.log'}")

    def _judge(self, caller: Caller, tap: dict[str, Any]) -> Call:
        found = list((self.folder / "recordings" / "ready").rglob(f"*{tap['recording_id']}.json"))
        if len(found) != 1:
            raise DemoFailed(f"recording {tap['recording_id']} is not in ready/; see {self.folder / 'daemon.log'}")
        told = sidecar.decode(found[0].read_bytes())
        if told.file is None:
            raise DemoFailed(f"caller {caller.id} was not recorded: {told.problem}; see {self.folder / 'daemon.log'}")
        proof = prove(found[0], file_of(self.folder / "senders", caller.id), Expected(ending="relay_finished"))
        return Call(caller, proof, told, found[0])


def callers(calls: int, seconds: float) -> tuple[Caller, ...]:
    """Callers of both codecs, each in another weather."""
    return tuple(
        Caller(id=k, codec="PCMA" if k % 2 else "PCMU", seconds=seconds, weather=WEATHERS[k % len(WEATHERS)])
        for k in range(calls)
    )


def draw(shown: Shown) -> Path:
    """Put the picture of all recordings beside them."""
    path = shown.folder / "recordings.svg"
    path.write_text(picture.draw([(f"{call.caller.id} {call.caller.weather}", call.told) for call in shown.calls]))
    return path


def _number(caller: Caller) -> str:
    return f"+1555{caller.id:07}"


def _voice(caller: Caller) -> dict[str, Any]:
    """What the switch is told of a caller: it hangs up when all is said."""
    return {"id": caller.id, "weather": caller.weather, "seconds": caller.seconds, "hang_up": True}


def _configuration(folder: Path, calls: int, switch: SwitchProcess) -> str:
    first = random.SystemRandom().randrange(20_000, 29_000 - PORTS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = free.getsockname()[1]
    return (
        f'[media]\nbind = "127.0.0.1"\nports = "{first}-{first + PORTS + 2 * calls}"\nmax_taps = {max(calls, 8)}\n'
        f'[relay]\nhost = "{switch.url}"\nproject = "{switch.project}"\n'
        f'token = "{switch.token}"\n'  # of this switch alone, in a folder that nobody else may read
        f'[storage]\ndirectory = "{folder / "recordings"}"\nreserve_mb = 0\n'
        f'[http]\nlisten = "127.0.0.1:{listen}"\n'
        f'[[record]]\ntopic = "{TOPIC}"\n'
    )


def _environment() -> dict[str, str]:
    """Without what the operator has told another daemon, or has of an account."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TAPDECK_", "SIGNALWIRE_"))}
