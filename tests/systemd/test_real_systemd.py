"""The service under a real systemd 252, booted for this: what the unit says, what systemd does, what becomes of taps.

The scenarios run inside, one after the other (`inside.py`); here is what must have come of each.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.archive.check import check
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from tests.systemd.machine import ROOT, Machine
from tests.tools import needs

pytestmark = [pytest.mark.all, needs("debootstrap", "systemd-nspawn"), pytest.mark.timeout(600)]

CONFIG = """media.bind = "127.0.0.1"
media.max_taps = 256
media.cooldown_s = 1
"""
GONE_ON = {"state": "finished", "outcome": "complete", "ending": "stopped"}

Facts = dict[str, Any]


class Played:
    """What the scenarios left."""

    def __init__(self, machine: Machine) -> None:
        machine.install()
        machine.put("etc/tapdeck/tapdeck.toml", CONFIG)
        self.said = machine.play(ROOT / "tests" / "systemd" / "inside.py")
        self._machine = machine
        results = machine.scenario / "results.json"
        self._results: dict[str, Facts] = json.loads(results.read_text()) if results.exists() else {}

    @property
    def journal(self) -> str:
        return (self._machine.scenario / "journal").read_text()

    @property
    def taken(self) -> Path:
        """Where the example job puts recordings."""
        return self._machine.root / "var/lib/tapdeck-job"

    @property
    def storage(self) -> Path:
        return self._machine.root / "var/lib/tapdeck"

    def of(self, scenario: str) -> Facts:
        """What a scenario saw; it must have come to its end."""
        assert scenario in self._results, self.said
        facts = self._results[scenario]
        assert "failed" not in facts, facts["failed"]
        return facts

    def proves(self, recording: str, logs: str, ending: str = "stopped", caller: int = 1) -> None:
        """The recording holds every sample that was sent, at its place."""
        (sidecar,) = (self.taken / recording).glob("*.json")
        found = prove(sidecar, file_of(self._machine.scenario / "logs" / logs, caller), Expected(ending=ending))
        assert found.exact, str(found)
        assert found.received > 0


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    machine = Machine(tmp_path_factory.mktemp("systemd"))
    yield Played(machine)
    machine.remove()


def outlived(played: Played, facts: Facts, logs: str) -> None:
    """The same tap went on in another process, and nothing of it is missing."""
    told = facts["tap"]
    assert {name: told[name] for name in GONE_ON} == GONE_ON
    assert facts["before"]["MainPID"] != facts["after"]["MainPID"]
    played.proves(told["recording_id"], logs)


def test_it_is_ready_when_the_start_returns_and_has_no_rights(played: Played) -> None:
    told = played.of("start")
    assert (told["status"], told["ActiveState"], told["user"]) == (0, "active", "tapdeck")
    assert told["StatusText"] == "0 taps, 0 packets/s; ready"
    assert (told["seccomp"], told["no_new_privileges"], int(told["capabilities"], 16)) == ("2", "1", 0)


def test_a_tap_is_recorded_with_every_restriction_on(played: Played) -> None:
    told = played.of("sandbox")
    assert {name: told["tap"][name] for name in GONE_ON} == GONE_ON
    assert told["modes"] == {
        ".": "750 tapdeck:tapdeck", "spool": "700 tapdeck:tapdeck", "ready": "2770 tapdeck:tapdeck"
    }  # fmt: skip
    assert told["files"] == {".wav": "640 tapdeck:tapdeck", ".json": "640 tapdeck:tapdeck"}
    assert told["audit"] == 0, told["audit_said"]
    played.proves(told["tap"]["recording_id"], "sandbox")


def test_p3_d7_a_restart_goes_on_with_the_same_tap(played: Played) -> None:
    told = played.of("restart")
    outlived(played, told, "restart")
    assert told["after"]["NRestarts"] == told["before"]["NRestarts"], "it left by itself"


def test_p3_d7_a_restart_with_other_settings_goes_on_with_the_same_tap(played: Played) -> None:
    told = played.of("restart_with_other_settings")
    outlived(played, told, "restart_with_other_settings")
    outlived(played, told["back"], "restart_to_the_old_settings")


def test_p3_d7_a_restart_of_a_changed_version_goes_on_with_the_same_tap(played: Played) -> None:
    told = played.of("upgrade")
    assert told["version"].startswith("77.")
    outlived(played, told, "upgrade")
    outlived(played, told["back"], "downgrade")


def test_p3_d7_after_a_kill_systemd_starts_it_anew_and_the_tap_goes_on(played: Played) -> None:
    told = played.of("kill")
    outlived(played, told, "kill")
    assert told["after"]["NRestarts"] == told["before"]["NRestarts"] + 1


@pytest.mark.parametrize("who", ["the_main_process", "a_worker"])
def test_p3_d7_a_process_that_hangs_starves_the_watchdog_and_the_tap_goes_on(who: str, played: Played) -> None:
    told = played.of(f"watchdog_of_{who}")
    outlived(played, told, f"watchdog_of_{who}")
    assert told["after"]["NRestarts"] == 1
    assert "Failed with result 'watchdog'" in played.journal


def test_d8_a_reload_is_taken_by_the_same_process(played: Played) -> None:
    told = played.of("reload")
    assert (told["status"], told["same"], told["ActiveState"]) == (0, True, "active")
    assert told["codec"] == "PCMA"


def test_d9_a_secret_comes_by_a_credential(played: Played) -> None:
    told = played.of("credential")
    assert (told["without"], told["wrong"], told["right"]) == (401, 401, True), told
    assert "of the credential" not in played.journal


def test_p3_two_hundred_taps_are_handed_over_and_then_stopped(played: Played) -> None:
    told = played.of("crowd")
    assert told["kernel_drops"] == 0
    assert len(told["recordings"]) == 200
    for recording, caller in told["recordings"].items():
        played.proves(recording, "crowd", ending="shutdown", caller=caller)


def test_the_example_job_takes_what_was_there_and_what_comes(played: Played) -> None:
    told = played.of("job")
    assert told["owner"].endswith("tapdeck-job:tapdeck-job")
    assert not told["damaged"]
    played.proves(told["tap"]["recording_id"], "job")


def test_d7_a_stop_leaves_final_files_and_an_empty_store(played: Played) -> None:
    told = played.of("stop")
    assert (told["status"], told["ActiveState"], told["ExecMainStatus"]) == (0, "inactive", 0)
    assert (told["NFileDescriptorStore"], told["spool"]) == (0, [])
    played.proves(told["recording_id"], "stop", ending="shutdown")
    assert not check(played.storage)


def test_e_a_wrong_configuration_is_not_tried_again(played: Played) -> None:
    told = played.of("wrong_configuration")
    assert told["status"] != 0
    assert (told["ActiveState"], told["ExecMainStatus"], told["NRestarts"]) == ("failed", 78, 0)
    assert "media.tick_ms" in played.journal
