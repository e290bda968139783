"""Taps with a key, whole: real senders, real deaths, a real service manager; and the key is nowhere to be found."""

import asyncio
import base64
import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from receiver import keys
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.wire.g711 import ULAW
from tests.journeys.host import Host, host
from tests.journeys.recorder import assert_exact, proofs, recorder, send
from tests.journeys.servicemanager import ServiceManager
from tests.journeys.test_handover import (
    Conversation,
    kept,
    kill_everybody,
    restart,
    restart_with_another_version,
    served,
)
from tests.journeys.test_senders import SPEECH, recorded, run
from tests.tools import count, needs

OCTETS = random.Random(77).randbytes(30)
BASE64 = base64.b64encode(OCTETS).decode()
WEATHERS = ("wrap", "everything", "reordered", "duplicated", "lossy", "jittery", "late", "ssrc_change")


def key_file(folder: Path, suite: str = "AES_CM_128_HMAC_SHA1_80") -> Path:
    file = folder / "key.srtp"
    file.write_text(f"{suite} {keys.written(keys.Key(suite, random.Random(77).randbytes(keys.SUITES[suite])))}\n")
    file.chmod(0o600)
    return file


def assert_nowhere(one: Host, folder: Path, but: Path) -> None:
    """Neither the octets nor their base64, nor their hex digits, in any file below, in any command line or environment
    of the daemon's processes."""
    worker = one.state()["workers"][0]["pid"]
    main = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    shown = {f"/proc/{pid}/{name}": Path(f"/proc/{pid}/{name}").read_bytes()
             for pid in (worker, main) for name in ("cmdline", "environ")}  # fmt: skip
    shown |= {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file() and file != but}
    assert any(name.endswith("ledger.sqlite3") for name in shown)
    assert any(name.endswith(".log") for name in shown)
    for name, octets in shown.items():
        for trace in (OCTETS[:16], BASE64[:24].encode(), OCTETS[:8].hex().encode(), repr(OCTETS)[2:20].encode()):
            assert trace not in octets, f"a key in {name}"


async def test_p3_workers_die_while_sealed_calls_go_over_the_wrap(tmp_path: Path) -> None:
    """The wrap is where a fresh context would read every packet wrongly."""
    file, logs, dice = key_file(tmp_path), tmp_path / "logs", random.Random(7)
    callers, kills = count(3, all=24, full=50), count(1, all=5, full=200)
    seconds = 0.75 * kills + 1.5
    logs.mkdir()
    weathers = [WEATHERS[k % len(WEATHERS)] for k in range(callers)]
    plan = Plan(
        tuple(Caller(id=k, seconds=seconds, weather=each) for k, each in enumerate(weathers)),
        log=str(logs), srtp_file=str(file),
    )  # fmt: skip
    with SenderProcess(plan) as sender:
        async with recorder(tmp_path / "recordings") as one:
            taps = await one.open(sender.sources, policy="any", key=keys.read_file(file.read_text()))
            done = await send(sender, taps)
            for _ in range(kills):
                await asyncio.wait([done], timeout=dice.uniform(0.1, 0.7))
                await one.alive()
                assert not done.done(), "the callers were done before the worker had died often enough"
                one.recording.clear()
                os.kill(one.pid(), signal.SIGKILL)
                await one.alive()
            await done
            await one.close(taps)
            assert one.crew.states()[0]["deaths"] == kills
            assert one.reports[-1].tallies["unauthentic"] == 0
        assert_exact(proofs(one, taps, logs))
        for tap in taps:
            assert tap.told is not None
            assert tap.told.channels[0].source.trust == "srtp"  # type: ignore[union-attr]


@pytest.mark.all
@pytest.mark.parametrize(
    "blows", [(restart_with_another_version, kill_everybody), pytest.param((restart,) * 9, marks=pytest.mark.full)]
)
def test_d9_sealed_calls_go_on_in_the_next_process_and_the_key_is_nowhere(
    tmp_path: Path, blows: tuple[Callable[[ServiceManager, Host], None], ...]
) -> None:
    file = key_file(tmp_path)
    with served(tmp_path) as (one, manager):
        weathers, seconds = ["wrap", "everything"], count(7.0, all=7.0, full=60.0)
        with Conversation(one, tmp_path / "logs", weathers, seconds, file) as talk:
            talk.go_on()
            assert kept(manager).total() == 2 * len(weathers) + 1, "a socket and a key for each, and the memory"
            for blow in blows:
                blow(manager, one)
                talk.go_on()
            assert_nowhere(one, tmp_path, file)
            talk.over()
        talk.stop()
        talk.prove()
        assert kept(manager) == {"memory-0": 1}
        assert_nowhere(one, tmp_path, file)


@pytest.mark.all
def test_d9_where_the_key_was_not_kept_the_tap_is_ended_and_says_why(tmp_path: Path) -> None:
    """As if the service manager had lost the memory file."""
    file = key_file(tmp_path)
    with served(tmp_path) as (one, manager), Conversation(one, tmp_path / "logs", ["clean"], 4.0, file) as talk:
        talk.go_on()
        assert manager.lose("memfd:srtp") == 1
        assert manager.restart() == 0
        told = one.post(f"/v1/taps/{talk.taps[0]['id']}/stop?wait=ready", {})
        assert (told["ending"], told["outcome"]) == ("shutdown", "degraded")
        assert told["problem"]["code"] == "key_lost"


@pytest.mark.all
@needs("ffmpeg")
@pytest.mark.parametrize(
    "suite", ["AES_CM_128_HMAC_SHA1_80", pytest.param("AES_CM_128_HMAC_SHA1_32", marks=pytest.mark.full)]
)
def test_ffmpeg_seals_and_its_sound_is_there_bit_for_bit(suite: str, tmp_path: Path) -> None:
    file = key_file(tmp_path, suite)
    spoken = ("ffmpeg", "-v", "error", "-t", "2", "-i", str(SPEECH), "-ar", "8000", "-ac", "1", "-c:a", "pcm_mulaw")
    sent = ULAW[np.frombuffer(run(*spoken, "-f", "mulaw", "-"), np.uint8)]
    with host(tmp_path) as one:
        tap = one.ask("tap", "open", "--srtp-file", str(file))
        sealing = ("-srtp_out_suite", suite, "-srtp_out_params", BASE64)
        run("ffmpeg", "-re", *spoken[1:], "-payload_type", "0", "-f", "rtp", *sealing, tap["uri"])
        assert one.ask("tap", "show", tap["id"])["srtp"] == {"suite": suite}
        assert np.array_equal(recorded(one, tap), sent)
        [sidecar] = one.sidecars()
        assert json.loads(sidecar.read_bytes())["channels"][0]["source"]["trust"] == "srtp"
        assert_nowhere(one, tmp_path, file)


@pytest.mark.all
def test_a_wrong_key_over_the_api_is_400_and_the_hint_counts_what_had_no_tag(tmp_path: Path) -> None:
    with host(tmp_path, **{"taps.start_timeout_s": "1"}) as one:
        status, told = one._request("POST", "/v1/taps", json.dumps(
            {"srtp": {"suite": "AES_CM_128_HMAC_SHA1_80", "key": f"inline:{BASE64[:-4]}"}}))  # fmt: skip
        assert (status, json.loads(told)["code"]) == (400, "srtp")
        assert BASE64[:8] not in told.decode()
        tap = one.post("/v1/taps", {"srtp": {"suite": "AES_CM_128_HMAC_SHA1_80", "key": f"inline:{BASE64}"}})
        plain = Plan((Caller(id=1, to=tap["uri"].partition("//")[2], seconds=0.2),))
        with SenderProcess(plain) as sender:
            sender.go()
            sender.wait(20.0)
        told = one.post(f"/v1/taps/{tap['id']}/stop?wait=ready", {})
        assert told["outcome"] == "empty"
        assert "10 unauthentic" in told["problem"]["message"]
        assert BASE64[:8] not in (tmp_path / "daemon.log").read_text()
