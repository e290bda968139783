"""The sidecar: every field of the contract, absent when not known; its schema is generated and lies in docs."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from receiver.archive import sidecar
from receiver.archive.sidecar import (
    Channel,
    Digit,
    Ending,
    Epoch,
    File,
    Gap,
    Jitter,
    Noise,
    Outcome,
    Pause,
    Problem,
    Reason,
    Redecoded,
    Sidecar,
    Source,
    SourceChange,
    Stream,
    decode,
    encode,
    moment,
)
from tests.archive.world import ID, NOON_NS, draft

ROOT = Path(__file__).parents[2]
# The contract's list, word by word ("What lies in ready/").
CONTRACT = """
    schema recording_id tap_id call_id node_id labels direction layout file bytes sha256 encoding sample_rate frames
    duration_s requested_at first_packet_at started_at ended_at ending outcome problem absent_frames gaps pauses dtmf
    noise parts software host channels
"""
CHANNEL = "party tap_id control_id codec codecs source streams unknown_payload_types mixed_packets redecoded"
STREAM = "ssrc packets lost duplicate reordered late late_lost invalid jitter_ms drift_ppm epochs"
ENDINGS = "stopped relay_finished call_ended silence max_duration shutdown recovered refused no_packets"
OUTCOMES = "complete degraded empty failed"
REASONS = "lost not_sent paused drift write_failed restart"

AT = moment(NOON_NS)
FULL = Sidecar(
    recording_id=ID, tap_id="t", call_id="c", node_id="n", labels={"a": "b"}, direction="both", layout="mono",
    file="x.wav", bytes=60, sha256="0" * 64, sample_rate=8000, frames=8, duration_s=0.001, requested_at=AT,
    first_packet_at=AT, started_at=AT, ended_at=AT, ending=Ending.STOPPED, outcome=Outcome.COMPLETE,
    problem=Problem("code", "message", "hint"), absent_frames=1, gaps=(Gap(0, 1, 0, Reason.LOST),),
    pauses=(Pause(1, 2),), dtmf=(Digit(digit="5", frame=1, frames=2, channel=0),),
    noise=(Noise(frame=1, channel=0, level_dbov=-60),),
    parts=(File(file="x.001.wav", frame=0, frames=8, bytes=60, sha256="0" * 64),), software="s", host="h",
    channels=(
        Channel(
            party="speak", tap_id="t", control_id="t", codec="PCMU", codecs=("PCMU", "PCMA"),
            source=Source(announced="a:1", seen="a:2", trust="address", changes=(SourceChange(AT, "a:2"),)),
            streams=(
                Stream(
                    ssrc=1, packets=2, lost=0, duplicate=0, reordered=0, late=0, late_lost=0, invalid=0,
                    jitter_ms=Jitter(0.1, 0.2), drift_ppm=1.5, epochs=(Epoch(frame=0, timestamp=160, at=AT),),
                ),
            ),
            mixed_packets=0, redecoded=(Redecoded(960, 3_840),),
        ),
    ),
)  # fmt: skip
BARE = Sidecar(
    recording_id=ID, file=None, sample_rate=8000, frames=0, duration_s=0.0, ending=Ending.REFUSED,
    outcome=Outcome.FAILED, absent_frames=0,
)  # fmt: skip


def test_every_field_of_the_contract_is_there_in_its_order() -> None:
    written = json.loads(encode(FULL))
    assert list(written) == CONTRACT.split()
    assert list(written["channels"][0]) == CHANNEL.split()
    assert list(written["channels"][0]["streams"][0]) == STREAM.split()
    assert set(written["gaps"][0]) == {"frame", "frames", "channel", "reason"}
    assert set(written["problem"]) == {"code", "message", "hint"}
    assert set(written["channels"][0]["source"]) >= {"announced", "seen", "trust"}


def test_the_contracts_words_for_endings_outcomes_and_reasons() -> None:
    assert list(Ending) == ENDINGS.split()
    assert list(Outcome) == OUTCOMES.split()
    assert list(Reason) == REASONS.split()


def test_a_field_that_is_not_known_is_absent_and_not_zero() -> None:
    written = json.loads(encode(BARE))
    assert written["file"] is None
    assert "null" not in encode(BARE).decode().replace('"file": null', "")
    for name in ("tap_id", "sha256", "bytes", "started_at", "first_packet_at", "problem"):
        assert name not in written


@pytest.mark.parametrize("document", [FULL, BARE])
def test_what_is_written_is_read_back(document: Sidecar) -> None:
    assert decode(encode(document)) == document


def test_times_are_utc_to_the_microsecond() -> None:
    assert json.loads(encode(FULL))["started_at"] == "2023-11-14T22:13:20.123456Z"


def test_a_newer_tapdecks_fields_do_not_hurt() -> None:
    newer = {**json.loads(encode(FULL)), "added_later": 1}
    assert decode(json.dumps(newer).encode()) == FULL


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2), ("frames", -1), ("outcome", "good"), ("ending", "bored"), ("sha256", "abc"),
        ("started_at", "now"),
        ("started_at", "2023-11-14T22:13:20"), ("gaps", [{"frame": 0, "frames": 0, "channel": 0, "reason": "lost"}]),
        ("recording_id", None), ("labels", {"a": 1}),
    ],
)  # fmt: skip
def test_what_does_not_obey_the_schema_is_told(field: str, value: object) -> None:
    broken = {**json.loads(encode(FULL)), field: value}
    with pytest.raises(msgspec.ValidationError, match=field if field != "gaps" else "frames"):
        decode(json.dumps(broken).encode())


def test_the_schema_in_docs_is_the_generated_one() -> None:
    lying = json.loads((ROOT / "docs" / "recording.schema.json").read_text())
    remedy = "python -m receiver.archive.sidecar > docs/recording.schema.json"
    assert lying == json.loads(json.dumps(sidecar.schema())), remedy


def test_the_schema_is_printed_by_the_module() -> None:
    command = [sys.executable, "-W", "error", "-m", "receiver.archive.sidecar"]
    printed = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    assert json.loads(printed.stdout) == json.loads(json.dumps(sidecar.schema()))


def test_the_schema_requires_what_is_always_known() -> None:
    required = sidecar.schema()["$defs"]["Sidecar"]["required"]
    assert set(required) == {
        "recording_id", "file", "sample_rate", "frames", "duration_s", "ending", "outcome", "absent_frames",
    }  # fmt: skip


def test_a_draft_is_read_back() -> None:
    assert sidecar.decode_draft(encode(draft())) == draft()
    assert draft().call_id is UNSET


def test_the_structs_cost_no_numpy() -> None:
    code = "import sys, receiver.archive.sidecar, receiver.archive.names; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
