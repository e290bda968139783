"""Runs as root inside the machine, where systemd is the first process. One function a scenario, in this order.

It judges nothing: what it saw goes to /scenario/results.json, senders' logs to /scenario/logs/<scenario>, recordings
to where the example job takes them. A scenario that fails says why, and the next one has its turn.
"""

import json
import os
import pwd
import signal
import stat
import subprocess
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import receiver
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.media import columns

URL = "http://127.0.0.1:8080"
HERE = Path("/scenario")
STORAGE = Path("/var/lib/tapdeck")
TAKEN = Path("/var/lib/tapdeck-job")
CONFIG = Path("/etc/tapdeck/tapdeck.toml")
UNIT = Path("/etc/systemd/system/tapdeck.service")
CROWD = 200
DROP_INS = Path("/run/systemd/system/tapdeck.service.d")
PATIENCE_S = 40.0
SHOWN = ("ActiveState", "SubState", "Result", "MainPID", "NFileDescriptorStore", "NRestarts", "StatusText",
         "ExecMainStatus", "ExecMainCode")  # fmt: skip

Facts = dict[str, Any]


# --- how to speak with everybody


def systemctl(*arguments: str) -> int:
    return subprocess.run(["systemctl", *arguments], check=False).returncode


def journal(*arguments: str) -> str:
    return subprocess.run(["journalctl", *arguments], capture_output=True, text=True, check=False).stdout


def service() -> Facts:
    """What systemd says of the service."""
    told = subprocess.run(
        ["systemctl", "show", "tapdeck", f"--property={','.join(SHOWN)}"], capture_output=True, text=True, check=True
    ).stdout
    facts = dict(line.split("=", 1) for line in told.splitlines())
    return {name: int(value) if value.isdecimal() else value for name, value in facts.items()}


def ask(path: str, body: object = None, token: str = "") -> Any:
    """The daemon's answer; an empty one where nobody answers."""
    octets = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, octets, {"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)
    except OSError:
        return {}


def until(what: str, question: Callable[[], Any]) -> float:
    """Ask until the answer is yes; return how many seconds that took."""
    began = time.monotonic()
    while not question():
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(f"not within {PATIENCE_S} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - began


def ready() -> bool:
    return bool(ask("/readyz").get("ready"))


@contextmanager
def configured(unit: str = "", **keys: object) -> Iterator[None]:
    """A drop-in: lines of the unit, and keys of the configuration. The daemon is not started anew for it."""
    told = "".join(f"Environment=TAPDECK_{name.upper()}={value}\n" for name, value in keys.items())
    DROP_INS.mkdir(parents=True, exist_ok=True)
    drop_in = DROP_INS / "scenario.conf"
    drop_in.write_text(f"[Service]\n{told}{unit}\n")
    systemctl("daemon-reload")
    try:
        yield
    finally:
        drop_in.unlink()
        systemctl("daemon-reload")


@contextmanager
def rewritten(file: str | None, old: str, new: str) -> Iterator[None]:
    """A file of the installed package is another one meanwhile."""
    path = Path(str(file))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    try:
        yield
    finally:
        path.write_text(text)


class Tap:
    """A tap, and a sender to it whose sound can be told from any other."""

    def __init__(self, name: str, seconds: float, weather: str = "lossy") -> None:
        logs = HERE / "logs" / name
        logs.mkdir(parents=True)
        plan = Plan(callers=(Caller(id=1, seconds=seconds, weather=weather),), seed=len(name), log=str(logs))
        self.sender = SenderProcess(plan)
        self.told = ask("/v1/taps", {"source": self.sender.sources[0], "labels": {"scenario": name}})
        self.sender.go([self.told["uri"].removeprefix("rtp://")])
        until("the tap receives", lambda: self.state() == "receiving")

    def look(self) -> Facts:
        told: Facts = ask(f"/v1/taps/{self.told['id']}")
        return told

    def state(self) -> object:
        return self.look().get("state")

    def goes_on(self) -> None:
        """Wait until the daemon that answers now hears it."""
        until("the tap goes on", lambda: ready() and self.state() == "receiving")

    def sent(self) -> None:
        """Wait for the last packet."""
        self.sender.wait(60.0)
        self.sender.close()

    def end(self) -> Facts:
        """Wait for the last packet, stop the tap, return what became of it."""
        self.sent()
        told: Facts = ask(f"/v1/taps/{self.told['id']}/stop?wait=ready", {})
        return {name: told.get(name) for name in ("id", "recording_id", "state", "outcome", "ending")}


# --- what happens


def start() -> Facts:
    """From nothing to ready, in the sandbox."""
    began = time.monotonic()
    status = systemctl("start", "tapdeck")
    took = time.monotonic() - began
    told = service()
    until("the API says ready", ready)
    lines = Path(f"/proc/{told['MainPID']}/status").read_text().splitlines()
    marks = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {
        "status": status, "seconds": took, **told, "user": pwd.getpwuid(int(marks["Uid"].split()[0])).pw_name,
        "seccomp": marks["Seccomp"], "no_new_privileges": marks["NoNewPrivs"], "capabilities": marks["CapEff"],
    }  # fmt: skip


def sandbox() -> Facts:
    """A tap from its first packet to its files, with every restriction on."""
    tap = Tap("sandbox", 3)
    stored = until("its socket is stored", lambda: service()["NFileDescriptorStore"] >= 2)
    told = tap.end()
    until("its socket is given back", lambda: service()["NFileDescriptorStore"] == 1)
    modes = {str(each.relative_to(STORAGE)): _mode(each) for each in (STORAGE, STORAGE / "spool", STORAGE / "ready")}
    files = sorted((STORAGE / "ready").iterdir())
    audit = subprocess.run(["/opt/tapdeck/bin/tapdeck", "check", STORAGE], capture_output=True, text=True, check=False)
    return {"tap": told, "stored_s": stored, "modes": modes, "files": {each.suffix: _mode(each) for each in files},
            "audit": audit.returncode, "audit_said": audit.stdout}  # fmt: skip


def restart() -> Facts:
    tap = Tap("restart", 5)
    return _across(tap, lambda: systemctl("restart", "tapdeck"))


def restart_with_other_settings() -> Facts:
    """The memory has another layout: it is not mapped, positions come from the spool folder."""
    tap = Tap("restart_with_other_settings", 6)
    with configured(media__window_ms=8000):
        told = _across(tap, lambda: systemctl("restart", "tapdeck"))
    again = Tap("restart_to_the_old_settings", 5)
    return told | {"back": _across(again, lambda: systemctl("restart", "tapdeck"))}


def upgrade() -> Facts:
    """Another version in the place of the old one, as pip puts it there: its columns lie elsewhere, because one is new.
    Then the old one again."""
    tap = Tap("upgrade", 7)
    with rewritten(receiver.__file__, '__version__ = "', '__version__ = "77.'):
        column = '("recording", "S36"),'
        with rewritten(columns.__file__, column, f'("of_a_later_version", "i8"), {column}'):
            told = _across(tap, lambda: systemctl("restart", "tapdeck"))
        version = ask("/openapi.json")["info"]["version"]
        back = Tap("downgrade", 6)
    return told | {"version": version, "back": _across(back, lambda: systemctl("restart", "tapdeck"))}


def kill() -> Facts:
    """SIGKILL to the main process alone."""
    tap = Tap("kill", 6)
    return _across(tap, lambda: os.kill(service()["MainPID"], signal.SIGKILL))


def watchdog_of_the_main_process() -> Facts:
    """It does not run any more and does not die."""
    with configured("WatchdogSec=3"):
        systemctl("restart", "tapdeck")
        until("ready", ready)
        tap = Tap("watchdog_of_the_main_process", 8)
        until("the worker has reported", lambda: " 0 packets/s" not in str(service()["StatusText"]))
        return _across(tap, lambda: os.kill(service()["MainPID"], signal.SIGSTOP))


def watchdog_of_a_worker() -> Facts:
    """A worker does not run any more: nothing is fed for it. Sooner than the main process would replace it (15 s)."""
    with configured("WatchdogSec=2"):
        systemctl("restart", "tapdeck")
        until("ready", ready)
        worker = ask("/readyz")["workers"][0]["pid"]
        tap = Tap("watchdog_of_a_worker", 12)
        until("the worker has reported", lambda: " 0 packets/s" not in str(service()["StatusText"]))
        told = _across(tap, lambda: os.kill(worker, signal.SIGSTOP))
    systemctl("restart", "tapdeck")  # with the watchdog as the unit has it
    until("ready", ready)
    return told


def reload() -> Facts:
    """With another codec in the configuration."""
    before, config = service()["MainPID"], CONFIG.read_text()
    CONFIG.write_text(f'{config}taps.codec = "PCMA"\n')
    status = systemctl("reload", "tapdeck")
    until("it was read", lambda: "was read anew" in journal("-u", "tapdeck", "-n", "5", "-o", "cat"))
    told = ask("/v1/taps", {"source": "any"})
    ask(f"/v1/taps/{told['id']}/stop?wait=ready", {})
    CONFIG.write_text(config)
    systemctl("reload", "tapdeck")
    return {"status": status, "same": service()["MainPID"] == before, "codec": told["device"]["params"]["codec"],
            **service()}  # fmt: skip


def credential() -> Facts:
    """A secret in a file that root alone can read, by the unit's own line."""
    (line,) = (each for each in UNIT.read_text().splitlines() if each.startswith("#LoadCredential=http.token"))
    secret = Path(line.rpartition(":")[2])
    secret.write_text("of the credential")
    secret.chmod(0o600)
    with configured(line.lstrip("#")):
        systemctl("restart", "tapdeck")
        until("ready", ready)
        without, wrong = ask("/v1/taps").get("status"), ask("/v1/taps", token="another").get("status")
        right = ask("/v1/taps", token="of the credential")
    systemctl("restart", "tapdeck")
    until("ready", ready)
    return {"without": without, "wrong": wrong, "right": "taps" in right, "said": sorted(right)}


def job() -> Facts:
    """The example job takes what is there, and what comes."""
    systemctl("start", "tapdeck-job.path")
    until("everything is taken", lambda: not list((STORAGE / "ready").iterdir()))
    tap = Tap("job", 2)
    told = tap.end()
    taken = TAKEN / str(told["recording_id"])
    until("the next one is taken", taken.is_dir)
    return {"tap": told, "owner": _mode(taken), "damaged": (taken.parent / "damaged").exists()}


def crowd() -> Facts:
    """Two hundred taps: handed over, then stopped as they are."""
    logs = HERE / "logs" / "crowd"
    logs.mkdir(parents=True)
    callers = tuple(Caller(id=number, seconds=10, weather="lossy") for number in range(1, CROWD + 1))
    with SenderProcess(Plan(callers=callers, seed=7, log=str(logs))) as sender:
        with ThreadPoolExecutor(20) as pool:
            taps = list(pool.map(lambda source: ask("/v1/taps", {"source": source}), sender.sources))
        sender.go([tap["uri"].removeprefix("rtp://") for tap in taps])
        until("all receive", lambda: ask("/readyz")["taps"].get("receiving") == CROWD)
        until("all are stored", lambda: service()["NFileDescriptorStore"] == CROWD + 1)
        before, began = service()["MainPID"], time.monotonic()
        systemctl("restart", "tapdeck")
        until("another process", lambda: service()["MainPID"] not in (0, before))
        until("it is ready", ready)
        away = time.monotonic() - began
        sender.wait(60.0)
    began = time.monotonic()
    systemctl("stop", "tapdeck")
    stopped = time.monotonic() - began
    named = {tap["recording_id"]: number for number, tap in enumerate(taps, 1)}
    until("the job has taken them", lambda: all((TAKEN / name).is_dir() for name in named))
    drops = Path("/proc/net/snmp").read_text().split("Udp: ")[2].split()[4]
    systemctl("start", "tapdeck")
    return {"away_s": away, "stop_s": stopped, "recordings": named, "kernel_drops": int(drops)}


def stop() -> Facts:
    """In the middle of a call."""
    tap = Tap("stop", 2)
    until("its socket is stored", lambda: service()["NFileDescriptorStore"] == 2)
    tap.sent()
    began = time.monotonic()
    status = systemctl("stop", "tapdeck")
    took = time.monotonic() - began
    taken = TAKEN / tap.told["recording_id"]
    until("the job has taken it", taken.is_dir)
    spool = [each.name for each in (STORAGE / "spool").iterdir() if each.suffix == ".part"]
    return {"status": status, "seconds": took, "recording_id": tap.told["recording_id"], "spool": spool, **service()}


def wrong_configuration() -> Facts:
    """Is not tried again and again."""
    with configured(media__tick_ms="never"):
        status = systemctl("start", "tapdeck")
        told = service()
    systemctl("reset-failed", "tapdeck")
    return {"status": status, **told}


def _across(tap: Tap, event: Callable[[], object]) -> Facts:
    """What becomes of a tap when this happens in the middle of it."""
    until("its socket is stored", lambda: service()["NFileDescriptorStore"] >= 2)
    before = service()
    began = time.monotonic()
    event()
    until("another process", lambda: service()["MainPID"] not in (0, before["MainPID"]))
    tap.goes_on()
    away = time.monotonic() - began
    after = service()
    return {"tap": tap.end(), "away_s": away, "before": before, "after": after}


def _mode(path: Path) -> str:
    found = path.stat()
    return f"{stat.S_IMODE(found.st_mode):o} {path.owner()}:{path.group()}"


def main() -> None:
    results: dict[str, Facts] = {}
    for scenario in (
        start, sandbox, restart, restart_with_other_settings, upgrade, kill, watchdog_of_the_main_process,
        watchdog_of_a_worker, reload, credential, job, crowd, stop, wrong_configuration,
    ):  # fmt: skip
        began = time.monotonic()
        try:
            results[scenario.__name__] = scenario()
        except Exception:
            said = journal("-u", "tapdeck", "-u", "tapdeck-job", "-n", "40", "-o", "cat")
            results[scenario.__name__] = {"failed": f"{traceback.format_exc()}\n{said}"}
            systemctl("restart", "tapdeck")
        results[scenario.__name__]["scenario_s"] = round(time.monotonic() - began, 2)
        (HERE / "results.json").write_text(json.dumps(results, indent=1))
    (HERE / "journal").write_text(journal("-b", "-o", "short-monotonic"))


if __name__ == "__main__":
    main()
